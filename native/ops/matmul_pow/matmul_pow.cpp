#include "matmul_pow/matmul_pow.hpp"

#include <cstddef>

#include "check.hpp"

namespace gonka {
namespace {

gk_status check_extent(const char *name, uint32_t value, uint32_t step, gk_error *err) noexcept {
  if (value >= step && value <= k_pow_max_extent && value % step == 0) return GK_OK;
  return fail(err, GK_INVALID_ARGUMENT, "matmul_pow: %s=%u; expected a multiple of %u from %u to %u", name, value, step,
              step, k_pow_max_extent);
}

// sizeof gk_matmul_pow of 1.0, which had no part.
constexpr uint32_t k_first_size = offsetof(gk_matmul_pow, tile_row);

gk_status check_part(const char *name, uint32_t first, uint32_t count, uint32_t tiles, gk_error *err) noexcept {
  if (first <= tiles && count <= tiles - first) return GK_OK;
  return fail(err, GK_INVALID_ARGUMENT, "matmul_pow: %u tile %s from %u; there are %u", count, name, first, tiles);
}

gk_status check_part(const gk_matmul_pow &p, gk_error *err) noexcept {
  if (!GK_HAS(&p, gk_matmul_pow, tile_columns)) return GK_OK;
  if ((p.tile_rows == 0) != (p.tile_columns == 0) || (p.tile_rows == 0 && (p.tile_row != 0 || p.tile_column != 0)))
    return fail(err, GK_INVALID_ARGUMENT, "matmul_pow: a part of %u tile rows from %u and %u tile columns from %u",
                p.tile_rows, p.tile_row, p.tile_columns, p.tile_column);
  if (const gk_status s = check_part("rows", p.tile_row, p.tile_rows, p.m / 64, err); s != GK_OK) return s;
  return check_part("columns", p.tile_column, p.tile_columns, p.n / 64, err);
}

gk_status validate(const void *problem, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_matmul_pow *>(problem);
  if (const gk_status s = check_struct("matmul_pow", p.struct_size, k_first_size, err); s != GK_OK) return s;
  if (p.profile != GK_POW_I8 && p.profile != GK_POW_I4)
    return fail(err, GK_UNSUPPORTED, "matmul_pow: profile=%u; expected 1 (i8) or 2 (i4)", p.profile);
  if (const gk_status s = check_extent("m", p.m, 64, err); s != GK_OK) return s;
  if (const gk_status s = check_extent("n", p.n, 64, err); s != GK_OK) return s;
  if (const gk_status s = check_extent("k", p.k, 256, err); s != GK_OK) return s;
  if (p.shares == nullptr && p.shares_capacity != 0)
    return fail(err, GK_INVALID_ARGUMENT, "matmul_pow: shares is null but shares_capacity is %u", p.shares_capacity);
  return check_part(p, err);
}

std::vector<operand> operands(void *problem) {
  auto &p = *static_cast<gk_matmul_pow *>(problem);
  return {operand{"a_given", &p.a_given, access::in, GK_I8, p.m, p.k, p.k},
          operand{"b_given", &p.b_given, access::in, GK_I8, p.n, p.k, p.k}};
}

// Multiply and add count as two, as in gemm. The operands are made on the device: nothing is read.
work count(const void *problem) {
  const auto &p = *static_cast<const gk_matmul_pow *>(problem);
  const pow_part part = pow_part_of(p);
  return {.operations = 2.0 * 64 * 64 * part.rows * part.columns * p.k, .bytes = 0};
}

}  // namespace

extern const op_spec matmul_pow_op;
const op_spec matmul_pow_op = {.op = GK_OP_MATMUL_POW,
                               .name = "matmul_pow",
                               .operation_unit = "op",
                               .problem_size = sizeof(gk_matmul_pow),
                               .exact = true,
                               .validate = validate,
                               .operands = operands,
                               .count = count,
                               .reference = matmul_pow_reference};

}  // namespace gonka
