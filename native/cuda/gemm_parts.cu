// The second half of a gemm whose k was split: adds the parts and finishes.
#include "gemm_args.hpp"

namespace gonka::cuda {
namespace {

constexpr uint32_t k_threads = 256;

// Bits of int32_t sums travel as float.
GK_DEVICE void add_part(float (&sum)[4], int i, float v) {
  sum[i] += v;
}
GK_DEVICE void add_part(int32_t (&sum)[4], int i, float v) {
  sum[i] = int32_t(uint32_t(sum[i]) + bits_of(v));
}

template <class Sum>
GK_KERNEL(k_threads, 1)
gemm_parts_kernel(gemm_args a) {
  const int64_t groups = (a.n + 3) / 4, total = a.m * groups;
  const int64_t step = int64_t(grid_dim().x) * k_threads;
  const int64_t planes = a.pair ? 2 : 1;
  for (int64_t index = int64_t(block_idx().x) * k_threads + thread_idx().x; index < total; index += step) {
    const int64_t r = index / groups, c = index % groups * 4;
    Sum first[4] = {0, 0, 0, 0}, second[4] = {0, 0, 0, 0};
    for (uint32_t s = 0; s < a.splits; ++s)
      for (int i = 0; i < 4 && c + i < a.n; ++i) {
        add_part(first, i, ld_global(a.workspace + ((s * planes * a.m + r) * a.n + c + i)));
        if (a.pair) add_part(second, i, ld_global(a.workspace + (((s * planes + 1) * a.m + r) * a.n + c + i)));
      }
    gemm_store(a, r, c, first, second);
  }
}

}  // namespace

void gemm_add_parts(const gemm_args &a, context &ctx) {
  const int64_t blocks = ceil_div(a.m * ceil_div(a.n, 4), k_threads), most = int64_t(ctx.can().multiprocessors) * 8;
  const runtime::launch_shape shape = {.grid_x = uint32_t(blocks < most ? blocks : most), .threads = k_threads};
  runtime::launch(ctx.stream(), a.a_type == GK_I8 ? &gemm_parts_kernel<int32_t> : &gemm_parts_kernel<float>, shape, a);
}

}  // namespace gonka::cuda
