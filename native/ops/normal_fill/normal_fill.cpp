#include "normal_fill/normal_fill.hpp"

#include <cmath>

#include "check.hpp"

namespace gonka {
namespace {

gk_status validate(const void *problem, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_normal_fill *>(problem);
  if (const gk_status s = check_struct("normal_fill", p.struct_size, sizeof p, err); s != GK_OK) return s;
  const bool murmur = p.generator == GK_NORMAL_MURMUR3;
  if (!murmur && p.generator != GK_NORMAL_PCG64)
    return fail(err, GK_UNSUPPORTED, "normal_fill: generator=%u; expected 1 (murmur3) or 2 (pcg64)", p.generator);
  if (murmur || p.out_type != GK_F64)
    if (const gk_status s = check_float("normal_fill", "out_type", p.out_type, err); s != GK_OK) return s;
  if (const gk_status s = check_extents("normal_fill", p.rows, p.columns, err); s != GK_OK) return s;
  if (const gk_status s = check_matrix("normal_fill", "ldo", p.ldo, p.rows, p.columns, p.out_type, err); s != GK_OK)
    return s;
  if (murmur ? p.segments < 1 : p.segments != 1)
    return fail(err, GK_INVALID_ARGUMENT, "normal_fill: segments=%u; expected %s", p.segments,
                murmur ? "at least 1" : "1 for pcg64");
  // Keys are 32 bits wide: a longer segment would repeat itself.
  if (murmur && normal_segment_of(p, 0).count > (int64_t(1) << 32) - 1)
    return fail(err, GK_INVALID_ARGUMENT, "normal_fill: segments of %lld values; expected less than 2^32",
                static_cast<long long>(normal_segment_of(p, 0).count));
  if (!std::isfinite(p.sigma))
    return fail(err, GK_INVALID_ARGUMENT, "normal_fill: sigma=%g; expected a finite number", p.sigma);
  if (p.rows != 0 && p.columns != 0 && (murmur ? p.seeds_u32 == nullptr : p.seeds_u64 == nullptr))
    return fail(err, GK_INVALID_ARGUMENT, "normal_fill: %s is null; expected seeds for every row",
                murmur ? "seeds_u32" : "seeds_u64");
  return GK_OK;
}

std::vector<operand> operands(void *problem) {
  auto &p = *static_cast<gk_normal_fill *>(problem);
  return {matrix_operand("out", p.out, access::out, p.out_type, p.rows, p.columns, p.ldo)};
}

work count(const void *problem) {
  const auto &p = *static_cast<const gk_normal_fill *>(problem);
  const double values = double(p.rows) * double(p.columns);
  return {values, values * dtype_size(p.out_type)};
}

}  // namespace

extern const op_spec normal_fill_op;
const op_spec normal_fill_op = {.op = GK_OP_NORMAL_FILL,
                                .name = "normal_fill",
                                .operation_unit = "value",
                                .problem_size = sizeof(gk_normal_fill),
                                .exact = false,
                                .validate = validate,
                                .operands = operands,
                                .count = count,
                                .reference = normal_fill_reference};

}  // namespace gonka
