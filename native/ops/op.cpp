#include "op.hpp"

#include <cstdarg>
#include <cstdio>
#include <string_view>

namespace gonka {

extern const op_spec gemm_op, attention_op, matmul_pow_op, sha256_search_op, normal_fill_op, rms_norm_op, rope_op,
    silu_mul_op, householder_op, gather_op, l2_normalize_op, permuted_distance_op;

namespace {

const op_spec *const k_ops[] = {&gemm_op,        &attention_op, &matmul_pow_op,   &sha256_search_op,
                                &normal_fill_op, &rms_norm_op,  &rope_op,         &silu_mul_op,
                                &householder_op, &gather_op,    &l2_normalize_op, &permuted_distance_op};

struct dtype_row {
  uint32_t dtype;
  uint32_t size;
  const char *name;
};

constexpr dtype_row k_dtypes[] = {{GK_F32, 4, "f32"},         {GK_F16, 2, "f16"}, {GK_BF16, 2, "bf16"},
                                  {GK_I8, 1, "i8"},           {GK_I32, 4, "i32"}, {GK_F8_E4M3, 1, "f8_e4m3"},
                                  {GK_F8_E5M2, 1, "f8_e5m2"}, {GK_F64, 8, "f64"}};

}  // namespace

gk_status fail(gk_error *err, gk_status status, const char *format, ...) noexcept {
  if (err == nullptr || !GK_HAS(err, gk_error, message)) return status;
  err->status = status;
  err->native_code = 0;
  va_list args;
  va_start(args, format);
  std::vsnprintf(err->message, sizeof err->message, format, args);
  va_end(args);
  return status;
}

std::span<const op_spec *const> all_ops() noexcept {
  return k_ops;
}

const op_spec *find_op(uint32_t op) noexcept {
  for (const op_spec *spec : k_ops)
    if (uint32_t(spec->op) == op) return spec;
  return nullptr;
}

const op_spec *find_op(std::string_view name) noexcept {
  for (const op_spec *spec : k_ops)
    if (name == spec->name) return spec;
  return nullptr;
}

uint32_t dtype_size(uint32_t dtype) noexcept {
  for (const dtype_row &row : k_dtypes)
    if (row.dtype == dtype) return row.size;
  return 0;
}

const char *dtype_name(uint32_t dtype) noexcept {
  for (const dtype_row &row : k_dtypes)
    if (row.dtype == dtype) return row.name;
  return "?";
}

uint32_t dtype_from_name(std::string_view name) noexcept {
  for (const dtype_row &row : k_dtypes)
    if (name == row.name) return row.dtype;
  return 0;
}

}  // namespace gonka
