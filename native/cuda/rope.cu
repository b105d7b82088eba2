// rope: one thread per pair of elements; threads of a warp walk the pairs of one head, so loads are contiguous.
#include "device/dispatch.hpp"
#include "device/elements.cuh"
#include "implementation.hpp"
#include "rope/rope.hpp"

namespace gonka::cuda {
namespace {

constexpr uint32_t k_threads = 256;

template <class T>
struct rope_args {
  int64_t tokens, token_stride, head_stride, table_positions;
  int32_t heads, pairs;
  uint32_t adjacent;
  gptr<T> x;
  gptr<const float> table;
  gptr<const int32_t> positions;
};

template <class T>
GK_KERNEL(k_threads, 1)
rope_kernel(rope_args<T> a) {
  const int64_t token_pairs = int64_t(a.heads) * a.pairs;
  const int64_t total = a.tokens * token_pairs;
  const int64_t step = int64_t(grid_dim().x) * k_threads;
  for (int64_t i = int64_t(block_idx().x) * k_threads + thread_idx().x; i < total; i += step) {
    const int64_t token = i / token_pairs;
    const int32_t rest = int32_t(i - token * token_pairs);
    const int32_t head = rest / a.pairs, pair = rest - head * a.pairs;
    int64_t position = ld_global(a.positions + token);
    position = position < 0 ? 0 : position >= a.table_positions ? a.table_positions - 1 : position;
    const gptr<const float> angle = a.table + (position * a.pairs + pair) * 2;
    const float cosine = ld_global(angle), sine = ld_global(angle + 1);
    const gptr<T> base = a.x + token * a.token_stride + head * a.head_stride;
    const gptr<T> first = base + (a.adjacent ? 2 * pair : pair);
    const gptr<T> second = base + (a.adjacent ? 2 * pair + 1 : pair + a.pairs);
    const float u = to_f32(ld_global(first)), v = to_f32(ld_global(second));
    st_global(first, from_f32<T>(fma(-v, sine, u * cosine)));
    st_global(second, from_f32<T>(fma(v, cosine, u * sine)));
  }
}

void run(void *problem, places at, context &ctx) {
  const auto &p = *static_cast<const gk_rope *>(problem);
  const int64_t total = p.tokens * p.heads * (p.rotary_dim / 2);
  if (total == 0) return;
  with_float_type(p.type, [&]<class T>() {
    const rope_args<T> a = {p.tokens,
                            p.token_stride,
                            p.head_stride,
                            p.table_positions,
                            p.heads,
                            p.rotary_dim / 2,
                            p.layout == GK_ROPE_ADJACENT,
                            runtime::address<T>(at[k_rope_x]),
                            runtime::address<const float>(at[k_rope_table]),
                            runtime::address<const int32_t>(at[k_rope_positions])};
    const int64_t blocks = ceil_div(total, k_threads), most = int64_t(ctx.can().multiprocessors) * 16;
    const runtime::launch_shape shape = {.grid_x = uint32_t(blocks < most ? blocks : most), .threads = k_threads};
    runtime::launch(ctx.stream(), &rope_kernel<T>, shape, a);
  });
}

const char *reject(const void *problem, const capability &) {
  const auto &p = *static_cast<const gk_rope *>(problem);
  return int64_t(p.heads) * (p.rotary_dim / 2) > 0x7fffffff ? "more than 2^31 - 1 pairs in a token" : nullptr;
}

constexpr implementation k_list[] = {{"generic", reject, nullptr, run}};

}  // namespace

std::span<const implementation> rope_list() noexcept {
  return k_list;
}

}  // namespace gonka::cuda
