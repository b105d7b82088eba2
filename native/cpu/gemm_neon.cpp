// gemm for Armv8-A Advanced SIMD: f32 products, f16 and bf16 widened in registers. Tile 12 x 8: 24 accumulators, two
// vectors of B and a broadcast of 32 registers. Checked under qemu-user (test/aarch64.sh); its speed is not measured.
#include "gemm_tile.hpp"
#include "simd_neon.hpp"

namespace gonka::cpu {
namespace {

using lanes = lanes_neon;

template <uint32_t BType>
constexpr gemm_tile_fn k_tiles[] = {gemm_tile<widening<lanes, BType>, 1>,  gemm_tile<widening<lanes, BType>, 2>,
                                    gemm_tile<widening<lanes, BType>, 3>,  gemm_tile<widening<lanes, BType>, 4>,
                                    gemm_tile<widening<lanes, BType>, 5>,  gemm_tile<widening<lanes, BType>, 6>,
                                    gemm_tile<widening<lanes, BType>, 7>,  gemm_tile<widening<lanes, BType>, 8>,
                                    gemm_tile<widening<lanes, BType>, 9>,  gemm_tile<widening<lanes, BType>, 10>,
                                    gemm_tile<widening<lanes, BType>, 11>, gemm_tile<widening<lanes, BType>, 12>};

template <int ElementBytes>
void pack_b(const void *b, int64_t ldb, int count, int64_t k, int half, void *panel) {
  if constexpr (ElementBytes == 4)
    pack_b_units4<lanes>(b, ldb * 4, k * 4, count, half, panel, 0);
  else
    pack_b_units2<lanes>(b, ldb * 2, k * 2, count, half, panel);
}

template <uint32_t BType>
constexpr gemm_kernel k_kernel = {.layout = k_layout_8x1,
                                  .max_rows = 12,
                                  .columns = 8,
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

}  // namespace

const gemm_kernel *gemm_kernel_neon(uint32_t a_type, uint32_t b_type) noexcept {
  if (a_type != GK_F32 && a_type != GK_F16 && a_type != GK_BF16) return nullptr;
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
