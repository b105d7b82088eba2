// gemm_wgmma.cuh with or without a planted bug; see planted.cmake. Blocks take several tiles each.
#include "planted.hpp"
#include "planted/gemm_wgmma.cuh"

using namespace gonka::cuda;

#if !defined(PLANTED_SHAPE)
#define PLANTED_SHAPE wgmma_square
#endif

namespace {

using shape = PLANTED_SHAPE;

GK_KERNEL(k_wgmma_threads, 1)
kernel(GK_GRID_CONSTANT wgmma_args a) {
  using mainloop = gemm_wgmma<f16, shape, false>;
  mainloop::run(a, [&](int64_t row0, int64_t column0, const auto &d, const auto &d2) {
    store_accumulators<float, mainloop::k_sums, false>(a.g, row0, column0, d, d2, mainloop::staging());
  });
}

}  // namespace

int main() {
  runtime::stream *stream = runtime::stream_open(2);  // the emulated H100
  runtime::make_current(stream);
  const auto launch = [&](const planted::problem &p, void *a, void *b, void *d) {
    gemm_args g{};
    g.m = p.m, g.n = p.n, g.k = p.k, g.lda = g.ldb = p.ld, g.ldd = p.n;
    g.alpha = 1;
    g.a_type = g.b_type = GK_F16;
    g.d_type = GK_F32;
    g.splits = 1;
    g.d = runtime::address<uint8_t>(d);
    const wgmma_args args = make_wgmma_args<f16, shape, false>(g, a, b, nullptr);
    runtime::launch(stream, &kernel,
                    {.grid_x = uint32_t(shape::tile.cluster),
                     .threads = k_wgmma_threads,
                     .shared_bytes = gemm_wgmma<f16, shape, false>::k_shared_bytes,
                     .cluster = uint32_t(shape::tile.cluster)},
                    args);
  };
  std::string evidence;
  for (uint64_t seed = 0; seed < 3 && evidence.empty(); ++seed)
    for (const planted::problem &p : {planted::problem{128, 128, 64, 64}, {130, 140, 520, 520}, {300, 260, 200, 200}})
      if (evidence.empty()) evidence = planted::run(p, seed, launch);
  runtime::stream_close(stream);
  return planted::verdict(evidence);
}
