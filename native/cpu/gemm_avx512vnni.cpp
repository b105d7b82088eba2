// gemm for AVX512-VNNI: i8 x i8 -> i32 in fours along k by vpdpbusd, four times the f32 rate. The instruction wants one
// unsigned operand: B is stored as B + 128, and 128 * sum(A row) is taken off at the end. All of it modulo 2^32, and
// vpdpbusd (not vpdpbusds) does not saturate, so the result is exact modulo 2^32.
#include "gemm_tile.hpp"
#include "simd_avx512.hpp"

namespace gonka::cpu {
namespace {

using lanes = lanes_avx512;

struct product : i32_accumulator<lanes, true> {
  static constexpr int group = 4, b_unit = 4;
  static __m512i load_b(const uint8_t *p) { return lanes::load_i(p); }
  static __m512i broadcast(const uint32_t *a) { return lanes::set1_i(int32_t(*a)); }
  static __m512i multiply_add(__m512i sum, __m512i a, __m512i b) { return _mm512_dpbusd_epi32(sum, b, a); }
};

constexpr gemm_tile_fn k_tiles[] = {gemm_tile<product, 1>,  gemm_tile<product, 2>,  gemm_tile<product, 3>,
                                    gemm_tile<product, 4>,  gemm_tile<product, 5>,  gemm_tile<product, 6>,
                                    gemm_tile<product, 7>,  gemm_tile<product, 8>,  gemm_tile<product, 9>,
                                    gemm_tile<product, 10>, gemm_tile<product, 11>, gemm_tile<product, 12>,
                                    gemm_tile<product, 13>, gemm_tile<product, 14>};

void pack_a(const void *a, uint32_t, int64_t lda, int rows, int64_t k, uint32_t *panel, int32_t *row_sums) {
  pack_a_raw<lanes>(a, lda, k, rows, panel);
  for (int r = 0; r < rows; ++r) {
    const auto *row = static_cast<const int8_t *>(a) + r * lda;
    __m512i sum = _mm512_setzero_si512();
    for (int64_t x = 0; x < k; x += 64)
      sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), lanes::load_bytes(row + x, k - x));
    row_sums[r] = _mm512_reduce_add_epi32(sum);
  }
}

void pack_b(const void *b, int64_t ldb, int count, int64_t k, int half, void *panel) {
  pack_b_units4<lanes>(b, ldb, k, count, half, panel, 0x80808080u);
}

constexpr gemm_kernel k_kernel = {.layout = k_layout_32x4_offset,
                                  .max_rows = 14,
                                  .columns = 32,
                                  .group = 4,
                                  .b_unit = 4,
                                  .block_steps = 512,
                                  .block_panels = 12,
                                  .task_b_panels = 4,
                                  .needs_row_sums = true,
                                  .tile = k_tiles,
                                  .pack_a = pack_a,
                                  .pack_b = pack_b,
                                  .finish = finish_i32<lanes>,
                                  .widen_b = nullptr,
                                  .wide_tile = nullptr};

}  // namespace

const gemm_kernel *gemm_kernel_avx512vnni(uint32_t a_type, uint32_t b_type) noexcept {
  return a_type == GK_I8 && b_type == GK_I8 ? &k_kernel : nullptr;
}

}  // namespace gonka::cpu
