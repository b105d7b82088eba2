// matmul_pow: the I8 product on mma.sync with the fold in place of the epilogue. C never leaves the registers.
#include "device/gemm_mma.cuh"
#include "device/matmul_pow.cuh"
#include "matmul_pow.hpp"

namespace gonka::cuda {
namespace {

struct fold_args {
  gemm_args g;
  gptr<uint64_t> folds;
};

template <class Shape>
GK_KERNEL(Shape::tile.threads(), 1)
fold_mma_kernel(fold_args a) {
  using kernel = gemm_mma<i8, Shape, false>;
  constexpr gemm_tile tile = Shape::tile;
  constexpr uint32_t warps = tile.warps_m * tile.warps_n, across = tile.block_n / 64;
  constexpr uint32_t pow_tiles = tile.block_m / 64 * across;
  static_assert(tile.block_m % 64 == 0 && tile.block_n % 64 == 0 && 64 % tile.warp_m() == 0 && 64 % tile.warp_n() == 0);
  const uint32_t tiles_n = uint32_t((a.g.n + tile.block_n - 1) / tile.block_n);
  const int64_t row0 = int64_t(block_idx().x / tiles_n) * tile.block_m;
  const int64_t column0 = int64_t(block_idx().x % tiles_n) * tile.block_n;
  int32_t d[kernel::k_m_tiles][kernel::k_n_tiles][4] = {};
  kernel::accumulate(a.g, row0, column0, 0, a.g.k, d);

  // A warp's part lies within one tile of 64 x 64.
  const uint32_t lane = lane_id(), warp = warp_id();
  const uint32_t warp_row = warp / tile.warps_n * tile.warp_m(), warp_column = warp % tile.warps_n * tile.warp_n();
  uint64_t fold = 0;
  GK_UNROLL
  for (int i = 0; i < kernel::k_m_tiles; ++i) GK_UNROLL
  for (int j = 0; j < kernel::k_n_tiles; ++j) GK_UNROLL
  for (int h = 0; h < 2; ++h)
    fold += pow_fold_pair(d[i][j][2 * h], d[i][j][2 * h + 1], warp_row + i * 16 + h * 8 + lane / 4,
                          warp_column + j * 8 + lane % 4 * 2);
  fold = warp_sum(fold);
  const sptr<uint64_t> parts = shared_at<uint64_t>(0);
  bar_sync();  // the last stage has been read
  if (lane == 0) st_shared(parts + warp, fold);
  bar_sync();
  const uint32_t t = thread_idx().x;
  const int64_t bi = row0 / 64 + t / across, bj = column0 / 64 + t % across;
  if (t >= pow_tiles || bi * 64 >= a.g.m || bj * 64 >= a.g.n) return;
  uint64_t sum = 0;
  for (uint32_t w = 0; w < warps; ++w)
    if (w / tile.warps_n * tile.warp_m() / 64 * across + w % tile.warps_n * tile.warp_n() / 64 == t)
      sum += ld_shared(parts + w);
  st_global(a.folds + (bi * (a.g.n / 64) + bj), sum);
}

}  // namespace

void fold_mma(const gemm_args &g, gptr<uint64_t> folds, context &ctx) {
  const fold_args a = {g, folds};
  const auto go = [&]<class Shape>() {
    constexpr gemm_tile tile = Shape::tile;
    runtime::launch(ctx.stream(), &fold_mma_kernel<Shape>,
                    {.grid_x = uint32_t(ceil_div(g.m, tile.block_m) * ceil_div(g.n, tile.block_n)),
                     .threads = uint32_t(tile.threads()),
                     .shared_bytes = gemm_stage_bytes(tile) * uint32_t(tile.stages)},
                    a);
  };
  if (ceil_div(g.m, 128) * ceil_div(g.n, 128) >= ctx.can().multiprocessors)
    go.template operator()<mma_large>();
  else
    go.template operator()<mma_medium>();
}

}  // namespace gonka::cuda
