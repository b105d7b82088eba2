#include <immintrin.h>

#include "peak.hpp"
#include "peak_loop.hpp"

namespace gonka::cpu {

double peak_bf16_avx512bf16(uint64_t rounds, float *sink) {
  constexpr int k_chains = 24;
  const __m512bh left = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3f80));   // 1.0
  const __m512bh right = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3a83));  // about 0.001
  __m512 acc[k_chains];
  for (__m512 &a : acc) a = _mm512_setzero_ps();
  run_chains(
      rounds, acc, [=](__m512 a) { return _mm512_dpbf16_ps(a, left, right); }, std::make_index_sequence<k_chains>());
  __m512 sum = acc[0];
  for (int i = 1; i < k_chains; ++i) sum = _mm512_add_ps(sum, acc[i]);
  _mm512_storeu_ps(sink, sum);
  return double(rounds) * k_chains * 64;
}

}  // namespace gonka::cpu
