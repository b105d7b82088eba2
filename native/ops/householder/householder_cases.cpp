#include "case_data.hpp"
#include "householder.hpp"
#include "householder_compare.hpp"

namespace gonka {

extern const op_spec householder_op;

namespace {

struct parameters {
  uint32_t type;
  int64_t rows, columns, pad;
  double scale;  // typical |x|; v has norm 1
};

built_case build(const op_case &self) {
  const auto &q = *static_cast<const parameters *>(self.parameters.get());
  auto p = std::make_shared<gk_householder>();
  *p = {.struct_size = sizeof *p,
        .implementation = 0,
        .type = q.type,
        .reserved = 0,
        .rows = q.rows,
        .columns = q.columns,
        .ldx = q.columns + q.pad,
        .x = {},
        .v = {}};
  built_case built = start_case(householder_op, p);
  seeded_values values(self.seed);
  fill_operand(built, k_householder_x, [&](int64_t) { return q.scale * values.normal(); });
  const double norm = std::sqrt(double(q.columns));
  fill_operand(built, k_householder_v, [&](int64_t) { return values.normal() / norm; });
  return built;
}

comparison compare(const op_case &self, const built_case &problem, const std::vector<std::vector<std::byte>> &got,
                   const std::vector<std::vector<std::byte>> &want) {
  const auto &q = *static_cast<const parameters *>(self.parameters.get());
  std::vector<double> v, before;
  for (int64_t c = 0; c < q.columns; ++c)
    v.push_back(read_element(q.type, problem.data[k_householder_v].data(), uint64_t(c)));
  const auto &x = problem.data[k_householder_x];
  for_each_pair(problem.operands[k_householder_x], x, x,
                [&](int64_t, double value, double) { before.push_back(value); });
  const reflection_bounds bounds(q.type, q.columns, before, v);
  return compare_operand(problem, k_householder_x, got, want, bounds.aggregate(), bounds);
}

}  // namespace

std::vector<op_case> householder_cases() {
  std::vector<op_case> list;
  const auto add = [&](uint32_t uses, parameters q) {
    std::string name = std::string(dtype_name(q.type)) + " " + std::to_string(q.rows) + "x" +
                       std::to_string(q.columns) + " ld+" + std::to_string(q.pad);
    if (q.scale != 1) name += q.scale > 1 ? " large" : " tiny";
    list.push_back({name, uses, 3000 + list.size(), build, std::make_shared<parameters>(q), compare});
  };
  for (const uint32_t type : {GK_F32, GK_F16, GK_BF16}) {
    add(use_selftest | use_conformance, {type, 3, 35, 1, 1});
    for (const int64_t columns : {0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 64, 97, 127, 257, 1031, 4096})
      add(use_conformance, {type, 3, columns, columns % 4, 1});
    for (const int64_t rows : {0, 1, 2, 5, 67}) add(use_conformance, {type, rows, 40, 3, 1});
    add(use_conformance, {type, 2, 96, 1, type == GK_F16 ? 1e3 : 1e15});
    add(use_conformance, {type, 2, 96, 1, type == GK_F16 ? 1e-5 : 1e-39});
    add(use_full | use_bench, {type, 512, 4096, 0, 1});
  }
  return list;
}

}  // namespace gonka
