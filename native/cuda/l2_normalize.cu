// l2_normalize: one block per row; largest magnitude, then the sum of squares of the scaled row, then the division.
// Scaling keeps the squares of very small and very large values inside F32.
#include "device/dispatch.hpp"
#include "device/elements.cuh"
#include "implementation.hpp"
#include "l2_normalize/l2_normalize.hpp"

namespace gonka::cuda {
namespace {

constexpr uint32_t k_threads = 256;

template <class T>
struct l2_normalize_args {
  int64_t columns, ldx, ldy;
  gptr<const T> x;
  gptr<T> y;
  float eps;
};

GK_DEVICE float block_max(float value, sptr<float> scratch) {
  GK_UNROLL
  for (uint32_t d = 16; d != 0; d /= 2) {
    const float other = shfl_xor(value, d);
    value = other > value ? other : value;
  }
  bar_sync();
  if (lane_id() == 0) st_shared(scratch + warp_id(), value);
  bar_sync();
  float most = 0;
  for (uint32_t w = 0; w < k_threads / 32; ++w) {
    const float other = ld_shared(scratch + w);
    most = other > most ? other : most;
  }
  return most;
}

template <class T, int N>
GK_KERNEL(k_threads, 1)
l2_normalize_kernel(l2_normalize_args<T> a) {
  const int64_t row = block_idx().x;
  const uint32_t t = thread_idx().x;
  const gptr<const T> x = a.x + row * a.ldx;
  const sptr<float> scratch = shared_at<float>(0);
  float v[N];
  float largest = 0;
  for (int64_t c = int64_t(t) * N; c < a.columns; c += k_threads * N) {
    load_elements<T>(v, x + c);
    GK_UNROLL
    for (int i = 0; i < N; ++i) {
      const float magnitude = f32_of_bits(bits_of(v[i]) & 0x7fffffff);
      largest = magnitude > largest ? magnitude : largest;
    }
  }
  largest = block_max(largest, scratch);
  // A power of two near 1 / largest, and its inverse; both exact and finite.
  const uint32_t exponent = bits_of(largest) >> 23;
  const float up = exponent > 190 ? 0x1p-64f : exponent < 64 ? 0x1p64f : 1.0f;
  const float down = exponent > 190 ? 0x1p64f : exponent < 64 ? 0x1p-64f : 1.0f;
  float squares = 0;
  for (int64_t c = int64_t(t) * N; c < a.columns; c += k_threads * N) {
    load_elements<T>(v, x + c);
    GK_UNROLL
    for (int i = 0; i < N; ++i) squares = fma(v[i] * up, v[i] * up, squares);
  }
  const float divisor = sqrt_rn(block_sum(squares, scratch, k_threads)) * down + a.eps;
  for (int64_t c = int64_t(t) * N; c < a.columns; c += k_threads * N) {
    load_elements<T>(v, x + c);
    GK_UNROLL
    for (int i = 0; i < N; ++i) v[i] = div_rn(v[i], divisor);
    store_elements<T>(a.y + row * a.ldy + c, v);
  }
}

void run(void *problem, places at, context &ctx) {
  const auto &p = *static_cast<const gk_l2_normalize *>(problem);
  if (p.rows == 0 || p.columns == 0) return;
  with_float_type(p.type, [&]<class T>() {
    const l2_normalize_args<T> a = {p.columns,
                                    p.ldx,
                                    p.ldy,
                                    runtime::address<const T>(at[k_l2_normalize_x]),
                                    runtime::address<T>(at[k_l2_normalize_y]),
                                    p.eps};
    constexpr int64_t unit = k_unit<T>;
    const bool vectors = p.columns % unit == 0 && p.ldx % unit == 0 && p.ldy % unit == 0 &&
                         aligned_16(at[k_l2_normalize_x]) && aligned_16(at[k_l2_normalize_y]);
    const runtime::launch_shape shape = {.grid_x = uint32_t(p.rows), .threads = k_threads, .shared_bytes = 128};
    runtime::launch(ctx.stream(), vectors ? &l2_normalize_kernel<T, k_unit<T>> : &l2_normalize_kernel<T, 1>, shape, a);
  });
}

constexpr implementation k_list[] = {{"generic", reject_rows<gk_l2_normalize>, nullptr, run}};

}  // namespace

std::span<const implementation> l2_normalize_list() noexcept {
  return k_list;
}

}  // namespace gonka::cuda
