#include "case_data.hpp"
#include "householder/householder_compare.hpp"
#include "rms_norm.hpp"

namespace gonka {

extern const op_spec rms_norm_op;

namespace {

enum class place { apart, y_is_x, sum_is_x, sum_is_residual };

struct parameters {
  uint32_t type, w_type;
  int64_t rows, columns, pad;
  bool residual, round_before_weight;
  place where;
  double scale;  // typical |x|
  float eps;
  bool reflector = false;
};

built_case build(const op_case &self) {
  const auto &q = *static_cast<const parameters *>(self.parameters.get());
  auto p = std::make_shared<gk_rms_norm>();
  *p = {.struct_size = sizeof *p,
        .implementation = 0,
        .type = q.type,
        .w_type = q.w_type,
        .round_before_weight = q.round_before_weight,
        .eps = q.eps,
        .rows = q.rows,
        .columns = q.columns,
        .ldx = q.columns + q.pad,
        .ld_residual = q.residual ? q.columns + (q.where == place::sum_is_residual ? q.pad : 2 * q.pad) : 0,
        .ld_sum = q.residual || q.reflector ? q.columns + q.pad : 0,
        .ldy = q.columns + (q.where == place::y_is_x ? q.pad : 3 * q.pad),
        .x = {},
        .residual = {},
        .sum = {},
        .w = {},
        .y = {},
        .reflector = {}};
  const uint32_t absent = (q.residual ? 0 : 1u << k_rms_norm_residual) |
                          (q.residual || q.reflector ? 0 : 1u << k_rms_norm_sum) |
                          (q.reflector ? 0 : 1u << k_rms_norm_reflector);
  built_case built = start_case(rms_norm_op, p, absent);
  seeded_values values(self.seed);
  fill_operand(built, k_rms_norm_x, [&](int64_t) { return q.scale * values.normal(); });
  fill_operand(built, k_rms_norm_residual, [&](int64_t) { return q.scale * values.normal(); });
  fill_operand(built, k_rms_norm_w, [&](int64_t) { return values.uniform(-2, 2); });
  fill_operand(built, k_rms_norm_reflector, [&](int64_t) { return values.normal() / std::sqrt(double(q.columns)); });
  const auto share = [&](rms_norm_operand i, rms_norm_operand with) {
    built.same_place.assign(built.operands.size(), -1);
    built.same_place[i] = with;
    built.data[i] = built.data[with];
  };
  if (q.where == place::y_is_x) share(k_rms_norm_y, k_rms_norm_x);
  if (q.where == place::sum_is_x) share(k_rms_norm_sum, k_rms_norm_x);
  if (q.where == place::sum_is_residual) share(k_rms_norm_sum, k_rms_norm_residual);
  return built;
}

// Rows of operand i as they lie in data.
std::vector<double> values_of(const built_case &problem, size_t i, const std::vector<std::vector<std::byte>> &data) {
  std::vector<double> out;
  if (problem.present[i])
    for_each_pair(problem.operands[i], data[i], data[i], [&](int64_t, double value, double) { out.push_back(value); });
  return out;
}

// sum: what gk_householder may differ by. y: the error of sum, through the division and the weight, on top of its own.
comparison compare_reflected(const parameters &q, const built_case &problem,
                             const std::vector<std::vector<std::byte>> &got,
                             const std::vector<std::vector<std::byte>> &want, double relative) {
  std::vector<double> before = values_of(problem, k_rms_norm_x, problem.data);
  const std::vector<double> residual = values_of(problem, k_rms_norm_residual, problem.data);
  for (size_t i = 0; i < residual.size(); ++i) before[i] = round_to(q.type, before[i] + residual[i]);
  const reflection_bounds bounds(q.type, q.columns, before, values_of(problem, k_rms_norm_reflector, problem.data));
  const comparison sum = compare_operand(problem, k_rms_norm_sum, got, want, bounds.aggregate(), bounds);
  const std::vector<double> reflected = values_of(problem, k_rms_norm_sum, want);
  const std::vector<double> w = values_of(problem, k_rms_norm_w, problem.data);
  std::vector<double> squares(size_t(q.rows)), errors(size_t(q.rows));
  for (size_t i = 0; i < reflected.size(); ++i) {
    const double error = bounds(int64_t(i), reflected[i]);
    squares[i / size_t(q.columns)] += reflected[i] * reflected[i];
    errors[i / size_t(q.columns)] += error * error;
  }
  const double aggregate = bounds.aggregate() + relative + 4 * unit_roundoff(q.type);
  return worse_of(sum, compare_operand(problem, k_rms_norm_y, got, want, aggregate, [&](int64_t i, double value) {
                    const size_t r = size_t(i / q.columns);
                    const double root = std::sqrt(squares[r] / double(q.columns) + double(q.eps));
                    const double own = bounds(i, reflected[size_t(i)]) / root * std::abs(w[size_t(i % q.columns)]);
                    return own + (relative + std::sqrt(errors[r] / squares[r])) * std::abs(value) +
                           2 * rounding_bound(q.type, value);
                  }));
}

// The rounded sum is exact: one F32 addition and one rounding give it. y: the bound of gk_rms_norm, plus the rounding
// of the reference itself, plus one unit of the type where an intermediate rounding may fall the other way.
comparison compare(const op_case &self, const built_case &problem, const std::vector<std::vector<std::byte>> &got,
                   const std::vector<std::vector<std::byte>> &want) {
  const auto &q = *static_cast<const parameters *>(self.parameters.get());
  const double flip = q.round_before_weight && q.type != GK_F32 ? 2 * unit_roundoff(q.type) : 0;
  const double relative = (double(q.columns) / 4 + 8) * k_eps32 + flip;
  // The sum's error grows like a random walk; an intermediate rounding can fall the other way as well.
  const double aggregate = rounded_aggregate(
      q.type, (flip > 0 ? 2 : 1) * (std::sqrt(double(q.columns)) / 4 + 8) * k_eps32, q.rows * q.columns);
  if (q.reflector) return compare_reflected(q, problem, got, want, relative);
  const comparison y = compare_operand(problem, k_rms_norm_y, got, want, aggregate, [&](int64_t, double value) {
    return relative * std::abs(value) + 2 * rounding_bound(q.type, value);
  });
  if (!q.residual) return y;
  return worse_of(y, compare_operand(problem, k_rms_norm_sum, got, want, 0, [](int64_t, double) { return 0.0; }));
}

}  // namespace

std::vector<op_case> rms_norm_cases() {
  std::vector<op_case> list;
  const auto add = [&](uint32_t uses, parameters q) {
    static constexpr const char *k_places[] = {"", " y=x", " sum=x", " sum=residual"};
    std::string name = std::string(dtype_name(q.type)) + " w=" + dtype_name(q.w_type) + " " + std::to_string(q.rows) +
                       "x" + std::to_string(q.columns) + " ld+" + std::to_string(q.pad) +
                       (q.residual ? " residual" : "") + (q.reflector ? " reflector" : "") +
                       (q.round_before_weight ? " round_before_weight" : "") + k_places[int(q.where)];
    if (q.scale != 1) name += q.scale > 1 ? " large" : " tiny";
    list.push_back({name, uses, 1000 + list.size(), build, std::make_shared<parameters>(q), compare});
    if (q.reflector) list.back().abi_minor = 1;
  };
  const auto half = [](uint32_t type) { return type != GK_F32; };
  for (const uint32_t type : {GK_F32, GK_F16, GK_BF16}) {
    add(use_selftest | use_conformance, {type, type, 3, 33, 1, true, half(type), place::apart, 1, 1e-5f});
    for (const int64_t columns : {0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 64, 97, 127, 257, 1031})
      add(use_conformance, {type, type, 3, columns, columns % 4, false, false, place::apart, 1, 1e-5f});
    for (const int64_t rows : {0, 1, 2, 5, 67})
      add(use_conformance, {type, GK_F32, rows, 40, 3, rows % 2 != 0, half(type), place::apart, 1, 1e-6f});
    for (const place where : {place::y_is_x, place::sum_is_x, place::sum_is_residual})
      add(use_conformance, {type, type, 4, 65, 5, where != place::y_is_x, false, where, 1, 1e-5f});
    for (const uint32_t w_type : {GK_F32, GK_F16, GK_BF16})
      add(use_conformance, {type, w_type, 2, 100, 0, true, half(type), place::apart, 1, 0});
    // Reflected first: with and without a residual, in place and not.
    add(use_selftest | use_conformance, {type, type, 3, 37, 1, true, half(type), place::apart, 1, 1e-5f, true});
    for (const int64_t columns : {1, 7, 8, 16, 33, 64, 257, 1031})
      for (const bool residual : {false, true})
        add(use_conformance, {type, type, 3, columns, columns % 4, residual, half(type), place::apart, 1, 1e-5f, true});
    for (const place where : {place::y_is_x, place::sum_is_x, place::sum_is_residual})
      add(use_conformance, {type, GK_F32, 4, 72, 8, where != place::sum_is_x, false, where, 1, 1e-5f, true});
    // Squares up to 1e30 in F32 range; subnormal inputs whose results are normal.
    add(use_conformance, {type, type, 2, 96, 1, false, false, place::apart, type == GK_F16 ? 5e3 : 1e14, 1e-5f});
    add(use_conformance, {type, type, 2, 96, 1, false, false, place::apart, type == GK_F16 ? 1e-6 : 1e-39,
                          type == GK_F16 ? 1e-12f : 1e-30f});
    add(use_full | use_bench, {type, type, 512, 4096, 0, true, false, place::sum_is_residual, 1, 1e-5f});
  }
  add(use_full | use_bench, {GK_F32, GK_F32, 1024, 1024, 0, false, false, place::apart, 1, 1e-5f});
  return list;
}

}  // namespace gonka
