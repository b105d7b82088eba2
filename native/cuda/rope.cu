// rope: a block turns a few tokens, so that positions are read and pairs are counted without long divisions; threads of
// a warp walk the pairs of one head, so loads are contiguous.
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
  uint32_t whole;  // adjacent pairs begin at multiples of their size
  uint32_t lanes;  // threads that share a token; a power of two
  uint32_t lanes_log2;
  gptr<T> x;
  gptr<const float> table;
  gptr<const int32_t> positions;
};

template <class T>
GK_DEVICE void load_pair(gptr<const T> from, float &u, float &v) {
  if constexpr (sizeof(T) == 4) {
    const f32x2 both = ld_global(ptr_cast<const f32x2>(from));
    u = both.x, v = both.y;
  } else {
    const uint32_t both = ld_global(ptr_cast<const uint32_t>(from));
    u = low_half<T>(both), v = high_half<T>(both);
  }
}

template <class T>
GK_DEVICE void store_pair(gptr<T> to, float u, float v) {
  if constexpr (sizeof(T) == 4)
    st_global(ptr_cast<f32x2>(to), f32x2{u, v});
  else
    st_global(ptr_cast<uint32_t>(to), pack_f32x2<T>(u, v));
}

template <class T>
GK_KERNEL(k_threads, 1)
rope_kernel(rope_args<T> a) {
  const int32_t token_pairs = a.heads * a.pairs;
  const uint32_t together = k_threads >> a.lanes_log2, lane = thread_idx().x & (a.lanes - 1);
  const int64_t step = int64_t(grid_dim().x) * together;
  for (int64_t token = int64_t(block_idx().x) * together + (thread_idx().x >> a.lanes_log2); token < a.tokens;
       token += step) {
    int64_t position = ld_global(a.positions + token);
    position = position < 0 ? 0 : position >= a.table_positions ? a.table_positions - 1 : position;
    const gptr<const float> angles = a.table + position * a.pairs * 2;
    const gptr<T> row = a.x + token * a.token_stride;
    for (int32_t i = int32_t(lane); i < token_pairs; i += int32_t(a.lanes)) {
      const int32_t head = i / a.pairs, pair = i - head * a.pairs;
      const gptr<const float> angle = angles + 2 * pair;
      const float cosine = ld_global(angle), sine = ld_global(angle + 1);
      const gptr<T> base = row + head * a.head_stride;
      float u, v;
      if (a.whole) {
        load_pair<T>(base + 2 * pair, u, v);
        store_pair<T>(base + 2 * pair, fma(-v, sine, u * cosine), fma(v, cosine, u * sine));
      } else {
        const gptr<T> first = base + (a.adjacent ? 2 * pair : pair);
        const gptr<T> second = base + (a.adjacent ? 2 * pair + 1 : pair + a.pairs);
        u = to_f32(ld_global(first)), v = to_f32(ld_global(second));
        st_global(first, from_f32<T>(fma(-v, sine, u * cosine)));
        st_global(second, from_f32<T>(fma(v, cosine, u * sine)));
      }
    }
  }
}

void run(void *problem, places at, context &ctx) {
  const auto &p = *static_cast<const gk_rope *>(problem);
  const int64_t token_pairs = int64_t(p.heads) * (p.rotary_dim / 2);
  if (p.tokens * token_pairs == 0) return;
  uint32_t lanes_log2 = 5;
  while (lanes_log2 < 8 && int64_t(1) << lanes_log2 < token_pairs) ++lanes_log2;
  with_float_type(p.type, [&]<class T>() {
    const bool adjacent = p.layout == GK_ROPE_ADJACENT;
    const rope_args<T> a = {.tokens = p.tokens,
                            .token_stride = p.token_stride,
                            .head_stride = p.head_stride,
                            .table_positions = p.table_positions,
                            .heads = p.heads,
                            .pairs = p.rotary_dim / 2,
                            .adjacent = adjacent,
                            .whole = adjacent && p.token_stride % 2 == 0 && p.head_stride % 2 == 0 &&
                                     reinterpret_cast<uintptr_t>(at[k_rope_x]) % (2 * sizeof(T)) == 0,
                            .lanes = 1u << lanes_log2,
                            .lanes_log2 = lanes_log2,
                            .x = runtime::address<T>(at[k_rope_x]),
                            .table = runtime::address<const float>(at[k_rope_table]),
                            .positions = runtime::address<const int32_t>(at[k_rope_positions])};
    const int64_t blocks = ceil_div(p.tokens, int64_t(k_threads >> lanes_log2));
    const int64_t most = int64_t(ctx.can().multiprocessors) * 16;
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
