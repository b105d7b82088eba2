// matmul-pow: folds of every CPU implementation beside those of the scalar one, bit for bit, tile by tile: derived
// operands, random ones, and ones that take sums to their extremes or hide the term that decides. Both profiles.
// GONKA_TEST_FULL=1: a million tiles. GONKA_TEST_SEED=n: other operands.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "case_data.hpp"
#include "check.hpp"
#include "features.hpp"
#include "implementation.hpp"
#include "matmul_pow/matmul_pow.hpp"

using namespace gonka;

namespace {

// 256 tiles at the least k there is, now and then at one that takes a kernel through memory between its steps.
constexpr uint32_t k_extent = 1024;

// The scalar code takes twenty times as long under a sanitizer. 4096 tiles: one of each kind of round.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t k_tiles = 4096;
#else
constexpr uint64_t k_tiles = 10'000;
#endif

enum class pattern {
  random,
  all_min,
  all_max,
  max_min,    // alternating
  huge_last,  // ones, then the largest magnitude
  huge_first,
  cancelling,  // the second half takes back what the first half added
  single,      // one element that is not zero, anywhere
  small,       // -1, 0 or 1
  edges,       // only least and largest, at random
  count
};

void fill_row(pattern kind, int least, int most, seeded_values &random, int8_t *row, uint32_t k) {
  const uint32_t place = uint32_t(random.below(k));
  const auto value = [&](uint32_t x) -> int64_t {
    switch (kind) {
      case pattern::all_min:
        return least;
      case pattern::all_max:
        return most;
      case pattern::max_min:
        return x % 2 == 0 ? most : least;
      case pattern::huge_last:
        return x + 1 == k ? least : 1;
      case pattern::huge_first:
        return x == 0 ? least : -1;
      case pattern::cancelling:
        return x == place ? 1 : x < k / 2 ? most : -most;
      case pattern::single:
        return x == place ? (random.below(2) == 0 ? least : most) : 0;
      case pattern::small:
        return random.below(3) - 1;
      case pattern::edges:
        return random.below(2) == 0 ? least : most;
      default:
        return least + random.below(most - least + 1);
    }
  };
  for (uint32_t x = 0; x < k; ++x) row[x] = int8_t(value(x));
}

// Rows change their pattern every 64 (so that a tile meets one of A and one of B) or, in other rounds, one by one.
std::vector<int8_t> operand(uint32_t profile, bool row_by_row, seeded_values &random, uint32_t k) {
  const int least = profile == GK_POW_I4 ? -7 : -128, most = profile == GK_POW_I4 ? 7 : 127;
  std::vector<int8_t> out(size_t(k_extent) * k);
  pattern kind = pattern::random;
  for (uint32_t row = 0; row < k_extent; ++row) {
    if (row_by_row || row % 64 == 0) kind = pattern(random.below(int(pattern::count)));
    fill_row(kind, least, most, random, out.data() + size_t(row) * k, k);
  }
  return out;
}

struct round_of_tiles {
  gk_matmul_pow problem{};
  std::vector<int8_t> a, b;  // empty: derived
  std::vector<void *> pointers() { return {a.empty() ? nullptr : a.data(), b.empty() ? nullptr : b.data()}; }
};

round_of_tiles make_round(uint64_t number, seeded_values &random) {
  round_of_tiles out;
  gk_matmul_pow &p = out.problem;
  p.struct_size = sizeof p;
  p.profile = number % 2 == 0 ? GK_POW_I8 : GK_POW_I4;
  p.m = p.n = k_extent;
  p.k = number % 16 < 14 ? 256 : number % 32 < 16 ? 768 : 4352;
  for (uint8_t &byte : p.nonce_seed) byte = uint8_t(random.next());
  const uint64_t kind = number / 2 % 4;  // derived; both given; one of them given
  if (kind == 1 || kind == 2) out.a = operand(p.profile, random.below(2) == 0, random, p.k);
  if (kind == 1 || kind == 3) out.b = operand(p.profile, random.below(2) == 0, random, p.k);
  return out;
}

std::vector<uint64_t> folds_by(const cpu::implementation &implementation, round_of_tiles &round, cpu::context &ctx) {
  constexpr uint32_t k_side = k_extent / 64;
  std::vector<uint64_t> folds(size_t(k_side) * k_side);
  gk_matmul_pow p = round.problem;
  const auto pointers = round.pointers();
  p.folds = folds.data();
  implementation.run(&p, pointers, ctx);
  return folds;
}

// The scalar implementation, a row of tiles for each task.
std::vector<uint64_t> scalar_folds(round_of_tiles &round, cpu::context &ctx) {
  constexpr uint32_t k_side = k_extent / 64;
  std::vector<uint64_t> folds(size_t(k_side) * k_side);
  const auto pointers = round.pointers();
  ctx.pool.parallel_for(k_side, [&](uint32_t row, uint32_t) {
    gk_matmul_pow p = round.problem;
    p.tile_row = row, p.tile_rows = 1, p.tile_column = 0, p.tile_columns = k_side;
    p.folds = folds.data() + size_t(row) * k_side;
    matmul_pow_reference(&p, pointers);
  });
  return folds;
}

}  // namespace

int main() {
  const char *seed_text = std::getenv("GONKA_TEST_SEED");
  const uint64_t seed = seed_text == nullptr ? 20261126 : std::strtoull(seed_text, nullptr, 10);
  const uint64_t tiles = std::getenv("GONKA_TEST_FULL") != nullptr ? 1'000'000 : k_tiles;
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  seeded_values random(seed);
  cpu::thread_pool pool(2);
  cpu::context ctx{pool, cpu::this_cpu()};
  const auto all = cpu::implementations(GK_OP_MATMUL_POW).first(cpu::implementations(GK_OP_MATMUL_POW).size() - 1);
  std::vector<uint64_t> agreed(all.size());
  uint64_t compared = 0;
  for (uint64_t number = 0; compared < tiles; ++number) {
    round_of_tiles round = make_round(number, random);
    const std::vector<uint64_t> want = scalar_folds(round, ctx);
    compared += want.size();
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i].reject(&round.problem, ctx.cpu) != nullptr) continue;
      const std::vector<uint64_t> got = folds_by(all[i], round, ctx);
      const auto differ = std::ranges::mismatch(got, want);
      if (!CHECK(differ.in1 == got.end()))
        std::fprintf(stderr, "  %s, round %llu, tile %td of %zu\n", all[i].name,
                     static_cast<unsigned long long>(number), differ.in1 - got.begin(), got.size());
      else
        agreed[i] += got.size();
    }
  }
  for (size_t i = 0; i < all.size(); ++i)
    std::printf("%s: folds of %llu tiles as the scalar ones%s\n", all[i].name,
                static_cast<unsigned long long>(agreed[i]), agreed[i] == 0 ? ": does not run here" : "");
  CHECK(compared >= tiles);
  return check_summary();
}
