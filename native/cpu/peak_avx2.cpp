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

// What AVX2 has for exact sums of i8: 16 products by vpmaddwd from elements widened beforehand, and an addition, which
// the compiler may not draw out of the chain.
double peak_i8_avx2(uint64_t rounds, float *sink) {
  constexpr int k_chains = 12;
  const __m256i left = _mm256_set1_epi16(3), right = _mm256_set1_epi16(-5);
  __m256i acc[k_chains];
  for (__m256i &a : acc) a = _mm256_setzero_si256();
  const auto step = [=](__m256i a) {
    __m256i product;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(a), "=&x"(product) : "x"(left), "x"(right));
    return a;
  };
  run_chains(rounds, acc, step, std::make_index_sequence<k_chains>());
  __m256i sum = acc[0];
  for (int i = 1; i < k_chains; ++i) sum = _mm256_add_epi32(sum, acc[i]);
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(sink), sum);
  return double(rounds) * k_chains * 32;
}

}  // namespace gonka::cpu
