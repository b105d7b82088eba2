#include "peak.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace gonka::cpu {
namespace {

using clock = std::chrono::steady_clock;

double seconds_since(clock::time_point begin) {
  return std::chrono::duration<double>(clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Median of so many rates during which no other program got a processor of this one; of the highest ones there are
// where the machine is too busy for that. A ceiling is what the processor can do, not what the others leave of it.
template <class F>
double undisturbed_rate(int repetitions, F &&rate) {
  const auto preemptions = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nivcsw;
  };
  std::vector<double> alone, disturbed;
  for (int tries = 0; int(alone.size()) < repetitions && tries < 16 * repetitions; ++tries) {
    const long before = preemptions();
    const double r = rate();
    (preemptions() == before ? alone : disturbed).push_back(r);
  }
  std::ranges::sort(disturbed, std::greater<>());
  while (int(alone.size()) < repetitions && !disturbed.empty()) {
    alone.push_back(disturbed.front());
    disturbed.erase(disturbed.begin());
  }
  return median(alone);
}

// 10^9 operations per second over all workers. Every worker runs one equal share at the same time: the spin barrier
// keeps a worker that starts early from taking two.
double measure(thread_pool &pool, peak_loop loop, int repetitions) {
  if (loop == nullptr) return 0;
  struct alignas(64) line {
    float values[16];
  };
  std::vector<line> sinks(pool.size());
  uint64_t rounds = 1000;
  const auto takes = [&] {
    const auto begin = clock::now();
    loop(rounds, sinks[0].values);
    return seconds_since(begin);
  };
  // Twice, since what interrupts one of them does not make the loop long.
  while (takes() < 0.001 || takes() < 0.001) rounds *= 2;
  return undisturbed_rate(repetitions, [&] {
    std::atomic<uint32_t> waiting{0};
    std::vector<double> done(pool.size());
    clock::time_point begin;
    pool.parallel_for(pool.size(), [&](uint32_t task, uint32_t) {
      waiting.fetch_add(1);
      // On a machine with more to do than processors the others may need this one to arrive.
      for (uint32_t spins = 0; waiting.load() < pool.size(); ++spins)
        if (spins > 100000) std::this_thread::yield();
      if (task == 0) begin = clock::now();
      done[task] = loop(rounds, sinks[task].values);
    });
    const double elapsed = seconds_since(begin);
    double total = 0;
    for (double d : done) total += d;
    return total / elapsed * 1e-9;
  });
}

double measure_copy(thread_pool &pool, int repetitions) {
  constexpr uint64_t k_share = uint64_t(64) << 20;
  const uint64_t bytes = k_share * pool.size();
  const std::unique_ptr<void, decltype(&std::free)> from(std::aligned_alloc(4096, bytes), std::free);
  const std::unique_ptr<void, decltype(&std::free)> to(std::aligned_alloc(4096, bytes), std::free);
  if (from == nullptr || to == nullptr) return 0;
  const auto copy = [&](bool first) {
    const auto begin = clock::now();
    pool.parallel_for(pool.size(), [&](uint32_t task, uint32_t) {
      char *a = static_cast<char *>(from.get()) + task * k_share, *b = static_cast<char *>(to.get()) + task * k_share;
      if (first) std::memset(a, 1, k_share);
      copy_past_cache(b, a, k_share);
    });
    return 2.0 * double(bytes) / seconds_since(begin) * 1e-9;
  };
  copy(true);
  return undisturbed_rate(repetitions, [&] { return copy(false); });
}

// Cycles per nanosecond: a chain of 64-bit multiplications takes three cycles a link on every x86-64 processor of the
// last fifteen years, whatever else the clock does.
double measure_clock(int repetitions) {
#if defined(__x86_64__)
  constexpr uint64_t k_rounds = 20000, k_links = 16, k_cycles = 3;
  uint64_t value = 3;
  return undisturbed_rate(repetitions, [&] {
    const auto begin = clock::now();
    for (uint64_t r = 0; r < k_rounds; ++r)
#pragma GCC unroll 16
      for (uint64_t i = 0; i < k_links; ++i) __asm__ volatile("imul %0, %0" : "+r"(value));
    return double(k_rounds * k_links * k_cycles) / seconds_since(begin) * 1e-9;
  });
#else
  (void)repetitions;
  return 0;
#endif
}

}  // namespace

double peak_f32_generic(uint64_t rounds, float *sink) {
  constexpr int k_chains = 16;
  float acc[k_chains];
  for (float &a : acc) a = 1.f;
  for (uint64_t r = 0; r < rounds; ++r)
    for (float &a : acc) a = a * 0.999f + 0.001f;
  for (int i = 0; i < k_chains; ++i) sink[i] = acc[i];
  return double(rounds) * k_chains * 2;
}

void copy_past_cache(void *to, const void *from, uint64_t n) {
#if defined(__x86_64__)
  auto *out = static_cast<__m128i *>(to);
  const auto *in = static_cast<const __m128i *>(from);
  for (uint64_t i = 0; i < n / sizeof(__m128i); ++i) _mm_stream_si128(out + i, _mm_load_si128(in + i));
  _mm_sfence();
#else
  std::memcpy(to, from, n);
#endif
}

peaks measure_peaks(thread_pool &pool, const features &cpu, int repetitions) {
  peak_loop f32 = peak_f32_generic, i8 = nullptr, bf16 = nullptr, sha = nullptr;
#if defined(__x86_64__)
  if (cpu.avx2) f32 = peak_f32_avx2, i8 = peak_i8_avx2;
  if (cpu.avx512) f32 = peak_f32_avx512;
  if (cpu.avx512vnni) i8 = peak_i8_avx512vnni;
  if (cpu.avx512bf16) bf16 = peak_bf16_avx512bf16;
  if (cpu.sha) sha = peak_sha256;
#else
  (void)cpu;
#endif
  peaks out;
  out.clock_ghz = measure_clock(repetitions);
  out.f32_gflops = measure(pool, f32, repetitions);
  out.bf16_gflops = measure(pool, bf16, repetitions);
  out.i8_gops = measure(pool, i8, repetitions);
  out.sha_mblocks = measure(pool, sha, repetitions) * 1e3;
  out.copy_gb_per_s = measure_copy(pool, repetitions);
  return out;
}

}  // namespace gonka::cpu
