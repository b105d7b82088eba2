// Which tile and how many parts of k a gemm gets: pure functions of problem and device.
#include "check.hpp"
#include "cuda/gemm_tiles.hpp"

using namespace gonka::cuda;

namespace {

constexpr capability k_a100 = {80, 108, 163 * 1024, 40u << 20}, k_b200 = {100, 148, 227 * 1024, 126u << 20};

int64_t ceil_of(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

void test_mma() {
  CHECK_EQ(plan_gemm(4096, 4096, 4096, 2, k_a100).tile, 0);
  CHECK_EQ(plan_gemm(4096, 4096, 4096, 2, k_a100).splits, 1u);
  CHECK_EQ(plan_gemm(256, 512, 4096, 2, k_a100).tile, 1);
  CHECK_EQ(plan_gemm(16, 4096, 4096, 2, k_a100).tile, 2);
  CHECK_EQ(plan_gemm(17, 4096, 4096, 2, k_a100).tile, 1);
}

void test_tcgen05() {
  const tcgen05_plan large = plan_tcgen05(8192, 8192, 8192, 2, k_b200);
  CHECK(large.wide);
  CHECK_EQ(large.splits, 1u);
  const tcgen05_plan decode = plan_tcgen05(1, 4096, 4096, 2, k_b200);  // 32 tiles of 128 columns on 148 SMs
  CHECK(!decode.wide);
  CHECK_EQ(decode.splits, 4u);
  CHECK_EQ(plan_tcgen05(1, 4096, 1024, 2, k_b200).splits, 2u);  // 16 stages: two parts of eight
  CHECK_EQ(plan_tcgen05(1, 4096, 1024, 1, k_b200).splits, 1u);  // eight stages of F8
  CHECK_EQ(plan_tcgen05(1, 128, 1 << 20, 2, k_b200).splits, 16u);
}

void test_simt() {
  CHECK_EQ(plan_simt_splits(1, 4096, 4096, k_a100), 13u);  // 128 tiles, room for 1728
  CHECK_EQ(plan_simt_splits(16, 4096, 255, k_a100), 2u);   // sixteen steps: two parts of eight
  CHECK_EQ(plan_simt_splits(16, 4096, 240, k_a100), 1u);
  CHECK_EQ(plan_simt_splits(1000, 4096, 4096, k_a100), 1u);  // more tiles than that
  CHECK_EQ(plan_simt_splits(0, 4096, 4096, k_a100), 1u);
}

// Whatever the problem: no more blocks than run at once because of the split, parts that fill the pipeline, a workspace
// that stays in L2, and the wide tile exactly from one wave of them on.
void test_bounds() {
  for (const int64_t m : {1, 100, 128, 129, 5000})
    for (const int64_t n : {1, 64, 1000, 20000})
      for (const int64_t k : {16, 1000, 9000, 100000})
        for (const uint32_t bytes : {1u, 2u}) {
          const tcgen05_plan p = plan_tcgen05(m, n, k, bytes, k_b200);
          const int64_t tiles = ceil_of(m, 128) * ceil_of(n, p.wide ? 256 : 128);
          CHECK_EQ(p.wide, ceil_of(m, 128) * ceil_of(n, 256) >= 148);
          CHECK(p.splits >= 1 && p.splits <= 16);
          if (p.splits == 1) continue;
          CHECK(tiles * p.splits <= 148);
          CHECK(ceil_of(k * bytes, 128) / p.splits >= 8);
          CHECK(m * n * p.splits * 4 <= int64_t(k_b200.l2_bytes));
        }
}

}  // namespace

int main() {
  test_mma();
  test_tcgen05();
  test_simt();
  test_bounds();
  return check_summary();
}
