// gemm_mma.cuh with or without a planted bug; see planted.cmake.
#include "planted.hpp"
#include "planted/gemm_mma.cuh"

using namespace gonka::cuda;

int main() {
  using kernel = gemm_mma<f16, mma_medium, false>;
  runtime::stream *stream = runtime::stream_open(0);
  const auto launch = [&](const planted::problem &p, void *a, void *b, void *d) {
    gemm_args g{};
    g.m = p.m, g.n = p.n, g.k = p.k, g.lda = g.ldb = p.ld, g.ldd = p.n;
    g.alpha = 1;
    g.a_type = g.b_type = GK_F16;
    g.d_type = GK_F32;
    g.vector_a = g.vector_b = p.ld % 8 == 0;
    g.splits = 1;
    g.split_k = p.k;
    g.a = runtime::address<const uint8_t>(a);
    g.b = runtime::address<const uint8_t>(b);
    g.d = runtime::address<uint8_t>(d);
    runtime::launch(stream, &gemm_mma_kernel<f16, mma_medium, false>,
                    {.grid_x = uint32_t(ceil_div(p.m, 64) * ceil_div(p.n, 64)),
                     .threads = kernel::k_threads,
                     .shared_bytes = gemm_shared_bytes(mma_medium::tile)},
                    g);
  };
  std::string evidence;
  for (uint64_t seed = 0; seed < 3 && evidence.empty(); ++seed)
    for (const planted::problem &p : {planted::problem{64, 64, 320, 320}, {70, 33, 201, 208}, {20, 70, 67, 67}})
      if (evidence.empty()) evidence = planted::run(p, seed, launch);
  runtime::stream_close(stream);
  return planted::verdict(evidence);
}
