// Lengths around the vector and block sizes, odd segments, every type, seeds whose first words are 0 and 2^32 - 1.
#include <cstring>

#include "case_data.hpp"
#include "normal_fill/normal_fill.hpp"

namespace gonka {

extern const op_spec normal_fill_op;
std::vector<op_case> normal_fill_cases();

namespace {

struct fill_case {
  uint32_t generator, type, segments;
  int64_t rows, columns, pad;
  double sigma = 1;
};

struct seeds {
  std::vector<uint32_t> u32;
  std::vector<uint64_t> u64;
};

// Seeds whose hash of key 0 is 0, 1, 0xffffff7f, 0xffffff80 and 2^32 - 1: the ends of u1, and where F32 rounds it to 1.
constexpr uint32_t k_edge_seeds[] = {2271226130, 1950786786, 3444677179, 1520976789, 4003389761};

built_case build(const op_case &self) {
  const auto &c = *static_cast<const fill_case *>(self.parameters.get());
  const auto problem = std::make_shared<gk_normal_fill>();
  const auto own = std::make_shared<seeds>();
  gk_normal_fill &p = *problem;
  p = {};
  p.struct_size = sizeof p;
  p.generator = c.generator;
  p.out_type = c.type;
  p.segments = c.segments;
  p.rows = c.rows;
  p.columns = c.columns;
  p.ldo = c.columns + c.pad;
  p.sigma = c.sigma;
  seeded_values random(self.seed);
  for (int64_t i = 0; i < c.rows * int64_t(c.segments); ++i)
    own->u32.push_back(i < 5 ? k_edge_seeds[i] : uint32_t(random.next()));
  for (int64_t i = 0; i < c.rows; ++i)
    for (int w = 0; w < 4; ++w) own->u64.push_back(w == 3 ? random.next() | 1 : random.next());
  p.seeds_u32 = own->u32.data();
  p.seeds_u64 = own->u64.data();
  built_case built = start_case(normal_fill_op, problem);
  built.owned = own;
  return built;
}

// Murmur3: 3 ulp of F32 and the rounding of the type. PCG64: every bit.
comparison compare(const op_case &self, const built_case &problem, const std::vector<std::vector<std::byte>> &got,
                   const std::vector<std::vector<std::byte>> &want) {
  const auto &c = *static_cast<const fill_case *>(self.parameters.get());
  if (c.generator == GK_NORMAL_PCG64)
    return compare_operand(problem, 0, got, want, 0, [](int64_t, double) { return 0; });
  return compare_operand(problem, 0, got, want, c.type == GK_F32 ? 3e-7 : 2 * unit_roundoff(c.type),
                         [&](int64_t, double w) {
                           const double single = 3 * std::abs(w) * k_eps32;
                           return c.type == GK_F32 ? single : single + 2 * rounding_bound(c.type, w);
                         });
}

}  // namespace

std::vector<op_case> normal_fill_cases() {
  std::vector<op_case> list;
  const auto add = [&](uint32_t uses, const fill_case &c) {
    const bool murmur = c.generator == GK_NORMAL_MURMUR3;
    op_case out;
    out.name = std::string(murmur ? "murmur3 " : "pcg64 ") + dtype_name(c.type) + " rows=" + std::to_string(c.rows) +
               " columns=" + std::to_string(c.columns) + " segments=" + std::to_string(c.segments) + " ldo+" +
               std::to_string(c.pad) + " sigma=" + std::to_string(c.sigma);
    out.uses = uses;
    out.seed = 0x6e6f726d00000000u + list.size();
    out.build = build;
    out.parameters = std::make_shared<fill_case>(c);
    out.compare = compare;
    list.push_back(std::move(out));
  };
  constexpr uint32_t both = use_selftest | use_conformance;
  constexpr uint32_t murmur = GK_NORMAL_MURMUR3, pcg = GK_NORMAL_PCG64;
  add(both, {murmur, GK_F32, 1, 6, 1001, 3});
  add(both, {murmur, GK_BF16, 8, 2, 333, 1});
  add(both, {pcg, GK_F64, 1, 3, 1001, 2});
  add(both, {pcg, GK_F16, 1, 2, 700, 1, 0.02});
  for (const int64_t columns : {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 34, 63, 64, 65, 127, 1023, 1024, 1025})
    for (const uint32_t type : {uint32_t(GK_F32), uint32_t(GK_F16), uint32_t(GK_BF16)}) {
      add(use_conformance, {murmur, type, 1, 5, columns, columns % 3});
      add(use_conformance, {murmur, type, 8, 3, columns, 5, 0.5});
      add(use_conformance, {pcg, type, 1, 5, columns, columns % 4, 0.02});
    }
  add(use_conformance, {murmur, GK_F32, 1000, 2, 33, 0});  // more segments than values
  add(use_conformance, {murmur, GK_F32, 3, 2, 100000, 7});
  add(use_conformance, {murmur, GK_F32, 1, 0, 10, 0});
  add(use_conformance, {pcg, GK_F64, 1, 17, 40000, 1});
  add(use_conformance, {pcg, GK_F32, 1, 300, 257, 0, 1e-30});
  add(use_full, {murmur, GK_F32, 1, 1, 5000001, 0});
  for (const uint32_t type : {uint32_t(GK_F32), uint32_t(GK_F16)}) {
    add(use_bench, {murmur, type, 8, 64, 16 * 2048, 0});
    add(use_bench, {pcg, type, 1, 64, 16 * 2048, 0});
  }
  return list;
}

}  // namespace gonka
