#include "case_data.hpp"
#include "l2_normalize.hpp"

namespace gonka {

extern const op_spec l2_normalize_op;

namespace {

enum class kind { normal, large, tiny, zero_row };

struct parameters {
  uint32_t type;
  int64_t rows, columns, pad;
  bool y_is_x;
  kind values;
  float eps;
};

built_case build(const op_case &self) {
  const auto &q = *static_cast<const parameters *>(self.parameters.get());
  auto p = std::make_shared<gk_l2_normalize>();
  *p = {.struct_size = sizeof *p,
        .implementation = 0,
        .type = q.type,
        .eps = q.eps,
        .rows = q.rows,
        .columns = q.columns,
        .ldx = q.columns + q.pad,
        .ldy = q.columns + (q.y_is_x ? 1 : 2) * q.pad,
        .x = {},
        .y = {}};
  built_case built = start_case(l2_normalize_op, p);
  seeded_values values(self.seed);
  const bool half = q.type == GK_F16;
  const double scale = q.values == kind::large  ? (half ? 5e3 : 1e14)
                       : q.values == kind::tiny ? (half ? 1e-6 : 1e-15)
                                                : 1;
  fill_operand(built, k_l2_normalize_x, [&](int64_t i) {
    return q.values == kind::zero_row && i / q.columns == 1 ? 0 : scale * values.normal();
  });
  if (q.y_is_x) {
    built.same_place = {-1, k_l2_normalize_x};
    built.data[k_l2_normalize_y] = built.data[k_l2_normalize_x];
  }
  return built;
}

comparison compare(const op_case &self, const built_case &problem, const std::vector<std::vector<std::byte>> &got,
                   const std::vector<std::vector<std::byte>> &want) {
  const auto &q = *static_cast<const parameters *>(self.parameters.get());
  const double relative = (double(q.columns) / 4 + 8) * k_eps32;
  const double aggregate =
      rounded_aggregate(q.type, (std::sqrt(double(q.columns)) / 4 + 8) * k_eps32, q.rows * q.columns);
  return compare_operand(problem, k_l2_normalize_y, got, want, aggregate, [&](int64_t, double value) {
    return relative * std::abs(value) + 2 * rounding_bound(q.type, value);
  });
}

}  // namespace

std::vector<op_case> l2_normalize_cases() {
  std::vector<op_case> list;
  const auto add = [&](uint32_t uses, parameters q) {
    static constexpr const char *k_kinds[] = {"", " large", " tiny", " zero row"};
    const std::string name = std::string(dtype_name(q.type)) + " " + std::to_string(q.rows) + "x" +
                             std::to_string(q.columns) + " ld+" + std::to_string(q.pad) + (q.y_is_x ? " y=x" : "") +
                             k_kinds[int(q.values)] + (q.eps == 0 ? " eps=0" : "");
    list.push_back({name, uses, 4000 + list.size(), build, std::make_shared<parameters>(q), compare});
  };
  for (const uint32_t type : {GK_F32, GK_F16, GK_BF16}) {
    add(use_selftest | use_conformance, {type, 3, 35, 1, false, kind::normal, 1e-8f});
    for (const int64_t columns : {0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 64, 97, 127, 257, 1031})
      add(use_conformance, {type, 3, columns, columns % 4, columns % 3 == 0, kind::normal, 1e-8f});
    for (const int64_t rows : {0, 1, 2, 5, 67})
      add(use_conformance, {type, rows, 40, 3, rows == 5, kind::normal, 0.5f});
    add(use_conformance, {type, 2, 96, 1, false, kind::large, 1e-8f});
    add(use_conformance, {type, 2, 96, 1, false, kind::tiny, 0});
    add(use_conformance, {type, 3, 50, 1, false, kind::zero_row, 1e-8f});
    add(use_conformance, {type, 3, 50, 1, true, kind::zero_row, 0});
    add(use_full | use_bench, {type, 512, 4096, 0, false, kind::normal, 1e-8f});
  }
  return list;
}

}  // namespace gonka
