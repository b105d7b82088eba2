// gemm for AVX2 with FMA: f32 products, f16 and bf16 widened in registers; i8 widened to i16 and multiplied in pairs by
// vpmaddwd, whose sums (at most 2 * 2^14) are exact, unlike those of vpmaddubsw. Tile 6 x 16: 12 accumulators, two
// vectors of B and a broadcast of 16 registers.
#include "gemm_tile.hpp"
#include "simd_avx2.hpp"

namespace gonka::cpu {
namespace {

using lanes = lanes_avx2;

// Units of two i16, as A has them; B's are i8 pairs, or widened beforehand.
template <bool Wide>
struct i8_product : i32_accumulator<lanes> {
  static constexpr int group = 2, b_unit = Wide ? 4 : 2;
  static __m256i load_b(const uint8_t *p) {
    if constexpr (Wide) return lanes::load_i(p);
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
  }
  static __m256i broadcast(const uint32_t *a) { return lanes::set1_i(int32_t(*a)); }
  // In one asm statement, since gcc 12 otherwise multiplies everything before it adds and spills half of the sums.
  static __m256i multiply_add(__m256i sum, __m256i a, __m256i b) {
    __asm__("vpmaddwd %2, %1, %%ymm15\n\tvpaddd %%ymm15, %0, %0" : "+x"(sum) : "x"(a), "x"(b) : "xmm15");
    return sum;
  }
};

template <class Product>
constexpr gemm_tile_fn k_tiles[] = {gemm_tile<Product, 1>, gemm_tile<Product, 2>, gemm_tile<Product, 3>,
                                    gemm_tile<Product, 4>, gemm_tile<Product, 5>, gemm_tile<Product, 6>};

template <int ElementBytes>
void pack_b(const void *b, int64_t ldb, int count, int64_t k, int half, void *panel) {
  if constexpr (ElementBytes == 4)
    pack_b_units4<lanes>(b, ldb * 4, k * 4, count, half, panel, 0);
  else
    pack_b_units2<lanes>(b, ldb * ElementBytes, k * ElementBytes, count, half, panel);
}

// Units of two i16 from pairs of i8.
void pack_a_i8(const void *a, uint32_t, int64_t lda, int rows, int64_t k, uint32_t *panel, int32_t *) {
  const auto *base = static_cast<const int8_t *>(a);
  transpose_rows<lanes>(
      rows, (k + 1) / 2,
      [&](int r, int64_t s) {
        const int64_t left = k - 2 * s;
        return _mm256_cvtepi8_epi16(
            _mm256_castsi256_si128(lanes::load_bytes(base + r * lda + 2 * s, left < 16 ? left : 16)));
      },
      [&](int64_t s, __m256i v) { lanes::store_i(panel + s * rows, v); });
}

template <uint32_t BType>
constexpr gemm_kernel k_kernel = {.layout = k_layout_16x1,
                                  .max_rows = 6,
                                  .columns = 16,
                                  .group = 1,
                                  .b_unit = BType == GK_F32 ? 4 : 2,
                                  .block_steps = 344,
                                  .block_panels = 28,
                                  .task_b_panels = 32,
                                  .needs_row_sums = false,
                                  .tile = k_tiles<widening<lanes, BType>>,
                                  .pack_a = pack_a_f32<lanes>,
                                  .pack_b = pack_b < BType == GK_F32 ? 4 : 2 >,
                                  .finish = finish_f32<lanes>,
                                  .widen_b = BType == GK_F32 ? nullptr : widen_panel<widening<lanes, BType>>,
                                  .wide_tile = BType == GK_F32 ? nullptr : k_tiles<widening<lanes, GK_F32>>};

constexpr gemm_kernel k_i8_kernel = {.layout = k_layout_16x2,
                                     .max_rows = 6,
                                     .columns = 16,
                                     .group = 2,
                                     .b_unit = 2,
                                     .block_steps = 344,
                                     .block_panels = 28,
                                     .task_b_panels = 32,
                                     .needs_row_sums = false,
                                     .tile = k_tiles<i8_product<false>>,
                                     .pack_a = pack_a_i8,
                                     .pack_b = pack_b<1>,
                                     .finish = finish_i32<lanes>,
                                     .widen_b = widen_panel<i8_product<false>>,
                                     .wide_tile = k_tiles<i8_product<true>>};

bool is_float(uint32_t type) {
  return type == GK_F32 || type == GK_F16 || type == GK_BF16;
}

}  // namespace

const gemm_kernel *gemm_kernel_avx2(uint32_t a_type, uint32_t b_type) noexcept {
  if (a_type == GK_I8 && b_type == GK_I8) return &k_i8_kernel;
  if (!is_float(a_type)) return nullptr;
  switch (b_type) {
    case GK_F32:
      return &k_kernel<GK_F32>;
    case GK_F16:
      return &k_kernel<GK_F16>;
    case GK_BF16:
      return &k_kernel<GK_BF16>;
    default:
      return nullptr;
  }
}

}  // namespace gonka::cpu
