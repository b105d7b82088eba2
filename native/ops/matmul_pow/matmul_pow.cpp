#include "matmul_pow/matmul_pow.hpp"

#include "check.hpp"

namespace gonka {
namespace {

gk_status check_extent(const char *name, uint32_t value, uint32_t step, gk_error *err) noexcept {
  if (value >= step && value <= k_pow_max_extent && value % step == 0) return GK_OK;
  return fail(err, GK_INVALID_ARGUMENT, "matmul_pow: %s=%u; expected a multiple of %u from %u to %u", name, value, step,
              step, k_pow_max_extent);
}

gk_status validate(const void *problem, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_matmul_pow *>(problem);
  if (const gk_status s = check_struct("matmul_pow", p.struct_size, sizeof p, err); s != GK_OK) return s;
  if (p.profile != GK_POW_I8 && p.profile != GK_POW_I4)
    return fail(err, GK_UNSUPPORTED, "matmul_pow: profile=%u; expected 1 (i8) or 2 (i4)", p.profile);
  if (const gk_status s = check_extent("m", p.m, 64, err); s != GK_OK) return s;
  if (const gk_status s = check_extent("n", p.n, 64, err); s != GK_OK) return s;
  if (const gk_status s = check_extent("k", p.k, 256, err); s != GK_OK) return s;
  if (p.shares == nullptr && p.shares_capacity != 0)
    return fail(err, GK_INVALID_ARGUMENT, "matmul_pow: shares is null but shares_capacity is %u", p.shares_capacity);
  return GK_OK;
}

std::vector<operand> operands(void *problem) {
  auto &p = *static_cast<gk_matmul_pow *>(problem);
  return {operand{"a_given", &p.a_given, access::in, GK_I8, p.m, p.k, p.k},
          operand{"b_given", &p.b_given, access::in, GK_I8, p.n, p.k, p.k}};
}

// Multiply and add count as two, as in gemm. The operands are made on the device: nothing is read.
work count(const void *problem) {
  const auto &p = *static_cast<const gk_matmul_pow *>(problem);
  return {.operations = 2.0 * p.m * p.n * p.k, .bytes = 0};
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
