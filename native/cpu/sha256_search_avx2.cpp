// Eight nonces at a time. AVX2 has no rotation: two shifts and a logical operation each.
#include <immintrin.h>

#include "sha256_lanes.hpp"

namespace gonka::cpu {
namespace {

struct lanes256 {
  using word = __m256i;
  static constexpr uint32_t lanes = 8;
  static word set1(uint32_t x) { return _mm256_set1_epi32(int(x)); }
  static word first_lanes(uint32_t x) { return add(set1(x), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
  static word add(word a, word b) { return _mm256_add_epi32(a, b); }
  template <int N>
  static word rotr(word x) {
    return _mm256_or_si256(_mm256_srli_epi32(x, N), _mm256_slli_epi32(x, 32 - N));
  }
  template <int N>
  static word shr(word x) {
    return _mm256_srli_epi32(x, N);
  }
  static word xor3(word a, word b, word c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
  static word choose(word e, word f, word g) {
    return _mm256_xor_si256(g, _mm256_and_si256(e, _mm256_xor_si256(f, g)));
  }
  static word majority(word a, word b, word c) {
    return _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, _mm256_or_si256(a, b)));
  }
  static word swap_bytes(word x) {
    return _mm256_shuffle_epi8(x, _mm256_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 3, 2, 1, 0, 7,
                                                   6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
  }
  static uint32_t at_most(word a, word b) {
    return uint32_t(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_min_epu32(a, b), a))));
  }
};

}  // namespace

uint32_t sha256_scan_avx2(const sha256_job &job, uint32_t first, uint32_t count, uint32_t *candidates) {
  return scan_lanes<lanes256>(job, first, count, candidates);
}

}  // namespace gonka::cpu
