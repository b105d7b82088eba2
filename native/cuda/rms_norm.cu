// rms_norm: one block per row. Two passes over the row, three with a reflector; all but the first find it in L1 or L2.
// Bound by device memory: 2 streams of the row, 4 with a residual, 3 with a reflector alone.
#include "device/dispatch.hpp"
#include "device/elements.cuh"
#include "implementation.hpp"
#include "rms_norm/rms_norm.hpp"

namespace gonka::cuda {
namespace {

constexpr uint32_t k_threads = 256;

template <class T>
struct rms_norm_args {
  int64_t columns, ldx, ld_residual, ld_sum, ldy;
  gptr<const T> x, residual, reflector;
  gptr<T> sum, y;
  gptr<const uint8_t> w;
  uint32_t w_type, round_before_weight, has_residual, has_reflector;
  float eps;
};

template <class T, int N>
GK_KERNEL(k_threads, 1)
rms_norm_kernel(rms_norm_args<T> a) {
  const int64_t row = block_idx().x;
  const uint32_t t = thread_idx().x;
  const gptr<const T> x = a.x + row * a.ldx;
  float squares = 0, dot = 0;
  for (int64_t c = int64_t(t) * N; c < a.columns; c += k_threads * N) {
    float v[N];
    load_elements<T>(v, x + c);
    if (a.has_residual) {
      float r[N];
      load_elements<T>(r, a.residual + row * a.ld_residual + c);
      GK_UNROLL
      for (int i = 0; i < N; ++i) v[i] = round_to<T>(v[i] + r[i]);
    }
    if (a.has_residual || a.has_reflector) store_elements<T>(a.sum + row * a.ld_sum + c, v);
    if (a.has_reflector) {
      float u[N];
      load_elements<T>(u, a.reflector + c);
      GK_UNROLL
      for (int i = 0; i < N; ++i) dot += round_to<T>(v[i] * u[i]);
      continue;
    }
    GK_UNROLL
    for (int i = 0; i < N; ++i) squares = fma(v[i], v[i], squares);
  }
  // Each thread reads back what it wrote itself, so sum may be x or the residual and y may be x.
  const bool changed = a.has_residual || a.has_reflector;
  const gptr<const T> source = changed ? gptr<const T>(a.sum + row * a.ld_sum) : x;
  if (a.has_reflector) {  // the steps of householder.cu
    const float twice = round_to<T>(2 * round_to<T>(block_sum(dot, shared_at<float>(0), k_threads)));
    for (int64_t c = int64_t(t) * N; c < a.columns; c += k_threads * N) {
      float v[N], u[N];
      load_elements<T>(v, source + c);
      load_elements<T>(u, a.reflector + c);
      GK_UNROLL
      for (int i = 0; i < N; ++i) {
        v[i] = round_to<T>(v[i] - round_to<T>(twice * u[i]));
        squares = fma(v[i], v[i], squares);
      }
      store_elements<T>(a.sum + row * a.ld_sum + c, v);
    }
  }
  const float mean = div_rn(block_sum(squares, shared_at<float>(0), k_threads), float(a.columns));
  const float root = sqrt_rn(mean + a.eps);
  for (int64_t c = int64_t(t) * N; c < a.columns; c += k_threads * N) {
    float v[N];
    load_elements<T>(v, source + c);
    GK_UNROLL
    for (int i = 0; i < N; ++i) {
      float scaled = div_rn(v[i], root);
      if (a.round_before_weight) scaled = round_to<T>(scaled);
      v[i] = scaled * load_any(a.w, a.w_type, c + i);
    }
    store_elements<T>(a.y + row * a.ldy + c, v);
  }
}

void run(void *problem, places at, context &ctx) {
  const auto &p = *static_cast<const gk_rms_norm *>(problem);
  if (p.rows == 0 || p.columns == 0) return;
  with_float_type(p.type, [&]<class T>() {
    const bool has_residual = at[k_rms_norm_residual] != nullptr, has_reflector = at[k_rms_norm_reflector] != nullptr;
    const rms_norm_args<T> a = {p.columns,
                                p.ldx,
                                p.ld_residual,
                                p.ld_sum,
                                p.ldy,
                                runtime::address<const T>(at[k_rms_norm_x]),
                                runtime::address<const T>(at[k_rms_norm_residual]),
                                runtime::address<const T>(at[k_rms_norm_reflector]),
                                runtime::address<T>(at[k_rms_norm_sum]),
                                runtime::address<T>(at[k_rms_norm_y]),
                                runtime::address<const uint8_t>(at[k_rms_norm_w]),
                                p.w_type,
                                p.round_before_weight,
                                has_residual,
                                has_reflector,
                                p.eps};
    constexpr int64_t unit = k_unit<T>;
    const auto whole = [&](void *base, int64_t ld) { return aligned_16(base) && ld % unit == 0; };
    const bool vectors = p.columns % unit == 0 && whole(at[k_rms_norm_x], p.ldx) && whole(at[k_rms_norm_y], p.ldy) &&
                         (!has_residual || whole(at[k_rms_norm_residual], p.ld_residual)) &&
                         (!has_reflector || aligned_16(at[k_rms_norm_reflector])) &&
                         (!(has_residual || has_reflector) || whole(at[k_rms_norm_sum], p.ld_sum));
    const runtime::launch_shape shape = {.grid_x = uint32_t(p.rows), .threads = k_threads, .shared_bytes = 128};
    runtime::launch(ctx.stream(), vectors ? &rms_norm_kernel<T, k_unit<T>> : &rms_norm_kernel<T, 1>, shape, a);
  });
}

constexpr implementation k_list[] = {{"generic", reject_rows<gk_rms_norm>, nullptr, run}};

}  // namespace

std::span<const implementation> rms_norm_list() noexcept {
  return k_list;
}

}  // namespace gonka::cuda
