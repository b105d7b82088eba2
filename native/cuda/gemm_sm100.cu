// gemm on tcgen05; see device/gemm_tcgen05.cuh.
#include "device/gemm_tcgen05.cuh"

namespace gonka::cuda {
namespace {

template <tcgen05_kind Kind, class Shape, bool Pair, bool Scaled>
GK_KERNEL(k_tcgen05_threads, 1)
gemm_tcgen05_kernel(GK_GRID_CONSTANT tcgen05_args a) {
  gemm_tcgen05<Kind, Shape, Pair, Scaled>::run(a);
}

uint32_t instruction_of(uint32_t type, uint32_t n) {
  const tcgen05_element element = type == GK_BF16      ? tcgen05_element::bf16
                                  : type == GK_F16     ? tcgen05_element::f16
                                  : type == GK_F8_E4M3 ? tcgen05_element::e4m3
                                  : type == GK_F8_E5M2 ? tcgen05_element::e5m2
                                                       : tcgen05_element::s8;
  return tcgen05_instruction(element, element, type == GK_I8, k_tcgen05_block_m, n);
}

template <tcgen05_kind Kind, class Shape, bool Pair, bool Scaled>
void launch(const gk_gemm &p, places at, context &ctx, uint32_t splits) {
  using kernel = gemm_tcgen05<Kind, Shape, Pair, Scaled>;
  tcgen05_args a;
  a.g = make_gemm_args(p, at);
  a.tiles_m = uint32_t(ceil_div(p.m, k_tcgen05_block_m));
  a.tiles_n = uint32_t(ceil_div(p.n, kernel::k_b_box));
  a.instruction = instruction_of(p.a_type, kernel::k_block_n);
  // A part of k is a whole number of units.
  const int64_t steps = ceil_div(p.k, kernel::k_stage_k);
  a.steps_of_unit = int32_t(Scaled ? p.scale_block_k / kernel::k_stage_k : steps);
  const int64_t unit = Scaled ? a.steps_of_unit : 1, units = ceil_div(steps, unit), per_split = ceil_div(units, splits);
  a.steps_of_split = int32_t(per_split * unit);
  a.g.splits = uint32_t(ceil_div(units, per_split));
  if (a.g.splits > 1)
    a.g.workspace = runtime::address<float>(
        ctx.scratch(0, uint64_t(a.g.splits) * (Pair ? 2 : 1) * uint64_t(p.m) * uint64_t(p.n) * sizeof(float)));
  const auto map = [&](void *base, int64_t rows, int64_t ld, uint32_t box_rows) {
    const uint32_t bytes = uint32_t(dtype_size(p.a_type));
    return runtime::make_tensor_map({.base = base,
                                     .element_bytes = bytes,
                                     .dimensions = 2,
                                     .extent = {uint64_t(p.k), uint64_t(rows), 1},
                                     .stride_bytes = {uint64_t(ld) * bytes, 0},
                                     .box = {uint32_t(kernel::k_stage_k), box_rows, 1}});
  };
  a.a = map(at[k_gemm_a], p.m, p.lda, k_tcgen05_block_m);
  a.b = map(at[k_gemm_b], p.n, p.ldb, kernel::k_b_box);
  a.b2 = Pair ? map(at[k_gemm_b2], p.n, p.ldb, kernel::k_b_box) : a.b;
  const uint64_t items = uint64_t(a.tiles_m) * a.tiles_n * a.g.splits;
  const runtime::launch_shape shape = {
      .grid_x = uint32_t(items < ctx.can().multiprocessors ? items : ctx.can().multiprocessors),
      .threads = k_tcgen05_threads,
      .shared_bytes = kernel::k_shared_bytes};
  runtime::launch(ctx.stream(), &gemm_tcgen05_kernel<Kind, Shape, Pair, Scaled>, shape, a);
  if (a.g.splits > 1) gemm_add_parts(a.g, ctx);
}

template <tcgen05_kind Kind, bool Pair, bool Scaled>
void with_shape(const gk_gemm &p, places at, context &ctx) {
  const tcgen05_plan plan = plan_tcgen05(p.m, Pair ? 2 * p.n : p.n, p.k, uint32_t(dtype_size(p.a_type)), ctx.can());
  if (plan.wide)
    launch<Kind, tcgen05_wide, Pair, Scaled>(p, at, ctx, plan.splits);
  else
    launch<Kind, tcgen05_square, Pair, Scaled>(p, at, ctx, plan.splits);
}

template <tcgen05_kind Kind, bool Scaled>
void with_pair(const gk_gemm &p, places at, context &ctx) {
  if (p.epilogue == GK_EPILOGUE_SWIGLU)
    with_shape<Kind, true, Scaled>(p, at, ctx);
  else
    with_shape<Kind, false, Scaled>(p, at, ctx);
}

}  // namespace

void run_gemm_tcgen05(void *problem, places at, context &ctx) {
  const auto &p = *static_cast<const gk_gemm *>(problem);
  if (p.m == 0 || p.n == 0) return;
  const bool scaled = at[k_gemm_a_scale] != nullptr || at[k_gemm_b_scale] != nullptr || at[k_gemm_b2_scale] != nullptr;
  if (p.a_type == GK_I8)
    with_shape<tcgen05_kind::i8, false, false>(p, at, ctx);
  else if (dtype_size(p.a_type) == 2)
    with_pair<tcgen05_kind::f16, false>(p, at, ctx);
  else if (scaled)
    with_pair<tcgen05_kind::f8f6f4, true>(p, at, ctx);
  else
    with_pair<tcgen05_kind::f8f6f4, false>(p, at, ctx);
}

}  // namespace gonka::cuda
