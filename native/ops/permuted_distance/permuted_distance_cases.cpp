// Lengths around the eight running sums, the leaves of 128 and their halves, every type, rows without a norm.
#include "case_data.hpp"
#include "permuted_distance.hpp"

namespace gonka {

extern const op_spec permuted_distance_op;
std::vector<op_case> permuted_distance_cases();

namespace {

enum class kind { normal, tiny, zero_row, infinite };

struct parameters {
  uint32_t type;
  int64_t rows, columns, pad;
  kind values = kind::normal;
};

built_case build(const op_case &self) {
  const auto &q = *static_cast<const parameters *>(self.parameters.get());
  const auto p = std::make_shared<gk_permuted_distance>();
  const auto seeds = std::make_shared<std::vector<uint64_t>>();
  *p = {};
  p->struct_size = sizeof *p;
  p->x_type = q.type;
  p->rows = q.rows;
  p->columns = q.columns;
  p->ldx = q.columns + q.pad;
  seeded_values random(self.seed);
  for (int64_t i = 0; i < q.rows * 4; ++i) seeds->push_back(i % 4 == 3 ? random.next() | 1 : random.next());
  p->seeds = seeds->data();
  built_case built = start_case(permuted_distance_op, p);
  built.owned = seeds;
  fill_operand(built, k_distance_x, [&](int64_t i) {
    const double value = random.normal();
    if (q.values == kind::tiny) return 1e-25 * value;
    if (q.values == kind::zero_row && i / q.columns == 1) return 0.0;
    if (q.values == kind::infinite && i == q.columns + 2) return HUGE_VAL;
    return value;
  });
  fill_operand(built, k_distance_target,
               [&](int64_t) { return random.normal() / std::sqrt(std::max(1.0, double(q.columns))); });
  return built;
}

comparison compare(const op_case &, const built_case &problem, const std::vector<std::vector<std::byte>> &got,
                   const std::vector<std::vector<std::byte>> &want) {
  return compare_operand(problem, k_distance_out, got, want, 0, [](int64_t, double) { return 0; });
}

}  // namespace

std::vector<op_case> permuted_distance_cases() {
  std::vector<op_case> list;
  const auto add = [&](uint32_t uses, const parameters &q) {
    static constexpr const char *k_kinds[] = {"", " tiny", " zero row", " infinite"};
    op_case out;
    out.name = std::string(dtype_name(q.type)) + " " + std::to_string(q.rows) + "x" + std::to_string(q.columns) +
               " ld+" + std::to_string(q.pad) + k_kinds[int(q.values)];
    out.uses = uses;
    out.seed = 0x7065726d00000000u + list.size();
    out.build = build;
    out.parameters = std::make_shared<parameters>(q);
    out.compare = compare;
    list.push_back(std::move(out));
  };
  for (const uint32_t type : {uint32_t(GK_F32), uint32_t(GK_F16), uint32_t(GK_BF16)}) {
    add(use_selftest | use_conformance, {type, 3, 1037, 1});
    for (const int64_t columns :
         {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 64, 127, 128, 129, 130, 136, 255, 256, 257, 271, 1000})
      add(use_conformance, {type, 2, columns, columns % 3});
    for (const int64_t rows : {0, 1, 19}) add(use_conformance, {type, rows, 132, 5});
    add(use_conformance, {type, 1, 8192, 0});
    add(use_conformance, {type, 3, 300, 0, kind::zero_row});
    add(use_conformance, {type, 3, 300, 0, kind::infinite});
    add(use_full, {type, 2, 65536, 0});
    add(use_full, {type, 1, 65537, 0});
    add(use_bench, {type, 256, 8192, 0});
  }
  add(use_conformance, {GK_F32, 2, 300, 1, kind::tiny});  // squares underflow
  return list;
}

}  // namespace gonka
