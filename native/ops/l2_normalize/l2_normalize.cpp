#include "l2_normalize.hpp"

#include <cmath>

#include "check.hpp"

namespace gonka {
namespace {

gk_status validate(const void *problem, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_l2_normalize *>(problem);
  gk_status s = check_struct("l2_normalize", p.struct_size, sizeof p, err);
  if (s == GK_OK) s = check_float("l2_normalize", "type", p.type, err);
  if (s == GK_OK && !(p.eps >= 0 && std::isfinite(p.eps)))
    s = fail(err, GK_INVALID_ARGUMENT, "l2_normalize: eps=%g; expected a finite value >= 0", double(p.eps));
  if (s == GK_OK) s = check_extents("l2_normalize", p.rows, p.columns, err);
  if (s == GK_OK) s = check_matrix("l2_normalize", "ldx", p.ldx, p.rows, p.columns, p.type, err);
  if (s == GK_OK) s = check_matrix("l2_normalize", "ldy", p.ldy, p.rows, p.columns, p.type, err);
  return s;
}

std::vector<operand> operands(void *problem) {
  auto &p = *static_cast<gk_l2_normalize *>(problem);
  return {
      matrix_operand("x", p.x, access::in, p.type, p.rows, p.columns, p.ldx),
      matrix_operand("y", p.y, access::out, p.type, p.rows, p.columns, p.ldy),
  };
}

work count(const void *problem) {
  const auto &p = *static_cast<const gk_l2_normalize *>(problem);
  const double values = double(p.rows) * double(p.columns);
  return {values, 2 * values * dtype_size(p.type)};
}

}  // namespace

extern const op_spec l2_normalize_op;
const op_spec l2_normalize_op = {
    .op = GK_OP_L2_NORMALIZE,
    .name = "l2_normalize",
    .operation_unit = "value",
    .problem_size = sizeof(gk_l2_normalize),
    .exact = false,
    .validate = validate,
    .operands = operands,
    .count = count,
    .reference = l2_normalize_reference,
};

}  // namespace gonka
