// gemm for Armv8.2-A with FEAT_DotProd: i8 x i8 -> i32 in fours along k by SDOT, which takes both operands signed and
// wraps modulo 2^32. Checked under qemu-user (test/aarch64.sh); its speed is not measured.
#include "gemm_tile.hpp"
#include "simd_neon.hpp"

namespace gonka::cpu {
namespace {

using lanes = lanes_neon;

struct product : i32_accumulator<lanes> {
  static constexpr int group = 4, b_unit = 4;
  static int32x4_t load_b(const uint8_t *p) { return lanes::load_i(p); }
  static int32x4_t broadcast(const uint32_t *a) { return lanes::set1_i(int32_t(*a)); }
  static int32x4_t multiply_add(int32x4_t sum, int32x4_t a, int32x4_t b) {
    return vdotq_s32(sum, vreinterpretq_s8_s32(b), vreinterpretq_s8_s32(a));
  }
};

constexpr gemm_tile_fn k_tiles[] = {gemm_tile<product, 1>,  gemm_tile<product, 2>,  gemm_tile<product, 3>,
                                    gemm_tile<product, 4>,  gemm_tile<product, 5>,  gemm_tile<product, 6>,
                                    gemm_tile<product, 7>,  gemm_tile<product, 8>,  gemm_tile<product, 9>,
                                    gemm_tile<product, 10>, gemm_tile<product, 11>, gemm_tile<product, 12>};

void pack_a(const void *a, uint32_t, int64_t lda, int rows, int64_t k, uint32_t *panel, int32_t *) {
  pack_a_raw<lanes>(a, lda, k, rows, panel);
}

void pack_b(const void *b, int64_t ldb, int count, int64_t k, int half, void *panel) {
  pack_b_units4<lanes>(b, ldb, k, count, half, panel, 0);
}

constexpr gemm_kernel k_kernel = {.layout = k_layout_8x4,
                                  .max_rows = 12,
                                  .columns = 8,
                                  .group = 4,
                                  .b_unit = 4,
                                  .block_steps = 512,
                                  .block_panels = 12,
                                  .task_b_panels = 4,
                                  .needs_row_sums = false,
                                  .tile = k_tiles,
                                  .pack_a = pack_a,
                                  .pack_b = pack_b,
                                  .finish = finish_i32<lanes>,
                                  .widen_b = nullptr,
                                  .wide_tile = nullptr};

}  // namespace

const gemm_kernel *gemm_kernel_neondot(uint32_t a_type, uint32_t b_type) noexcept {
  return a_type == GK_I8 && b_type == GK_I8 ? &k_kernel : nullptr;
}

}  // namespace gonka::cpu
