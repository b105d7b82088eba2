// gemm_tcgen05.cuh with or without a planted bug; see planted.cmake. Blocks take several tiles each.
#include "planted.hpp"
#include "planted/gemm_tcgen05.cuh"

using namespace gonka::cuda;

namespace {

using mainloop = gemm_tcgen05<tcgen05_kind::f16, tcgen05_square, false, false>;

GK_KERNEL(k_tcgen05_threads, 1)
kernel(GK_GRID_CONSTANT tcgen05_args a) {
  mainloop::run(a);
}

}  // namespace

int main() {
  runtime::stream *stream = runtime::stream_open(3);  // the emulated B200
  runtime::make_current(stream);
  const auto launch = [&](const planted::problem &p, void *a, void *b, void *d) {
    tcgen05_args args{};
    gemm_args &g = args.g;
    g.m = p.m, g.n = p.n, g.k = p.k, g.lda = g.ldb = p.ld, g.ldd = p.n;
    g.alpha = 1;
    g.a_type = g.b_type = GK_F16;
    g.d_type = GK_F32;
    g.splits = 1;
    g.d = runtime::address<uint8_t>(d);
    args.tiles_m = uint32_t(ceil_div(p.m, k_tcgen05_block_m));
    args.tiles_n = uint32_t(ceil_div(p.n, mainloop::k_b_box));
    args.instruction =
        tcgen05_instruction(tcgen05_element::f16, tcgen05_element::f16, false, k_tcgen05_block_m, mainloop::k_block_n);
    args.steps_of_unit = args.steps_of_split = int32_t(ceil_div(p.k, mainloop::k_stage_k));
    const auto map = [&](void *base, int64_t rows, uint32_t box) {
      return runtime::make_tensor_map({.base = base,
                                       .element_bytes = 2,
                                       .dimensions = 2,
                                       .extent = {uint64_t(p.k), uint64_t(rows), 1},
                                       .stride_bytes = {uint64_t(p.ld) * 2, 0},
                                       .box = {uint32_t(mainloop::k_stage_k), box, 1}});
    };
    args.a = map(a, p.m, k_tcgen05_block_m);
    args.b = args.b2 = map(b, p.n, mainloop::k_b_box);
    runtime::launch(stream, &kernel,
                    {.grid_x = 1, .threads = k_tcgen05_threads, .shared_bytes = mainloop::k_shared_bytes}, args);
  };
  std::string evidence;
  for (uint64_t seed = 0; seed < 3 && evidence.empty(); ++seed)
    for (const planted::problem &p : {planted::problem{128, 128, 64, 64}, {130, 140, 520, 520}})
      if (evidence.empty()) evidence = planted::run(p, seed, launch);
  runtime::stream_close(stream);
  return planted::verdict(evidence);
}
