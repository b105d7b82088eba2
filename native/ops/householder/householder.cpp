#include "householder.hpp"

#include "check.hpp"

namespace gonka {
namespace {

gk_status validate(const void *problem, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_householder *>(problem);
  gk_status s = check_struct("householder", p.struct_size, sizeof p, err);
  if (s == GK_OK) s = check_float("householder", "type", p.type, err);
  if (s == GK_OK) s = check_extents("householder", p.rows, p.columns, err);
  if (s == GK_OK) s = check_matrix("householder", "ldx", p.ldx, p.rows, p.columns, p.type, err);
  return s;
}

std::vector<operand> operands(void *problem) {
  auto &p = *static_cast<gk_householder *>(problem);
  return {
      matrix_operand("x", p.x, access::inout, p.type, p.rows, p.columns, p.ldx),
      matrix_operand("v", p.v, access::in, p.type, 1, p.columns, p.columns),
  };
}

work count(const void *problem) {
  const auto &p = *static_cast<const gk_householder *>(problem);
  const double values = double(p.rows) * double(p.columns);
  return {values, (2 * values + double(p.columns)) * dtype_size(p.type)};
}

}  // namespace

extern const op_spec householder_op;
const op_spec householder_op = {
    .op = GK_OP_HOUSEHOLDER,
    .name = "householder",
    .operation_unit = "value",
    .problem_size = sizeof(gk_householder),
    .exact = false,
    .validate = validate,
    .operands = operands,
    .count = count,
    .reference = householder_reference,
};

}  // namespace gonka
