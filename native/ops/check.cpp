#include "check.hpp"

namespace gonka {
namespace {

constexpr __int128 k_extent_limit = __int128(1) << 62;

}  // namespace

gk_status check_struct(const char *op, uint32_t struct_size, uint32_t expected, gk_error *err) noexcept {
  if (struct_size >= expected) return GK_OK;
  return fail(err, GK_INVALID_ARGUMENT, "%s: struct_size=%u; expected at least %u", op, struct_size, expected);
}

gk_status check_float(const char *op, const char *field, uint32_t type, gk_error *err) noexcept {
  if (type == GK_F32 || type == GK_F16 || type == GK_BF16) return GK_OK;
  return fail(err, GK_UNSUPPORTED, "%s: %s=%u (%s); expected f32, f16 or bf16", op, field, type, dtype_name(type));
}

gk_status check_extents(const char *op, int64_t rows, int64_t columns, gk_error *err) noexcept {
  if (rows >= 0 && columns >= 0) return GK_OK;
  return fail(err, GK_INVALID_ARGUMENT, "%s: rows=%lld, columns=%lld; expected both >= 0", op,
              static_cast<long long>(rows), static_cast<long long>(columns));
}

gk_status check_matrix(const char *op, const char *field, int64_t ld, int64_t rows, int64_t columns, uint32_t type,
                       gk_error *err) noexcept {
  if (ld < columns)
    return fail(err, GK_INVALID_ARGUMENT, "%s: %s=%lld is smaller than columns=%lld", op, field,
                static_cast<long long>(ld), static_cast<long long>(columns));
  if (!extent_fits(1, 0, rows, ld, columns, type))
    return fail(err, GK_INVALID_ARGUMENT, "%s: %lld rows with %s=%lld exceed 2^62 bytes", op,
                static_cast<long long>(rows), field, static_cast<long long>(ld));
  return GK_OK;
}

bool extent_fits(int64_t planes, int64_t plane_stride, int64_t rows, int64_t row_stride, int64_t row_elements,
                 uint32_t type) noexcept {
  if (planes == 0 || rows == 0 || row_elements == 0) return true;
  // Each product is below 2^126 and there are two of them: no overflow in 128 bits once the sum is bounded step by
  // step.
  const __int128 plane_part = __int128(planes - 1) * plane_stride;
  const __int128 row_part = __int128(rows - 1) * row_stride;
  if (plane_part >= k_extent_limit || row_part >= k_extent_limit) return false;
  return (plane_part + row_part + row_elements) * dtype_size(type) < k_extent_limit;
}

operand matrix_operand(const char *name, gk_ref &ref, access mode, uint32_t type, int64_t rows, int64_t columns,
                       int64_t ld) {
  const uint64_t size = dtype_size(type);
  return {name, &ref, mode, type, uint64_t(rows), uint64_t(columns) * size, uint64_t(ld) * size, true};
}

}  // namespace gonka
