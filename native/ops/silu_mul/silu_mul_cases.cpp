#include <limits>

#include "case_data.hpp"
#include "silu_mul.hpp"

namespace gonka {

extern const op_spec silu_mul_op;

namespace {

enum class place { apart, out_is_gate, out_is_up };
enum class kind { normal, wide, special };

struct parameters {
  uint32_t type;
  int64_t rows, columns, pad;
  place where;
  kind values;
};

// Limits, zeros of both signs, both sides of exp overflow in F32, subnormals.
constexpr double k_infinity = std::numeric_limits<double>::infinity();
constexpr double k_special[] = {0.0,    -0.0,   1.0,     -1.0,        88.0,     -88.0,      89.0,  -89.0,
                                -100.0, -104.0, -1000.0, 60000.0,     -60000.0, k_infinity, -20.0, 17.0,
                                1e-40,  -1e-7,  6e-8,    -k_infinity, NAN,      -150.0,     -87.4, 0.5};

built_case build(const op_case &self) {
  const auto &q = *static_cast<const parameters *>(self.parameters.get());
  auto p = std::make_shared<gk_silu_mul>();
  *p = {.struct_size = sizeof *p,
        .implementation = 0,
        .type = q.type,
        .reserved = 0,
        .rows = q.rows,
        .columns = q.columns,
        .ld_gate = q.columns + q.pad,
        .ld_up = q.columns + (q.where == place::out_is_up ? 1 : 2) * q.pad,
        .ldo = q.columns + q.pad,
        .gate = {},
        .up = {},
        .out = {}};
  built_case built = start_case(silu_mul_op, p);
  seeded_values values(self.seed);
  constexpr int64_t specials = sizeof k_special / sizeof *k_special;
  fill_operand(built, k_silu_mul_gate, [&](int64_t i) {
    if (q.values == kind::special) return k_special[i % specials];
    return q.values == kind::wide ? values.uniform(-180, 90) : 3 * values.normal();
  });
  // Wide: results that are normal numbers although exp(gate) is far below F32's range, and the reverse.
  fill_operand(built, k_silu_mul_up, [&](int64_t) {
    if (q.values == kind::normal || q.type == GK_F16) return 2 * values.normal();
    return std::copysign(std::exp2(values.uniform(-60, 126 - (q.values == kind::special ? 20 : 7))),
                         values.uniform(-1, 1));
  });
  if (q.where != place::apart) {
    const silu_mul_operand with = q.where == place::out_is_gate ? k_silu_mul_gate : k_silu_mul_up;
    built.same_place.assign(built.operands.size(), -1);
    built.same_place[k_silu_mul_out] = with;
    built.data[k_silu_mul_out] = built.data[with];
  }
  return built;
}

comparison compare(const op_case &self, const built_case &problem, const std::vector<std::vector<std::byte>> &got,
                   const std::vector<std::vector<std::byte>> &want) {
  const auto &q = *static_cast<const parameters *>(self.parameters.get());
  // A subnormal F32 result may be rounded twice: once more for the scaling that brings it there.
  const double scaling = smallest_step(GK_F32);
  return compare_operand(problem, k_silu_mul_out, got, want, rounded_aggregate(q.type, 4 * k_eps32, q.rows * q.columns),
                         [&](int64_t, double value) {
                           return 8 * k_eps32 * std::abs(value) + 2 * rounding_bound(q.type, value) + scaling;
                         });
}

}  // namespace

std::vector<op_case> silu_mul_cases() {
  std::vector<op_case> list;
  const auto add = [&](uint32_t uses, parameters q) {
    static constexpr const char *k_places[] = {"", " out=gate", " out=up"};
    static constexpr const char *k_kinds[] = {"", " wide", " special"};
    const std::string name = std::string(dtype_name(q.type)) + " " + std::to_string(q.rows) + "x" +
                             std::to_string(q.columns) + " ld+" + std::to_string(q.pad) + k_places[int(q.where)] +
                             k_kinds[int(q.values)];
    list.push_back({name, uses, 2000 + list.size(), build, std::make_shared<parameters>(q), compare});
  };
  for (const uint32_t type : {GK_F32, GK_F16, GK_BF16}) {
    add(use_selftest | use_conformance, {type, 2, 35, 1, place::apart, kind::special});
    for (const int64_t columns : {0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 64, 97, 127, 257, 1031})
      add(use_conformance, {type, 3, columns, columns % 4, place::apart, kind::normal});
    for (const int64_t rows : {0, 1, 2, 5, 67}) add(use_conformance, {type, rows, 40, 3, place::apart, kind::wide});
    for (const place where : {place::out_is_gate, place::out_is_up})
      for (const kind values : {kind::normal, kind::special}) add(use_conformance, {type, 5, 49, 3, where, values});
    add(use_conformance, {type, 3, 500, 0, place::apart, kind::wide});
    add(use_full | use_bench, {type, 512, 11008, 0, place::out_is_gate, kind::normal});
  }
  add(use_full | use_bench, {GK_F32, 1024, 2816, 0, place::out_is_gate, kind::normal});
  return list;
}

}  // namespace gonka
