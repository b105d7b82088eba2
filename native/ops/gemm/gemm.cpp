#include "gemm.hpp"

#include <cmath>

namespace gonka {

void gemm_reference(void *problem, operand_pointers pointers);

namespace {

bool is_float(uint32_t type) {
  return type == GK_F32 || type == GK_F16 || type == GK_BF16;
}

bool is_f8(uint32_t type) {
  return type == GK_F8_E4M3 || type == GK_F8_E5M2;
}

bool operand_types_known(uint32_t a_type, uint32_t b_type) {
  if (is_float(a_type) && is_float(b_type)) return true;
  return a_type == b_type && (a_type == GK_I8 || is_f8(a_type));
}

int64_t blocks(int64_t extent, int64_t block) {
  return block == 0 ? 0 : (extent + block - 1) / block;
}

using text = const char *;

// 0 <= value <= k_gemm_max_extent
gk_status check_extent(text op, text name, int64_t value, gk_error *err) {
  if (value >= 0 && value <= k_gemm_max_extent) return GK_OK;
  return fail(err, GK_INVALID_ARGUMENT, "%s: %s=%lld; expected 0 to 2^40", op, name, static_cast<long long>(value));
}

// A matrix of rows x columns whose rows lie ld elements apart.
gk_status check_matrix(text op, text ld_name, int64_t ld, text columns_name, int64_t columns, int64_t rows,
                       uint32_t type, gk_error *err) {
  if (ld < columns)
    return fail(err, GK_INVALID_ARGUMENT, "%s: %s=%lld is smaller than %s=%lld", op, ld_name,
                static_cast<long long>(ld), columns_name, static_cast<long long>(columns));
  if (ld > k_gemm_max_extent)
    return fail(err, GK_INVALID_ARGUMENT, "%s: %s=%lld; expected at most 2^40", op, ld_name,
                static_cast<long long>(ld));
  using wide = unsigned __int128;
  if (wide(rows) * wide(ld) * dtype_size(type) > wide(1) << 62)
    return fail(err, GK_INVALID_ARGUMENT, "%s: %lld rows with %s=%lld exceed the address space", op,
                static_cast<long long>(rows), ld_name, static_cast<long long>(ld));
  return GK_OK;
}

gk_status check_scales(const gk_gemm &p, gk_error *err) {
  if (p.scale_block_n < 0 || p.scale_block_k < 0)
    return fail(err, GK_INVALID_ARGUMENT, "gemm: scale_block_n=%lld scale_block_k=%lld; expected none below 0",
                static_cast<long long>(p.scale_block_n), static_cast<long long>(p.scale_block_k));
  const bool any = p.a_scale.buffer != nullptr || p.b_scale.buffer != nullptr || p.b2_scale.buffer != nullptr;
  if (any && !is_f8(p.a_type))
    return fail(err, GK_INVALID_ARGUMENT, "gemm: scales are for f8 operands; a_type is %s", dtype_name(p.a_type));
  if (any && p.scale_block_k == 0)
    return fail(err, GK_INVALID_ARGUMENT, "gemm: scale_block_k=0 with scales; expected at least 1");
  if ((p.b_scale.buffer != nullptr || p.b2_scale.buffer != nullptr) && p.scale_block_n == 0)
    return fail(err, GK_INVALID_ARGUMENT, "gemm: scale_block_n=0 with scales of B; expected at least 1");
  return GK_OK;
}

gk_status validate(const void *problem, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_gemm *>(problem);
  if (p.struct_size < sizeof(gk_gemm))
    return fail(err, GK_INVALID_ARGUMENT, "gemm: struct_size=%u; expected at least %zu", p.struct_size,
                sizeof(gk_gemm));
  if (!gemm_types_known(p.a_type, p.b_type, p.d_type))
    return fail(err, GK_UNSUPPORTED, "gemm: types %s(%u) x %s(%u) -> %s(%u) are not among those gk_gemm lists",
                dtype_name(p.a_type), p.a_type, dtype_name(p.b_type), p.b_type, dtype_name(p.d_type), p.d_type);
  if (p.epilogue != GK_EPILOGUE_NONE && p.epilogue != GK_EPILOGUE_SWIGLU)
    return fail(err, GK_UNSUPPORTED, "gemm: unknown epilogue %u", p.epilogue);
  if (p.accumulation != GK_ACCUMULATE_F32 && p.accumulation != GK_ACCUMULATE_SHORT)
    return fail(err, GK_UNSUPPORTED, "gemm: unknown accumulation %u", p.accumulation);
  const struct {
    text name;
    int64_t value;
  } extents[] = {{"m", p.m}, {"n", p.n}, {"k", p.k}};
  for (const auto &e : extents)
    if (const gk_status s = check_extent("gemm", e.name, e.value, err); s != GK_OK) return s;
  if (const gk_status s = check_matrix("gemm", "lda", p.lda, "k", p.k, p.m, p.a_type, err); s != GK_OK) return s;
  if (p.b_packed == 0) {
    if (const gk_status s = check_matrix("gemm", "ldb", p.ldb, "k", p.k, p.n, p.b_type, err); s != GK_OK) return s;
  } else if (p.b.offset != 0) {
    return fail(err, GK_INVALID_ARGUMENT, "gemm: a packed b begins at offset 0 of its buffer, not at %llu",
                static_cast<unsigned long long>(p.b.offset));
  }
  if (p.beta != 0 || p.c.buffer != nullptr)
    if (const gk_status s = check_matrix("gemm", "ldc", p.ldc, "n", p.n, p.m, p.d_type, err); s != GK_OK) return s;
  if (const gk_status s = check_matrix("gemm", "ldd", p.ldd, "n", p.n, p.m, p.d_type, err); s != GK_OK) return s;
  if (p.a_type == GK_I8) {
    if (p.alpha != 1 || (p.beta != 0 && p.beta != 1))
      return fail(err, GK_INVALID_ARGUMENT, "gemm: alpha=%g beta=%g with i8; expected alpha 1 and beta 0 or 1",
                  double(p.alpha), double(p.beta));
    if (p.epilogue != GK_EPILOGUE_NONE)
      return fail(err, GK_INVALID_ARGUMENT, "gemm: i8 operands have no epilogue; got %u", p.epilogue);
  }
  if (p.epilogue == GK_EPILOGUE_SWIGLU && p.beta != 0)
    return fail(err, GK_INVALID_ARGUMENT, "gemm: beta=%g with the swiglu epilogue; expected 0", double(p.beta));
  return check_scales(p, err);
}

std::vector<operand> operands(void *problem) {
  auto &p = *static_cast<gk_gemm *>(problem);
  const uint64_t a_size = dtype_size(p.a_type), b_size = dtype_size(p.b_type), d_size = dtype_size(p.d_type);
  const bool packed = p.b_packed != 0, pair = p.epilogue == GK_EPILOGUE_SWIGLU;
  const auto matrix = [](text name, gk_ref *ref, access mode, uint32_t type, int64_t rows, int64_t columns, int64_t ld,
                         uint64_t size, bool required) {
    return operand{name, ref, mode, type, uint64_t(rows), uint64_t(columns) * size, uint64_t(ld) * size, required};
  };
  const int64_t k_blocks = blocks(p.k, p.scale_block_k), n_blocks = blocks(p.n, p.scale_block_n);
  const bool c_there = p.beta != 0 || p.c.buffer != nullptr;
  return {
      matrix("a", &p.a, access::in, p.a_type, p.m, p.k, p.lda, a_size, true),
      matrix("b", &p.b, access::in, p.b_type, packed ? 0 : p.n, p.k, p.ldb, b_size, true),
      matrix("c", &p.c, access::in, p.d_type, c_there ? p.m : 0, p.n, p.ldc, d_size, p.beta != 0),
      matrix("d", &p.d, access::out, p.d_type, p.m, p.n, p.ldd, d_size, true),
      matrix("b2", &p.b2, access::in, p.b_type, pair && !packed ? p.n : 0, p.k, p.ldb, b_size, pair && !packed),
      matrix("a_scale", &p.a_scale, access::in, GK_F32, p.m, k_blocks, k_blocks, 4, false),
      matrix("b_scale", &p.b_scale, access::in, GK_F32, n_blocks, k_blocks, k_blocks, 4, false),
      matrix("b2_scale", &p.b2_scale, access::in, GK_F32, pair ? n_blocks : 0, k_blocks, k_blocks, 4, false),
  };
}

gk_status check_operands(const void *problem, operand_pointers pointers, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_gemm *>(problem);
  if (p.b_packed != 0 && pointers[k_gemm_b] == nullptr)
    return fail(err, GK_INVALID_ARGUMENT, "gemm: b_packed is set but operand b is absent");
  if (pointers[k_gemm_c] != nullptr && pointers[k_gemm_c] == pointers[k_gemm_d] && p.beta != 0 && p.ldc != p.ldd &&
      p.m > 1)
    return fail(err, GK_INVALID_ARGUMENT, "gemm: c is d but ldc=%lld is not ldd=%lld", static_cast<long long>(p.ldc),
                static_cast<long long>(p.ldd));
  return GK_OK;
}

work count(const void *problem) {
  const auto &p = *static_cast<const gk_gemm *>(problem);
  const double m = double(p.m), n = double(p.n), k = double(p.k);
  const double products = p.epilogue == GK_EPILOGUE_SWIGLU ? 2 : 1;
  work w;
  w.operations = 2 * m * n * k * products;
  w.bytes = m * k * dtype_size(p.a_type) + n * k * products * dtype_size(p.b_type) +
            m * n * dtype_size(p.d_type) * (p.beta != 0 ? 2 : 1);
  return w;
}

}  // namespace

bool gemm_types_known(uint32_t a_type, uint32_t b_type, uint32_t d_type) noexcept {
  if (!operand_types_known(a_type, b_type)) return false;
  return a_type == GK_I8 ? d_type == GK_I32 : is_float(d_type);
}

gk_status gemm_pack_validate(const gk_gemm_pack &p, gk_error *err) noexcept {
  if (p.struct_size < sizeof(gk_gemm_pack))
    return fail(err, GK_INVALID_ARGUMENT, "gemm_pack: struct_size=%u; expected at least %zu", p.struct_size,
                sizeof(gk_gemm_pack));
  if (!operand_types_known(p.a_type, p.b_type))
    return fail(err, GK_UNSUPPORTED, "gemm_pack: types %s(%u) x %s(%u) are not among those gk_gemm lists",
                dtype_name(p.a_type), p.a_type, dtype_name(p.b_type), p.b_type);
  if (p.epilogue != GK_EPILOGUE_NONE && p.epilogue != GK_EPILOGUE_SWIGLU)
    return fail(err, GK_UNSUPPORTED, "gemm_pack: unknown epilogue %u", p.epilogue);
  if (p.a_type == GK_I8 && p.epilogue != GK_EPILOGUE_NONE)
    return fail(err, GK_INVALID_ARGUMENT, "gemm_pack: i8 operands have no epilogue; got %u", p.epilogue);
  if (const gk_status s = check_extent("gemm_pack", "n", p.n, err); s != GK_OK) return s;
  if (const gk_status s = check_extent("gemm_pack", "k", p.k, err); s != GK_OK) return s;
  return check_matrix("gemm_pack", "ldb", p.ldb, "k", p.k, p.n, p.b_type, err);
}

extern const op_spec gemm_op;
const op_spec gemm_op = {.op = GK_OP_GEMM,
                         .name = "gemm",
                         .operation_unit = "flop",
                         .problem_size = sizeof(gk_gemm),
                         .exact = false,
                         .validate = validate,
                         .operands = operands,
                         .count = count,
                         .reference = gemm_reference,
                         .check_operands = check_operands};

}  // namespace gonka
