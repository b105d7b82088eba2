#include <limits>

#include "case_data.hpp"
#include "gather.hpp"

namespace gonka {

extern const op_spec gather_op;

namespace {

struct parameters {
  uint32_t x_type, out_type;
  int64_t rows, columns, x_rows, x_columns, pad;
  bool row_index, column_index;
};

built_case build(const op_case &self) {
  const auto &q = *static_cast<const parameters *>(self.parameters.get());
  auto p = std::make_shared<gk_gather>();
  *p = {.struct_size = sizeof *p,
        .implementation = 0,
        .x_type = q.x_type,
        .out_type = q.out_type,
        .rows = q.rows,
        .columns = q.columns,
        .x_rows = q.x_rows,
        .x_columns = q.x_columns,
        .ldx = q.x_columns + q.pad,
        .ldo = q.columns + 2 * q.pad,
        .x = {},
        .row_index = {},
        .column_index = {},
        .out = {}};
  built_case built = start_case(
      gather_op, p, (q.row_index ? 0 : 1u << k_gather_row_index) | (q.column_index ? 0 : 1u << k_gather_column_index));
  seeded_values values(self.seed);
  // Every binade that the types share and do not, so that overflow, ties and subnormals of the conversion occur.
  fill_operand(built, k_gather_x, [&](int64_t i) -> double {
    if (i % 37 == 0) return i % 2 != 0 ? std::numeric_limits<double>::infinity() : -0.0;
    if (i % 41 == 0) return NAN;
    if (i % 5 == 0) return std::copysign(std::exp2(values.uniform(-149, 127)), values.uniform(-1, 1));
    if (i % 7 == 0) return double(2 * values.below(1024) + 1) * 0x1p-25;  // ties of F16 subnormals
    if (i % 11 == 0) return double(257 + 2 * values.below(127));          // ties of BF16
    if (i % 13 == 0) return double(2049 + 2 * values.below(1023));        // ties of F16
    return std::copysign(std::exp2(values.uniform(-26, 17)), values.uniform(-1, 1));
  });
  fill_operand(built, k_gather_row_index, [&](int64_t i) {
    return double(i == 0 ? q.x_rows - 1 : i == 1 ? 0 : values.below(q.x_rows));
  });
  fill_operand(built, k_gather_column_index, [&](int64_t i) {
    return double(i == 0 ? q.x_columns - 1 : i == 1 ? 0 : values.below(q.x_columns));
  });
  return built;
}

comparison compare(const op_case &, const built_case &problem, const std::vector<std::vector<std::byte>> &got,
                   const std::vector<std::vector<std::byte>> &want) {
  return compare_operand(problem, k_gather_out, got, want, 0, [](int64_t, double) { return 0.0; });
}

}  // namespace

std::vector<op_case> gather_cases() {
  std::vector<op_case> list;
  const auto add = [&](uint32_t uses, parameters q) {
    const std::string name = std::string(dtype_name(q.x_type)) + " to " + dtype_name(q.out_type) + " " +
                             std::to_string(q.rows) + "x" + std::to_string(q.columns) + " of " +
                             std::to_string(q.x_rows) + "x" + std::to_string(q.x_columns) + " ld+" +
                             std::to_string(q.pad) + (q.row_index ? " rows" : "") + (q.column_index ? " columns" : "");
    list.push_back({name, uses, 6000 + list.size(), build, std::make_shared<parameters>(q), compare});
  };
  for (const uint32_t x_type : {GK_F32, GK_F16, GK_BF16})
    for (const uint32_t out_type : {GK_F32, GK_F16, GK_BF16}) {
      add(use_selftest | use_conformance, {x_type, out_type, 3, 35, 5, 40, 1, true, true});
      for (const int64_t columns : {0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 257}) {
        add(use_conformance, {x_type, out_type, 3, columns, 11, 300, columns % 4, true, false});
        add(use_conformance, {x_type, out_type, 3, columns, 3, 300, columns % 3, false, true});
      }
      for (const int64_t rows : {0, 1, 2, 67}) add(use_conformance, {x_type, out_type, rows, 40, 9, 41, 3, true, true});
      add(use_conformance, {x_type, out_type, 6, 97, 6, 97, 2, false, false});
    }
  for (const uint32_t type : {GK_F32, GK_F16, GK_BF16})
    add(use_full | use_bench, {type, type, 512, 4096, 4096, 4096, 0, true, false});
  add(use_full | use_bench, {GK_BF16, GK_F32, 1024, 2048, 1024, 4096, 0, false, true});
  return list;
}

}  // namespace gonka
