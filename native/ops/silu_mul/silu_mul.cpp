#include "silu_mul.hpp"

#include "check.hpp"

namespace gonka {
namespace {

gk_status validate(const void *problem, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_silu_mul *>(problem);
  gk_status s = check_struct("silu_mul", p.struct_size, sizeof p, err);
  if (s == GK_OK) s = check_float("silu_mul", "type", p.type, err);
  if (s == GK_OK) s = check_extents("silu_mul", p.rows, p.columns, err);
  if (s == GK_OK) s = check_matrix("silu_mul", "ld_gate", p.ld_gate, p.rows, p.columns, p.type, err);
  if (s == GK_OK) s = check_matrix("silu_mul", "ld_up", p.ld_up, p.rows, p.columns, p.type, err);
  if (s == GK_OK) s = check_matrix("silu_mul", "ldo", p.ldo, p.rows, p.columns, p.type, err);
  return s;
}

std::vector<operand> operands(void *problem) {
  auto &p = *static_cast<gk_silu_mul *>(problem);
  return {
      matrix_operand("gate", p.gate, access::in, p.type, p.rows, p.columns, p.ld_gate),
      matrix_operand("up", p.up, access::in, p.type, p.rows, p.columns, p.ld_up),
      matrix_operand("out", p.out, access::out, p.type, p.rows, p.columns, p.ldo),
  };
}

work count(const void *problem) {
  const auto &p = *static_cast<const gk_silu_mul *>(problem);
  const double values = double(p.rows) * double(p.columns);
  return {values, 3 * values * dtype_size(p.type)};
}

}  // namespace

extern const op_spec silu_mul_op;
const op_spec silu_mul_op = {
    .op = GK_OP_SILU_MUL,
    .name = "silu_mul",
    .operation_unit = "value",
    .problem_size = sizeof(gk_silu_mul),
    .exact = false,
    .validate = validate,
    .operands = operands,
    .count = count,
    .reference = silu_mul_reference,
};

}  // namespace gonka
