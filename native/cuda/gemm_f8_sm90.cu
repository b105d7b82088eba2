// gemm of F8 operands on wgmma; see device/gemm_wgmma_f8.cuh.
#include "device/gemm_wgmma_f8.cuh"

namespace gonka::cuda {
namespace {

template <class T, bool Pair>
GK_KERNEL(k_wgmma_threads, 1)
gemm_wgmma_f8_kernel(GK_GRID_CONSTANT wgmma_args a) {
  using kernel = gemm_wgmma_f8<T, wgmma_square, Pair>;
  kernel::run(a, [&](int64_t row0, int64_t column0, const auto &d, const auto &d2) {
    store_accumulators<float, kernel::k_sums, Pair>(a.g, row0, column0, d, d2,
                                                    ptr_cast<float>(kernel::base::staging()));
  });
}

template <class T, bool Pair>
void launch(const gk_gemm &p, places at, context &ctx) {
  const wgmma_args a =
      make_wgmma_args<T, wgmma_square, Pair>(make_gemm_args(p, at), at[k_gemm_a], at[k_gemm_b], at[k_gemm_b2]);
  runtime::launch(ctx.stream(), &gemm_wgmma_f8_kernel<T, Pair>, wgmma_launch<T, wgmma_square, Pair>(a, ctx), a);
}

template <class T>
void with_pair(const gk_gemm &p, places at, context &ctx) {
  if (p.epilogue == GK_EPILOGUE_SWIGLU)
    launch<T, true>(p, at, ctx);
  else
    launch<T, false>(p, at, ctx);
}

}  // namespace

void run_gemm_wgmma_f8(void *problem, places at, context &ctx) {
  const auto &p = *static_cast<const gk_gemm *>(problem);
  if (p.m == 0 || p.n == 0) return;
  if (p.a_type == GK_F8_E4M3)
    with_pair<e4m3>(p, at, ctx);
  else
    with_pair<e5m2>(p, at, ctx);
}

}  // namespace gonka::cuda
