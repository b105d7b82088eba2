#include <immintrin.h>

#include "peak.hpp"
#include "peak_loop.hpp"

namespace gonka::cpu {

double peak_f32_avx512(uint64_t rounds, float *sink) {
  constexpr int k_chains = 24;
  const __m512 factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(0.001f);
  __m512 acc[k_chains];
  for (__m512 &a : acc) a = _mm512_set1_ps(1.f);
  run_chains(
      rounds, acc, [=](__m512 a) { return _mm512_fmadd_ps(a, factor, term); }, std::make_index_sequence<k_chains>());
  __m512 sum = acc[0];
  for (int i = 1; i < k_chains; ++i) sum = _mm512_add_ps(sum, acc[i]);
  _mm512_storeu_ps(sink, sum);
  return double(rounds) * k_chains * 32;
}

}  // namespace gonka::cpu
