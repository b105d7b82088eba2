// gemm for AVX512-BF16: bf16 x bf16 in pairs along k by vdpbf16ps, twice the f32 rate. The instruction adds the two
// products one after the other, each time rounding to nearest even and flushing subnormals (in and out) to zero
// (Intel SDM, VDPBF16PS); gk_gemm allows for both.
#include "gemm_tile.hpp"
#include "simd_avx512.hpp"

namespace gonka::cpu {
namespace {

using lanes = lanes_avx512;

struct product : f32_accumulator<lanes> {
  static constexpr int group = 2, b_unit = 4;
  static __m512i load_b(const uint8_t *p) { return lanes::load_i(p); }
  static __m512i broadcast(const uint32_t *a) { return lanes::set1_i(int32_t(*a)); }
  static __m512 multiply_add(__m512 sum, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(sum, __m512bh(a), __m512bh(b));
  }
};

constexpr gemm_tile_fn k_tiles[] = {gemm_tile<product, 1>,  gemm_tile<product, 2>,  gemm_tile<product, 3>,
                                    gemm_tile<product, 4>,  gemm_tile<product, 5>,  gemm_tile<product, 6>,
                                    gemm_tile<product, 7>,  gemm_tile<product, 8>,  gemm_tile<product, 9>,
                                    gemm_tile<product, 10>, gemm_tile<product, 11>, gemm_tile<product, 12>,
                                    gemm_tile<product, 13>, gemm_tile<product, 14>};

void pack_a(const void *a, uint32_t, int64_t lda, int rows, int64_t k, uint32_t *panel, int32_t *) {
  pack_a_raw<lanes>(a, lda * 2, k * 2, rows, panel);
}

void pack_b(const void *b, int64_t ldb, int count, int64_t k, int half, void *panel) {
  pack_b_units4<lanes>(b, ldb * 2, k * 2, count, half, panel, 0);
}

constexpr gemm_kernel k_kernel = {.layout = k_layout_32x2,
                                  .max_rows = 14,
                                  .columns = 32,
                                  .group = 2,
                                  .b_unit = 4,
                                  .block_steps = 512,
                                  .block_panels = 12,
                                  .task_b_panels = 4,
                                  .needs_row_sums = false,
                                  .tile = k_tiles,
                                  .pack_a = pack_a,
                                  .pack_b = pack_b,
                                  .finish = finish_f32<lanes>,
                                  .widen_b = nullptr,
                                  .wide_tile = nullptr};

}  // namespace

const gemm_kernel *gemm_kernel_avx512bf16(uint32_t a_type, uint32_t b_type) noexcept {
  return a_type == GK_BF16 && b_type == GK_BF16 ? &k_kernel : nullptr;
}

}  // namespace gonka::cpu
