// The project's gemm run beside another library's, in turns on the same operands. Used by the drivers of
// bench/peers.sh, each of which wraps one library.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gemm/gemm.hpp"
#include "implementation.hpp"
#include "peak.hpp"

namespace peers {

struct shape {
  int64_t m, n, k;
};

// The shapes of the published anchors, and a square one beyond the caches.
inline constexpr shape k_shapes[] = {{1024, 1024, 1024}, {2048, 2048, 2048}, {16, 4096, 4096}, {256, 11008, 4096}};

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Memory as the backend would give it: on huge pages where it is large.
template <class T>
std::unique_ptr<T[], void (*)(void *)> aligned(size_t count) {
  constexpr size_t k_page = size_t(2) << 20;
  const size_t bytes = (count * sizeof(T) + k_page - 1) / k_page * k_page;
  void *data = std::aligned_alloc(k_page, bytes);
  if (data == nullptr) std::perror("peers"), std::exit(1);
  madvise(data, bytes, MADV_HUGEPAGE);
  std::memset(data, 0, bytes);
  return {static_cast<T *>(data), std::free};
}

// The first implementation of the list that takes the problem.
inline const gonka::cpu::implementation *best_of(uint32_t op, const void *problem, const gonka::cpu::features &cpu) {
  for (const gonka::cpu::implementation &candidate : gonka::cpu::implementations(op))
    if (candidate.reject(problem, cpu) == nullptr) return &candidate;
  std::fprintf(stderr, "peers: nothing here runs op %u\n", op);
  std::exit(1);
}

// D [m,n] = A [m,k] B [n,k]^T with B packed, by the best implementation of this processor.
class our_gemm {
 public:
  our_gemm(gonka::cpu::thread_pool &pool, uint32_t type, const shape &s, const void *a, const void *b, void *d)
      : context_{pool, gonka::cpu::this_cpu()} {
    problem_.struct_size = sizeof problem_;
    problem_.a_type = problem_.b_type = type;
    problem_.d_type = type == GK_I8 ? GK_I32 : GK_F32;
    problem_.m = s.m, problem_.n = s.n, problem_.k = s.k;
    problem_.lda = problem_.ldb = s.k;
    problem_.ldc = problem_.ldd = s.n;
    problem_.alpha = 1;
    problem_.b_packed = 1;
    gk_gemm_pack pack{};
    pack.struct_size = sizeof pack;
    pack.a_type = pack.b_type = type;
    pack.n = s.n, pack.k = s.k, pack.ldb = s.k;
    const char *reason = "";
    const uint64_t bytes = gonka::cpu::gemm_pack_size(pack, context_.cpu, &reason);
    if (bytes == 0) {
      std::fprintf(stderr, "peers: no packing gemm on this processor: %s\n", reason);
      std::exit(1);
    }
    packed_ = aligned<std::byte>(bytes);
    gonka::cpu::gemm_pack_into(pack, b, nullptr, packed_.get(), context_);
    best_ = best_of(GK_OP_GEMM, &problem_, context_.cpu);
    pointers_[gonka::k_gemm_a] = const_cast<void *>(a);
    pointers_[gonka::k_gemm_b] = packed_.get();
    pointers_[gonka::k_gemm_d] = d;
  }
  void operator()() { best_->run(&problem_, gonka::operand_pointers(pointers_, std::size(pointers_)), context_); }

 private:
  gonka::cpu::context context_;
  gk_gemm problem_{};
  std::unique_ptr<std::byte[], void (*)(void *)> packed_ = aligned<std::byte>(1);
  const gonka::cpu::implementation *best_ = nullptr;
  void *pointers_[gonka::k_gemm_b2_scale + 1] = {};
};

// Runs the two in turns for `seconds` and prints one row: operation, peer, threads, both rates in 10^9 operations per
// second, the median of their ratios, and ours as a share of the ceiling, where this processor has one (not 0).
inline void compare(const std::string &what, const char *peer, uint32_t threads, double operations, double ceiling,
                    const std::function<void()> &ours, const std::function<void()> &theirs, double seconds = 0.6) {
  std::vector<double> our_rates, their_rates, ratios;
  const auto rate = [&](const std::function<void()> &call, double least) {
    const double begin = now();
    int calls = 0;
    do {
      call();
      ++calls;
    } while (now() - begin < least);
    return operations * calls / (now() - begin) * 1e-9;
  };
  ours(), theirs(), ours(), theirs();
  // Threads of the side that has just finished spin for a while (libgomp some milliseconds, OpenBLAS some more) and are
  // in the way, and those that begin may share a processor at first: each side works unmeasured until it has the place.
  const double before = threads > 1 ? 0.03 : 0, measured = threads > 1 ? 0.02 : 0.005;
  const auto settled_rate = [&](const std::function<void()> &call) {
    if (before > 0) rate(call, before);
    return rate(call, measured);
  };
  for (const double end = now() + seconds * (threads > 1 ? 3 : 1); now() < end || ratios.size() < 5;) {
    our_rates.push_back(settled_rate(ours));
    their_rates.push_back(settled_rate(theirs));
    ratios.push_back(our_rates.back() / their_rates.back());
  }
  char share[16] = "";
  if (ceiling > 0) std::snprintf(share, sizeof share, "%.2f", median(our_rates) / ceiling);
  std::printf("| %s | %s | %u | %.0f | %.0f | %.2f | %s |\n", what.c_str(), peer, threads, median(our_rates),
              median(their_rates), median(ratios), share);
  std::fflush(stdout);
}

inline const char *name_of(uint32_t type) {
  return type == GK_F32 ? "f32" : type == GK_BF16 ? "bf16" : "i8";
}

inline double ceiling_of(uint32_t type, const gonka::cpu::peaks &peaks) {
  return type == GK_F32 ? peaks.f32_gflops : type == GK_BF16 ? peaks.bf16_gflops : peaks.i8_gops;
}

inline std::string case_name(const shape &s, uint32_t type) {
  char text[96];
  std::snprintf(text, sizeof text, "gemm %lldx%lldx%lld %s", static_cast<long long>(s.m), static_cast<long long>(s.n),
                static_cast<long long>(s.k), name_of(type));
  return text;
}

// Small integers: exact in every type, so that the results can be compared bit for bit.
inline auto small_integers(size_t count) {
  auto values = aligned<float>(count);
  uint32_t state = 12345;
  for (size_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    values[i] = float(int(state >> 24) % 7 - 3);
  }
  return values;
}

// Ends the program if the two results differ: a comparison of different work would mean nothing.
template <class T>
void require_equal(const std::string &what, const char *peer, const T *ours, const T *theirs, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (ours[i] != theirs[i]) {
      std::fprintf(stderr, "peers: %s: %s gives another result at element %zu\n", what.c_str(), peer, i);
      std::exit(1);
    }
}

}  // namespace peers
