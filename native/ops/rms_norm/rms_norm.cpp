#include "rms_norm.hpp"

#include <cmath>

#include "check.hpp"

namespace gonka {
namespace {

gk_status validate(const void *problem, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_rms_norm *>(problem);
  gk_status s = check_struct("rms_norm", p.struct_size, sizeof p, err);
  if (s == GK_OK) s = check_float("rms_norm", "type", p.type, err);
  if (s == GK_OK) s = check_float("rms_norm", "w_type", p.w_type, err);
  if (s == GK_OK && p.round_before_weight > 1)
    s = fail(err, GK_UNSUPPORTED, "rms_norm: round_before_weight=%u; expected 0 or 1", p.round_before_weight);
  if (s == GK_OK && !(p.eps >= 0 && std::isfinite(p.eps)))
    s = fail(err, GK_INVALID_ARGUMENT, "rms_norm: eps=%g; expected a finite value >= 0", double(p.eps));
  if (s == GK_OK) s = check_extents("rms_norm", p.rows, p.columns, err);
  if (s == GK_OK) s = check_matrix("rms_norm", "ldx", p.ldx, p.rows, p.columns, p.type, err);
  // Without a residual its leading dimensions mean nothing and may be 0.
  if (s == GK_OK && (p.residual.buffer != nullptr || p.ld_residual != 0))
    s = check_matrix("rms_norm", "ld_residual", p.ld_residual, p.rows, p.columns, p.type, err);
  if (s == GK_OK && (p.sum.buffer != nullptr || p.ld_sum != 0))
    s = check_matrix("rms_norm", "ld_sum", p.ld_sum, p.rows, p.columns, p.type, err);
  if (s == GK_OK) s = check_matrix("rms_norm", "ldy", p.ldy, p.rows, p.columns, p.type, err);
  return s;
}

std::vector<operand> operands(void *problem) {
  auto &p = *static_cast<gk_rms_norm *>(problem);
  std::vector<operand> list = {
      matrix_operand("x", p.x, access::in, p.type, p.rows, p.columns, p.ldx),
      matrix_operand("residual", p.residual, access::in, p.type, p.rows, p.columns, p.ld_residual),
      matrix_operand("sum", p.sum, access::out, p.type, p.rows, p.columns, p.ld_sum),
      matrix_operand("w", p.w, access::in, p.w_type, 1, p.columns, p.columns),
      matrix_operand("y", p.y, access::out, p.type, p.rows, p.columns, p.ldy),
      matrix_operand("reflector", p.reflector, access::in, p.type, 1, p.columns, p.columns),
  };
  list[k_rms_norm_residual].required = list[k_rms_norm_sum].required = list[k_rms_norm_reflector].required = false;
  return list;
}

work count(const void *problem) {
  const auto &p = *static_cast<const gk_rms_norm *>(problem);
  const double values = double(p.rows) * double(p.columns);
  const double streams = p.residual.buffer != nullptr || p.ld_residual != 0 ? 4 : p.ld_sum != 0 ? 3 : 2;
  return {values, streams * values * dtype_size(p.type) + double(p.columns) * dtype_size(p.w_type)};
}

gk_status check_operands(const void *problem, operand_pointers pointers, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_rms_norm *>(problem);
  if (p.rows == 0 || p.columns == 0) return GK_OK;
  const bool changes = pointers[k_rms_norm_residual] != nullptr || pointers[k_rms_norm_reflector] != nullptr;
  if (changes && pointers[k_rms_norm_sum] == nullptr)
    return fail(err, GK_INVALID_ARGUMENT, "rms_norm: %s without sum; expected a place for what is normalised",
                pointers[k_rms_norm_residual] != nullptr ? "residual" : "reflector");
  if (!changes && pointers[k_rms_norm_sum] != nullptr)
    return fail(err, GK_INVALID_ARGUMENT,
                "rms_norm: sum without residual or reflector; expected neither or one of them");
  return GK_OK;
}

}  // namespace

extern const op_spec rms_norm_op;
const op_spec rms_norm_op = {
    .op = GK_OP_RMS_NORM,
    .name = "rms_norm",
    .operation_unit = "value",
    .problem_size = sizeof(gk_rms_norm),
    .exact = false,
    .validate = validate,
    .operands = operands,
    .count = count,
    .reference = rms_norm_reference,
    .check_operands = check_operands,
};

}  // namespace gonka
