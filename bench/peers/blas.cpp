// gemm f32 beside a BLAS library: blas NAME LIBRARY.so THREADS. Only C names of the library are used, so that no
// headers have to be installed.
#include <dlfcn.h>

#include "beside.hpp"

using sgemm_fn = void (*)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a,
                          int lda, const float *b, int ldb, float beta, float *c, int ldc);

int main(int argc, char **argv) {
  if (argc != 4) return std::fprintf(stderr, "usage: blas NAME LIBRARY.so THREADS\n"), 2;
  const auto threads = uint32_t(std::atoi(argv[3]));
  void *library = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return std::fprintf(stderr, "blas: %s\n", dlerror()), 1;
  const auto sgemm = reinterpret_cast<sgemm_fn>(dlsym(library, "cblas_sgemm"));
  if (sgemm == nullptr) return std::fprintf(stderr, "blas: %s has no cblas_sgemm\n", argv[2]), 1;
  if (void *set = dlsym(library, "openblas_set_num_threads")) reinterpret_cast<void (*)(int)>(set)(int(threads));
  if (void *set = dlsym(library, "bli_thread_set_num_threads"))
    reinterpret_cast<void (*)(int64_t)>(set)(int64_t(threads));

  gonka::cpu::thread_pool pool(threads);
  for (const peers::shape &s : peers::k_shapes) {
    const auto a = peers::small_integers(size_t(s.m * s.k)), b = peers::small_integers(size_t(s.n * s.k));
    auto d = peers::aligned<float>(size_t(s.m * s.n)), c = peers::aligned<float>(size_t(s.m * s.n));
    peers::our_gemm ours(pool, GK_F32, s, a.get(), b.get(), d.get());
    constexpr int k_row_major = 101, k_no_trans = 111, k_trans = 112;
    const auto theirs = [&] {
      sgemm(k_row_major, k_no_trans, k_trans, int(s.m), int(s.n), int(s.k), 1, a.get(), int(s.k), b.get(), int(s.k), 0,
            c.get(), int(s.n));
    };
    const double ceiling = gonka::cpu::measure_peaks(pool, gonka::cpu::this_cpu()).f32_gflops;
    const std::string what = peers::case_name(s, GK_F32);
    ours(), theirs();
    peers::require_equal(what, argv[1], d.get(), c.get(), size_t(s.m * s.n));
    peers::compare(
        what, argv[1], threads, 2.0 * double(s.m) * double(s.n) * double(s.k), ceiling, [&] { ours(); }, theirs);
  }
}
