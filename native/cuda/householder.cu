// householder: one block per row; the dot product with v, then the update. F16 and BF16 round after every step, as the
// half-precision reference does; only the order of the sum differs.
#include "device/dispatch.hpp"
#include "device/elements.cuh"
#include "householder/householder.hpp"
#include "implementation.hpp"

namespace gonka::cuda {
namespace {

constexpr uint32_t k_threads = 256;

template <class T>
struct householder_args {
  int64_t columns, ldx;
  gptr<T> x;
  gptr<const T> v;
};

template <class T, int N>
GK_KERNEL(k_threads, 1)
householder_kernel(householder_args<T> a) {
  const gptr<T> x = a.x + int64_t(block_idx().x) * a.ldx;
  const int64_t first = int64_t(thread_idx().x) * N;
  float e[N], v[N];
  float dot = 0;
  for (int64_t c = first; c < a.columns; c += k_threads * N) {
    load_elements<T>(e, gptr<const T>(x) + c);
    load_elements<T>(v, a.v + c);
    GK_UNROLL
    for (int i = 0; i < N; ++i) dot += round_to<T>(e[i] * v[i]);
  }
  const float sum = round_to<T>(block_sum(dot, shared_at<float>(0), k_threads));
  const float twice = round_to<T>(2 * sum);
  for (int64_t c = first; c < a.columns; c += k_threads * N) {
    load_elements<T>(e, gptr<const T>(x) + c);
    load_elements<T>(v, a.v + c);
    GK_UNROLL
    for (int i = 0; i < N; ++i) e[i] = e[i] - round_to<T>(twice * v[i]);
    store_elements<T>(x + c, e);
  }
}

void run(void *problem, places at, context &ctx) {
  const auto &p = *static_cast<const gk_householder *>(problem);
  if (p.rows == 0 || p.columns == 0) return;
  with_float_type(p.type, [&]<class T>() {
    const householder_args<T> a = {p.columns, p.ldx, runtime::address<T>(at[k_householder_x]),
                                   runtime::address<const T>(at[k_householder_v])};
    constexpr int64_t unit = k_unit<T>;
    const bool vectors = p.columns % unit == 0 && p.ldx % unit == 0 && aligned_16(at[k_householder_x]) &&
                         aligned_16(at[k_householder_v]);
    const runtime::launch_shape shape = {.grid_x = uint32_t(p.rows), .threads = k_threads, .shared_bytes = 128};
    runtime::launch(ctx.stream(), vectors ? &householder_kernel<T, k_unit<T>> : &householder_kernel<T, 1>, shape, a);
  });
}

constexpr implementation k_list[] = {{"generic", reject_rows<gk_householder>, nullptr, run}};

}  // namespace

std::span<const implementation> householder_list() noexcept {
  return k_list;
}

}  // namespace gonka::cuda
