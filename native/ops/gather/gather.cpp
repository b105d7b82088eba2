#include "gather.hpp"

#include "check.hpp"

namespace gonka {
namespace {

gk_status validate(const void *problem, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_gather *>(problem);
  gk_status s = check_struct("gather", p.struct_size, sizeof p, err);
  if (s == GK_OK) s = check_float("gather", "x_type", p.x_type, err);
  if (s == GK_OK) s = check_float("gather", "out_type", p.out_type, err);
  if (s == GK_OK) s = check_extents("gather", p.rows, p.columns, err);
  if (s != GK_OK) return s;
  if (p.x_rows < 0 || p.x_columns < 0)
    return fail(err, GK_INVALID_ARGUMENT, "gather: x_rows=%lld, x_columns=%lld; expected both >= 0",
                static_cast<long long>(p.x_rows), static_cast<long long>(p.x_columns));
  if (p.ldx < p.x_columns)
    return fail(err, GK_INVALID_ARGUMENT, "gather: ldx=%lld is smaller than x_columns=%lld",
                static_cast<long long>(p.ldx), static_cast<long long>(p.x_columns));
  if (!extent_fits(1, 0, p.x_rows, p.ldx, p.x_columns, p.x_type) ||
      !extent_fits(1, 0, p.rows, p.columns, p.columns, GK_I32))
    return fail(err, GK_INVALID_ARGUMENT,
                "gather: x_rows=%lld with ldx=%lld, or rows=%lld by columns=%lld, exceed 2^62 bytes",
                static_cast<long long>(p.x_rows), static_cast<long long>(p.ldx), static_cast<long long>(p.rows),
                static_cast<long long>(p.columns));
  return check_matrix("gather", "ldo", p.ldo, p.rows, p.columns, p.out_type, err);
}

std::vector<operand> operands(void *problem) {
  auto &p = *static_cast<gk_gather *>(problem);
  const bool empty = p.rows == 0 || p.columns == 0;
  std::vector<operand> list = {
      matrix_operand("x", p.x, access::in, p.x_type, empty ? 0 : p.x_rows, p.x_columns, p.ldx),
      matrix_operand("row_index", p.row_index, access::in, GK_I32, 1, empty ? 0 : p.rows, p.rows),
      matrix_operand("column_index", p.column_index, access::in, GK_I32, p.rows, p.columns, p.columns),
      matrix_operand("out", p.out, access::out, p.out_type, p.rows, p.columns, p.ldo),
  };
  list[k_gather_row_index].required = list[k_gather_column_index].required = false;
  return list;
}

work count(const void *problem) {
  const auto &p = *static_cast<const gk_gather *>(problem);
  const double values = double(p.rows) * double(p.columns);
  return {values, values * (dtype_size(p.x_type) + dtype_size(p.out_type))};
}

// First of `count` indices outside [0, limit), or count.
int64_t first_outside(const int32_t *index, int64_t count, int64_t limit) {
  for (int64_t i = 0; i < count; ++i)
    if (index[i] < 0 || index[i] >= limit) return i;
  return count;
}

gk_status check_operands(const void *problem, operand_pointers pointers, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_gather *>(problem);
  if (p.rows == 0 || p.columns == 0) return GK_OK;
  const auto *row = static_cast<const int32_t *>(pointers[k_gather_row_index]);
  const auto *column = static_cast<const int32_t *>(pointers[k_gather_column_index]);
  if (row == nullptr && p.rows > p.x_rows)
    return fail(err, GK_INVALID_ARGUMENT, "gather: rows=%lld without row_index; expected at most x_rows=%lld",
                static_cast<long long>(p.rows), static_cast<long long>(p.x_rows));
  if (column == nullptr && p.columns > p.x_columns)
    return fail(err, GK_INVALID_ARGUMENT, "gather: columns=%lld without column_index; expected at most x_columns=%lld",
                static_cast<long long>(p.columns), static_cast<long long>(p.x_columns));
  if (row != nullptr)
    if (const int64_t i = first_outside(row, p.rows, p.x_rows); i < p.rows)
      return fail(err, GK_INVALID_ARGUMENT, "gather: row_index[%lld]=%d; expected 0 <= index < x_rows=%lld",
                  static_cast<long long>(i), row[i], static_cast<long long>(p.x_rows));
  if (column != nullptr)
    if (const int64_t i = first_outside(column, p.rows * p.columns, p.x_columns); i < p.rows * p.columns)
      return fail(err, GK_INVALID_ARGUMENT, "gather: column_index[%lld][%lld]=%d; expected 0 <= index < x_columns=%lld",
                  static_cast<long long>(i / p.columns), static_cast<long long>(i % p.columns), column[i],
                  static_cast<long long>(p.x_columns));
  return GK_OK;
}

}  // namespace

extern const op_spec gather_op;
const op_spec gather_op = {
    .op = GK_OP_GATHER,
    .name = "gather",
    .operation_unit = "value",
    .problem_size = sizeof(gk_gather),
    .exact = true,
    .validate = validate,
    .operands = operands,
    .count = count,
    .reference = gather_reference,
    .check_operands = check_operands,
};

}  // namespace gonka
