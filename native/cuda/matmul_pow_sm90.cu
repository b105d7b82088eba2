// matmul_pow: the I8 product on wgmma with the fold in place of the epilogue. C never leaves the registers.
#include "device/gemm_wgmma.cuh"
#include "device/matmul_pow.cuh"
#include "matmul_pow.hpp"

namespace gonka::cuda {
namespace {

struct i8 {
  uint8_t bits;
};

struct fold_args {
  wgmma_args w;
  gptr<uint64_t> folds;
};

template <class Shape>
struct fold_wgmma_of {
  using kernel = gemm_wgmma<i8, Shape, false>;
  // The four warps of a group hold the 64 rows of one row of tiles: 16 each, all columns. Their parts of a fold meet in
  // shared memory, one slot per warp and tile, between two barriers of the group.
  static constexpr uint32_t k_tiles = kernel::k_columns / 64;
  static constexpr uint32_t k_parts = kernel::k_shared_bytes;
  static constexpr uint32_t k_shared_bytes = k_parts + k_consumer_warps * k_tiles * 8;

  GK_DEVICE static void run(const fold_args &a) {
    kernel::run(a.w, [&](int64_t row0, int64_t column0, const auto &d, const auto &) {
      const uint32_t lane = lane_id(), warp = warp_id() % 4, group = warp_id() / 4 - 1;
      const sptr<uint64_t> parts = shared_at<uint64_t>(k_parts) + group * 4 * k_tiles;
      GK_UNROLL
      for (uint32_t tile = 0; tile < k_tiles; ++tile) {
        uint64_t fold = 0;
        GK_UNROLL
        for (uint32_t j = 0; j < 8; ++j) GK_UNROLL
        for (uint32_t h = 0; h < 2; ++h) {
          const uint32_t at = (tile * 8 + j) * 4 + 2 * h;
          fold += pow_fold_pair(d[at], d[at + 1], warp * 16 + h * 8 + lane / 4, j * 8 + lane % 4 * 2);
        }
        fold = warp_sum(fold);
        if (lane == 0) st_shared(parts + (warp * k_tiles + tile), fold);
      }
      bar_sync(1 + group, 128);
      const uint32_t t = thread_idx().x % 128;
      const int64_t bi = row0 / 64, bj = column0 / 64 + t;
      if (t < k_tiles && bi * 64 < a.w.g.m && bj * 64 < a.w.g.n) {
        uint64_t sum = 0;
        for (uint32_t w = 0; w < 4; ++w) sum += ld_shared(parts + (w * k_tiles + t));
        st_global(a.folds + (bi * (a.w.g.n / 64) + bj), sum);
      }
      bar_sync(1 + group, 128);  // the slots are free for the next tile
    });
  }
};

template <class Shape>
GK_KERNEL(k_wgmma_threads, 1)
fold_wgmma_kernel(GK_GRID_CONSTANT fold_args a) {
  fold_wgmma_of<Shape>::run(a);
}

template <class Shape>
void launch(const gemm_args &g, void *a, void *b, gptr<uint64_t> folds, context &ctx) {
  const fold_args args = {make_wgmma_args<i8, Shape, false>(g, a, b, nullptr), folds};
  runtime::launch_shape launch = wgmma_launch<i8, Shape, false>(args.w, ctx);
  launch.shared_bytes = fold_wgmma_of<Shape>::k_shared_bytes;
  runtime::launch(ctx.stream(), &fold_wgmma_kernel<Shape>, launch, args);
}

}  // namespace

void fold_wgmma(const gemm_args &g, void *a, void *b, gptr<uint64_t> folds, context &ctx) {
  // Wide tiles once there is a wave of them, unless measured: variant 1 square, 2 wide.
  const bool wave = ceil_div(g.m, k_block_m) * ceil_div(g.n, 256) >= ctx.can().multiprocessors;
  if (ctx.variant() == 0 ? wave : ctx.variant() == 2)
    launch<wgmma_wide>(g, a, b, folds, ctx);
  else
    launch<wgmma_square>(g, a, b, folds, ctx);
}

}  // namespace gonka::cuda
