// silu_mul: elementwise, 16 bytes per thread where rows are aligned.
#include "device/dispatch.hpp"
#include "device/elements.cuh"
#include "device/silu.cuh"
#include "implementation.hpp"
#include "silu_mul/silu_mul.hpp"

namespace gonka::cuda {
namespace {

constexpr uint32_t k_threads = 256;

template <class T>
struct silu_mul_args {
  int64_t rows, columns, ld_gate, ld_up, ldo;
  gptr<const T> gate, up;
  gptr<T> out;
};

template <class T, int N>
GK_KERNEL(k_threads, 1)
silu_mul_kernel(silu_mul_args<T> a) {
  const int64_t units = a.columns / N;
  const int64_t total = a.rows * units;
  const int64_t step = int64_t(grid_dim().x) * k_threads;
  for (int64_t i = int64_t(block_idx().x) * k_threads + thread_idx().x; i < total; i += step) {
    const int64_t row = i / units, c = (i - row * units) * N;
    float gate[N], up[N];
    load_elements<T>(gate, a.gate + row * a.ld_gate + c);
    load_elements<T>(up, a.up + row * a.ld_up + c);
    GK_UNROLL
    for (int j = 0; j < N; ++j) gate[j] = silu_times(gate[j], up[j]);
    store_elements<T>(a.out + row * a.ldo + c, gate);
  }
}

void run(void *problem, places at, context &ctx) {
  const auto &p = *static_cast<const gk_silu_mul *>(problem);
  if (p.rows == 0 || p.columns == 0) return;
  with_float_type(p.type, [&]<class T>() {
    const silu_mul_args<T> a = {p.rows,
                                p.columns,
                                p.ld_gate,
                                p.ld_up,
                                p.ldo,
                                runtime::address<const T>(at[k_silu_mul_gate]),
                                runtime::address<const T>(at[k_silu_mul_up]),
                                runtime::address<T>(at[k_silu_mul_out])};
    constexpr int64_t unit = k_unit<T>;
    const auto whole = [&](void *base, int64_t ld) { return aligned_16(base) && ld % unit == 0; };
    const bool vectors = p.columns % unit == 0 && whole(at[k_silu_mul_gate], p.ld_gate) &&
                         whole(at[k_silu_mul_up], p.ld_up) && whole(at[k_silu_mul_out], p.ldo);
    const int64_t blocks = ceil_div(p.rows * p.columns / (vectors ? unit : 1), k_threads);
    const int64_t most = int64_t(ctx.can().multiprocessors) * 16;
    const runtime::launch_shape shape = {.grid_x = uint32_t(blocks < most ? blocks : most), .threads = k_threads};
    runtime::launch(ctx.stream(), vectors ? &silu_mul_kernel<T, k_unit<T>> : &silu_mul_kernel<T, 1>, shape, a);
  });
}

constexpr implementation k_list[] = {
    {"generic", [](const void *, const capability &) -> const char * { return nullptr; }, nullptr, run}};

}  // namespace

std::span<const implementation> silu_mul_list() noexcept {
  return k_list;
}

}  // namespace gonka::cuda
