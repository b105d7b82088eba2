#include "permuted_distance.hpp"

#include "check.hpp"

namespace gonka {
namespace {

gk_status validate(const void *problem, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_permuted_distance *>(problem);
  gk_status s = check_struct("permuted_distance", p.struct_size, sizeof p, err);
  if (s == GK_OK) s = check_float("permuted_distance", "x_type", p.x_type, err);
  if (s == GK_OK) s = check_extents("permuted_distance", p.rows, p.columns, err);
  if (s == GK_OK) s = check_matrix("permuted_distance", "ldx", p.ldx, p.rows, p.columns, p.x_type, err);
  if (s != GK_OK) return s;
  if (p.columns > 0x7fffffff)
    return fail(err, GK_INVALID_ARGUMENT, "permuted_distance: columns=%lld; expected at most 2^31 - 1",
                static_cast<long long>(p.columns));
  if (!extent_fits(1, 0, 1, p.rows, p.rows, GK_F64))
    return fail(err, GK_INVALID_ARGUMENT, "permuted_distance: rows=%lld exceed 2^62 bytes",
                static_cast<long long>(p.rows));
  if (p.rows != 0 && p.seeds == nullptr)
    return fail(err, GK_INVALID_ARGUMENT, "permuted_distance: seeds is null; expected four words for every row");
  return GK_OK;
}

std::vector<operand> operands(void *problem) {
  auto &p = *static_cast<gk_permuted_distance *>(problem);
  return {
      matrix_operand("x", p.x, access::in, p.x_type, p.rows, p.columns, p.ldx),
      matrix_operand("target", p.target, access::in, GK_F64, 1, p.rows == 0 ? 0 : p.columns, p.columns),
      matrix_operand("distance", p.distance, access::out, GK_F64, 1, p.rows, p.rows),
  };
}

work count(const void *problem) {
  const auto &p = *static_cast<const gk_permuted_distance *>(problem);
  const double values = double(p.rows) * double(p.columns);
  return {values, values * dtype_size(p.x_type) + double(p.columns) * 8 + double(p.rows) * 8};
}

void add_leaves(uint32_t begin, uint32_t count, std::vector<sum_leaf> &list) {
  if (count <= 128) {
    list.push_back({begin, count, 0});
    return;
  }
  const uint32_t half = count / 2 / 8 * 8;
  add_leaves(begin, half, list);
  add_leaves(begin + half, count - half, list);
  ++list.back().joins;
}

}  // namespace

std::vector<sum_leaf> pairwise_leaves(uint32_t count) {
  std::vector<sum_leaf> list;
  add_leaves(0, count, list);
  return list;
}

extern const op_spec permuted_distance_op;
const op_spec permuted_distance_op = {
    .op = GK_OP_PERMUTED_DISTANCE,
    .name = "permuted_distance",
    .operation_unit = "value",
    .problem_size = sizeof(gk_permuted_distance),
    .exact = true,
    .validate = validate,
    .operands = operands,
    .count = count,
    .reference = permuted_distance_reference,
};

}  // namespace gonka
