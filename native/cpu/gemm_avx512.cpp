// gemm for AVX-512F: f32 products, f16 and bf16 widened in registers. Tile 14 x 32: 28 accumulators, two vectors of B
// and a broadcast leave one register of 32 over.
//
// Lost (Zen 4, 1 thread, TSC cycles per step and row, best 1.42): widening f16 inside the tile 1.55, hence widen_b; B
// or A first touched from L3 without asking for it ahead 1.8-1.9; asking with prefetcht1 1.84, it does not fill L2 in
// time.
//
// Lost on Zen 5 (1 thread, share of a register-only loop in the same minutes, this tile 0.83-0.85 at 1024^3): a 6 x 64
// tile with A copied row by row 0.81-0.85, and 0.50 instead of 0.63 at m = 16; k blocks of 256 or 1024 steps, 6 or 24
// row panels, 8 B panels, no prefetching, B kept in L1: within 1 to 2 % or worse. Single tiles run at 0.975 of the
// clock (median); packing A takes 3 % of a call, the epilogue 2 %.
#include "gemm_tile.hpp"
#include "simd_avx512.hpp"

namespace gonka::cpu {
namespace {

using lanes = lanes_avx512;

template <uint32_t BType>
constexpr gemm_tile_fn k_tiles[] = {
    gemm_tile<widening<lanes, BType>, 1>,  gemm_tile<widening<lanes, BType>, 2>,  gemm_tile<widening<lanes, BType>, 3>,
    gemm_tile<widening<lanes, BType>, 4>,  gemm_tile<widening<lanes, BType>, 5>,  gemm_tile<widening<lanes, BType>, 6>,
    gemm_tile<widening<lanes, BType>, 7>,  gemm_tile<widening<lanes, BType>, 8>,  gemm_tile<widening<lanes, BType>, 9>,
    gemm_tile<widening<lanes, BType>, 10>, gemm_tile<widening<lanes, BType>, 11>, gemm_tile<widening<lanes, BType>, 12>,
    gemm_tile<widening<lanes, BType>, 13>, gemm_tile<widening<lanes, BType>, 14>};

template <int ElementBytes>
void pack_b(const void *b, int64_t ldb, int count, int64_t k, int half, void *panel) {
  if constexpr (ElementBytes == 4)
    pack_b_units4<lanes>(b, ldb * 4, k * 4, count, half, panel, 0);
  else
    pack_b_units2<lanes>(b, ldb * 2, k * 2, count, half, panel);
}

template <uint32_t BType>
constexpr gemm_kernel k_kernel = {.layout = k_layout_32x1,
                                  .max_rows = 14,
                                  .columns = 32,
                                  .group = 1,
                                  .b_unit = BType == GK_F32 ? 4 : 2,
                                  .block_steps = 512,
                                  .block_panels = 12,
                                  .task_b_panels = 4,
                                  .needs_row_sums = false,
                                  .tile = k_tiles<BType>,
                                  .pack_a = pack_a_f32<lanes>,
                                  .pack_b = pack_b < BType == GK_F32 ? 4 : 2 >,
                                  .finish = finish_f32<lanes>,
                                  .widen_b = BType == GK_F32 ? nullptr : widen_panel<widening<lanes, BType>>,
                                  .wide_tile = BType == GK_F32 ? nullptr : k_tiles<GK_F32>};

bool is_float(uint32_t type) {
  return type == GK_F32 || type == GK_F16 || type == GK_BF16;
}

}  // namespace

const gemm_kernel *gemm_kernel_avx512(uint32_t a_type, uint32_t b_type) noexcept {
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
