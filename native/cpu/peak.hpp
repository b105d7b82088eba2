// Ceilings of this machine's arithmetic, measured by loops that live in registers: what figures are held against.
#pragma once

#include <cstdint>

#include "features.hpp"
#include "thread_pool.hpp"

namespace gonka::cpu {

// All workers of the pool together, median of a few short repetitions that no other program interrupted; 0 where the
// CPU has no such instructions.
struct peaks {
  double f32_gflops = 0;   // fused multiply-add counted as 2
  double bf16_gflops = 0;  // dot product of pairs into F32
  double i8_gops =
      0;  // exact dot product into I32: of quads with VNNI, of pairs of i16 with AVX2; multiply and add = 2
  double copy_gb_per_s = 0;  // non-temporal copy beyond the caches, read plus written, 10^9 bytes
  double sha_mblocks = 0;    // SHA-256 blocks by the SHA instructions, four at a time, 10^6 per second
  double clock_ghz = 0;      // of the calling thread's processor while it works; 0 where no loop is known to tell
};

// repetitions: of each loop, 1 to 2 ms each.
peaks measure_peaks(thread_pool &pool, const features &cpu, int repetitions = 7);

// One loop: `rounds` times a fixed number of independent operations; returns operations done (multiply and add = 2).
// The accumulators go to *sink so that the loop is not dropped.
using peak_loop = double (*)(uint64_t rounds, float *sink);
double peak_f32_generic(uint64_t rounds, float *sink);
double peak_f32_avx2(uint64_t rounds, float *sink);
double peak_f32_avx512(uint64_t rounds, float *sink);
double peak_i8_avx2(uint64_t rounds, float *sink);
double peak_i8_avx512vnni(uint64_t rounds, float *sink);
double peak_bf16_avx512bf16(uint64_t rounds, float *sink);
double peak_sha256(uint64_t rounds, float *sink);  // counts blocks
// Copies n bytes (multiple of 64, both 64-aligned) past the caches.
void copy_past_cache(void *to, const void *from, uint64_t n);

}  // namespace gonka::cpu
