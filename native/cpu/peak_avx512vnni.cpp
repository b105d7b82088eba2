#include <immintrin.h>

#include "peak.hpp"

namespace gonka::cpu {

double peak_i8_avx512vnni(uint64_t rounds, float *sink) {
  constexpr int k_chains = 24, k_unroll = 4;
  const __m512i left = _mm512_set1_epi8(3), right = _mm512_set1_epi8(-5);
  __m512i acc[k_chains];
  for (__m512i &a : acc) a = _mm512_setzero_si512();
  for (uint64_t r = 0; r < rounds; ++r)
    for (int u = 0; u < k_unroll; ++u)
#pragma GCC unroll 24
      for (int i = 0; i < k_chains; ++i) acc[i] = _mm512_dpbusd_epi32(acc[i], left, right);
  __m512i sum = acc[0];
  for (int i = 1; i < k_chains; ++i) sum = _mm512_add_epi32(sum, acc[i]);
  _mm512_storeu_si512(sink, sum);
  return double(rounds) * k_unroll * k_chains * 128;
}

}  // namespace gonka::cpu
