#include <immintrin.h>

#include "peak.hpp"
#include "peak_loop.hpp"

namespace gonka::cpu {

// 12 chains of latency 4 or 5 fill two FMA ports.
double peak_f32_avx2(uint64_t rounds, float *sink) {
  constexpr int k_chains = 12;
  const __m256 factor = _mm256_set1_ps(0.999f), term = _mm256_set1_ps(0.001f);
  __m256 acc[k_chains];
  for (__m256 &a : acc) a = _mm256_set1_ps(1.f);
  run_chains(
      rounds, acc, [=](__m256 a) { return _mm256_fmadd_ps(a, factor, term); }, std::make_index_sequence<k_chains>());
  __m256 sum = acc[0];
  for (int i = 1; i < k_chains; ++i) sum = _mm256_add_ps(sum, acc[i]);
  _mm256_storeu_ps(sink, sum);
  return double(rounds) * k_chains * 16;
}

}  // namespace gonka::cpu
