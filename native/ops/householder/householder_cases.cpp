#include "case_data.hpp"
#include "householder.hpp"

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

// F32: the bound of gk_householder plus rounding. Half precision: every step is rounded where the reference rounds, so
// only the F32 (or better) sum is free; its error may move the rounded dot product by one unit, and each later rounding
// by one unit of its own result.
comparison compare(const op_case &self, const built_case &problem, const std::vector<std::vector<std::byte>> &got,
                   const std::vector<std::vector<std::byte>> &want) {
  const auto &q = *static_cast<const parameters *>(self.parameters.get());
  std::vector<double> v(size_t(q.columns)), norm(size_t(q.rows)), dot(size_t(q.rows)), before;
  for (int64_t c = 0; c < q.columns; ++c) v[c] = read_element(q.type, problem.data[k_householder_v].data(), c);
  double norm_v = 0;
  for (const double value : v) norm_v += value * value;
  norm_v = std::sqrt(norm_v);
  const auto &x = problem.data[k_householder_x];
  for_each_pair(problem.operands[k_householder_x], x, x, [&](int64_t i, double value, double) {
    norm[i / q.columns] += value * value;
    dot[i / q.columns] += value * v[i % q.columns];
    before.push_back(std::abs(value));
  });
  const double u = unit_roundoff(q.type);
  const bool is_f32 = q.type == GK_F32;
  const double relative = 2 * (double(q.columns) + 8) * k_eps32;
  const double aggregate = is_f32 ? (2 * std::sqrt(double(q.columns)) + 8) * k_eps32 : 4 * u;
  return compare_operand(problem, k_householder_x, got, want, aggregate, [&](int64_t i, double value) {
    const int64_t r = i / q.columns, c = i % q.columns;
    const double rounding = 2 * rounding_bound(q.type, value);
    const double length = std::sqrt(norm[r]);
    const double sum_error = relative * length * norm_v * std::abs(v[c]);
    if (is_f32) return sum_error + rounding;
    // One unit (2u) of the dot product, one of 2 dot v, as the products' own rounding is the same on both sides.
    const double reflected = 2 * (std::abs(dot[r]) + u * length * norm_v) * std::abs(v[c]);
    return sum_error + 2 * u * reflected + 2 * u * reflected + 2 * smallest_step(q.type) * (1 + std::abs(v[c])) +
           rounding;
  });
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
