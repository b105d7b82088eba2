// Shapes, profiles, targets and operands for matmul_pow: derived ones of several sizes, and given ones that reach the
// extreme partial sums or put the one large term where a short accumulator has no bits left for it.
#include <cstring>

#include "case_data.hpp"
#include "matmul_pow/matmul_pow.hpp"

namespace gonka {

extern const op_spec matmul_pow_op;
std::vector<op_case> matmul_pow_cases();

namespace {

enum class given {
  none,
  random,
  all_max,        // 127 * 127
  all_min,        // -128 * -128: 2^14 k, the largest sum there is
  max_times_min,  // 127 * -128
  alternating,    // A -128, 127, -128, ..; B 127
  large_last,     // ones, then one 127 * 127 at the end of the row
  large_first,
  cancelling,  // the second half takes back what the first half added, but for one
  sparse       // one element per row of A, another place in each row
};

constexpr const char *k_given_names[] = {"derived",     "random",     "all max",     "all min",    "max*min",
                                         "alternating", "large last", "large first", "cancelling", "sparse"};

struct pow_case {
  uint32_t profile, m, n, k;
  uint32_t zero_bits;  // of the target
  uint32_t capacity;
  given operands = given::none;
  bool folds = true;
  bool only_b = false;  // A is derived even though B is given
  pow_part part{};      // all zero: every tile
};

struct pow_memory {
  std::vector<gk_pow_share> shares;
  std::vector<uint64_t> folds;
};

double element(given kind, bool is_a, int64_t row, int64_t x, int64_t k, seeded_values &random) {
  const bool first_half = x < k / 2;
  switch (kind) {
    case given::all_max:
      return 127;
    case given::all_min:
      return -128;
    case given::max_times_min:
      return is_a ? 127 : -128;
    case given::alternating:
      return !is_a ? 127 : x % 2 == 0 ? -128 : 127;
    case given::large_last:
      return x + 1 == k ? 127 : 1;
    case given::large_first:
      return x == 0 ? 127 : 1;
    case given::cancelling:
      return !is_a ? 127 : x + 1 == k ? 0 : first_half ? 127 : -127;
    case given::sparse:
      return !is_a ? double(random.below(256) - 128) : x == row * 37 % k ? -128 : 0;
    default:
      return double(random.below(256) - 128);
  }
}

size_t fold_count(const gk_matmul_pow &p) {
  const pow_part part = pow_part_of(p);
  return size_t(part.rows) * part.columns;
}

std::vector<std::byte> host_result(const void *problem) {
  const auto &p = *static_cast<const gk_matmul_pow *>(problem);
  const uint32_t stored = std::min(p.shares_found, p.shares_capacity);
  const size_t folds = p.folds == nullptr ? 0 : fold_count(p) * sizeof(uint64_t);
  std::vector<std::byte> out(4 + size_t(stored) * sizeof(gk_pow_share) + folds);
  std::memcpy(out.data(), &p.shares_found, 4);
  if (stored != 0) std::memcpy(out.data() + 4, p.shares, stored * sizeof(gk_pow_share));
  if (folds != 0) std::memcpy(out.data() + out.size() - folds, p.folds, folds);
  return out;
}

built_case build(const op_case &self) {
  const auto &c = *static_cast<const pow_case *>(self.parameters.get());
  const auto problem = std::make_shared<gk_matmul_pow>();
  const auto memory = std::make_shared<pow_memory>();
  gk_matmul_pow &p = *problem;
  p = {};
  p.struct_size = sizeof p;
  p.profile = c.profile;
  p.m = c.m, p.n = c.n, p.k = c.k;
  seeded_values random(self.seed);
  for (uint8_t &byte : p.nonce_seed) byte = uint8_t(random.next());
  std::memset(p.target, 0xff, 32);
  for (uint32_t bit = 0; bit < c.zero_bits; ++bit) p.target[bit / 8] &= uint8_t(~(0x80 >> bit % 8));
  p.tile_row = c.part.row, p.tile_rows = c.part.rows, p.tile_column = c.part.column, p.tile_columns = c.part.columns;
  memory->shares.resize(c.capacity);
  p.shares = memory->shares.data();
  p.shares_capacity = c.capacity;
  if (c.folds) {
    memory->folds.resize(fold_count(p));
    p.folds = memory->folds.data();
  }
  const bool derived = c.operands == given::none;
  built_case built = start_case(matmul_pow_op, problem, derived ? 3u : c.only_b ? 1u : 0u);
  for (const bool is_a : {true, false})
    fill_operand(built, is_a ? k_pow_a : k_pow_b,
                 [&](int64_t index) { return element(c.operands, is_a, index / c.k, index % c.k, c.k, random); });
  built.owned = memory;
  built.host_result = host_result;
  return built;
}

comparison compare(const op_case &, const built_case &, const std::vector<std::vector<std::byte>> &,
                   const std::vector<std::vector<std::byte>> &) {
  return {};  // the operands are inputs; shares and folds are the host result, compared exactly
}

}  // namespace

std::vector<op_case> matmul_pow_cases() {
  std::vector<op_case> list;
  const auto add = [&](uint32_t uses, const pow_case &c) {
    op_case out;
    out.name =
        std::string(c.profile == GK_POW_I4 ? "i4" : "i8") + " m=" + std::to_string(c.m) + " n=" + std::to_string(c.n) +
        " k=" + std::to_string(c.k) + " " + k_given_names[int(c.operands)] + (c.only_b ? " b only" : "") +
        (c.part.rows != 0 ? " part " + std::to_string(c.part.row) + "+" + std::to_string(c.part.rows) + "," +
                                std::to_string(c.part.column) + "+" + std::to_string(c.part.columns)
                          : "") +
        " bits=" + std::to_string(c.zero_bits) + " room=" + std::to_string(c.capacity) + (c.folds ? "" : " no folds");
    out.uses = uses;
    out.seed = 0x706f770000000000u + list.size();
    out.build = build;
    out.parameters = std::make_shared<pow_case>(c);
    out.compare = compare;
    out.abi_minor = c.part.rows != 0 ? 1 : 0;
    list.push_back(std::move(out));
  };
  constexpr uint32_t both = use_selftest | use_conformance;
  constexpr uint32_t i8 = GK_POW_I8, i4 = GK_POW_I4;
  add(both, {i8, 64, 128, 256, 1, 8});
  add(both, {i4, 128, 64, 256, 1, 8});
  add(both, {i8, 192, 192, 256, 1, 8, given::none, true, false, {1, 2, 2, 1}});
  add(both, {i8, 64, 64, 512, 0, 1, given::all_min});
  add(both, {i8, 64, 64, 512, 0, 1, given::large_last});
  for (const uint32_t profile : {i8, i4}) {
    add(use_conformance, {profile, 192, 320, 768, 1, 64});
    add(use_conformance, {profile, 320, 192, 256, 0, 7});
    add(use_conformance, {profile, 128, 128, 1280, 150, 4});
    add(use_conformance, {profile, 256, 256, 512, 2, 64, given::none, false});
    add(use_conformance, {profile, 64, 64, 4352, 0, 1});
    add(use_conformance, {profile, 64, 128, 9216, 0, 2});
    add(use_conformance, {profile, 320, 256, 512, 1, 16, given::none, true, false, {1, 3, 2, 2}});
    add(use_conformance, {profile, 65536, 65536, 256, 1, 8, given::none, true, false, {1023, 1, 1022, 2}});
    add(use_full, {profile, 64, 64, 65536, 0, 1});
    add(use_full, {profile, 1024, 2048, 512, 4, 512});
    add(use_bench, {profile, 2048, 2048, 4096, 16, 64, given::none, false});
    add(use_bench, {profile, 1024, 1024, 1024, 16, 64, given::none, false});
  }
  for (const given kind : {given::random, given::all_max, given::all_min, given::max_times_min, given::alternating,
                           given::large_last, given::large_first, given::cancelling, given::sparse}) {
    add(use_conformance, {i8, 128, 64, 1024, 1, 2, kind});
    add(use_conformance, {i8, 64, 128, 4608, 1, 2, kind, true, true});
    add(use_conformance, {i8, 192, 192, 512, 1, 2, kind, true, false, {2, 1, 1, 2}});
    add(use_full, {i8, 64, 64, 65536, 0, 1, kind});
  }
  return list;
}

}  // namespace gonka
