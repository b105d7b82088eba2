// gemm on wgmma; see device/gemm_wgmma.cuh.
#include "device/gemm_wgmma.cuh"
#include "gemm_tiles.hpp"

namespace gonka::cuda {
namespace {

static_assert(k_block_m == k_wgmma_block_m);

template <class T, class Shape, bool Pair>
GK_KERNEL(k_wgmma_threads, 1)
gemm_wgmma_kernel(GK_GRID_CONSTANT wgmma_args a) {
  using kernel = gemm_wgmma<T, Shape, Pair>;
  kernel::run(a, [&](int64_t row0, int64_t column0, const auto &d, const auto &d2) {
    store_accumulators<typename kernel::sum, kernel::k_sums, Pair>(a.g, row0, column0, d, d2, kernel::staging());
  });
}

template <class T, class Shape, bool Pair>
void launch(const gk_gemm &p, places at, context &ctx) {
  const wgmma_args a =
      make_wgmma_args<T, Shape, Pair>(make_gemm_args(p, at), at[k_gemm_a], at[k_gemm_b], at[k_gemm_b2]);
  runtime::launch(ctx.stream(), &gemm_wgmma_kernel<T, Shape, Pair>, wgmma_launch<T, Shape, Pair>(a, ctx), a);
}

template <class T>
void with_shape(const gk_gemm &p, places at, context &ctx) {
  const int64_t n = p.epilogue == GK_EPILOGUE_SWIGLU ? 2 * p.n : p.n;
  // Wide tiles once there is a wave of them. Clusters only where measuring finds them faster: on an H100 (BF16, 8192^3)
  // the wide tile runs at 746 TFLOP/s by itself and ran at 293 in clusters whose arrivals were device-wide fences;
  // without those it is not measured.
  const bool wide = ceil_div(p.m, k_block_m) * ceil_div(n, 256) >= ctx.can().multiprocessors;
  const uint32_t variant = ctx.variant();
  const auto with_pair = [&]<bool Pair>() {
    if (variant == 3)
      launch<T, wgmma_wide_cluster, Pair>(p, at, ctx);
    else if (variant == 0 ? wide : variant == 2)
      launch<T, wgmma_wide, Pair>(p, at, ctx);
    else
      launch<T, wgmma_square, Pair>(p, at, ctx);
  };
  if constexpr (sizeof(T) == 2) {
    if (p.epilogue == GK_EPILOGUE_SWIGLU) return with_pair.template operator()<true>();
  }
  with_pair.template operator()<false>();
}

struct i8 {
  uint8_t bits;
};

}  // namespace

void run_gemm_wgmma(void *problem, places at, context &ctx) {
  const auto &p = *static_cast<const gk_gemm *>(problem);
  if (p.m == 0 || p.n == 0) return;
  if (p.a_type == GK_F16)
    with_shape<f16>(p, at, ctx);
  else if (p.a_type == GK_BF16)
    with_shape<bf16>(p, at, ctx);
  else
    with_shape<i8>(p, at, ctx);
}

}  // namespace gonka::cuda
