#include <immintrin.h>

#include "peak.hpp"
#include "peak_loop.hpp"

namespace gonka::cpu {

double peak_i8_avx512vnni(uint64_t rounds, float *sink) {
  constexpr int k_chains = 24;
  const __m512i left = _mm512_set1_epi8(3), right = _mm512_set1_epi8(-5);
  __m512i acc[k_chains];
  for (__m512i &a : acc) a = _mm512_setzero_si512();
  run_chains(
      rounds, acc, [=](__m512i a) { return _mm512_dpbusd_epi32(a, left, right); },
      std::make_index_sequence<k_chains>());
  __m512i sum = acc[0];
  for (int i = 1; i < k_chains; ++i) sum = _mm512_add_epi32(sum, acc[i]);
  _mm512_storeu_si512(sink, sum);
  return double(rounds) * k_chains * 128;
}

}  // namespace gonka::cpu
