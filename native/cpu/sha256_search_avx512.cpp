// Sixteen nonces at a time. Rotations bound it: 12 of a round's 28 operations, one 512-bit rotation a cycle on Zen 4.
// Running hashes of the SHA extensions between the rounds lost: 21 to 31 MH/s against 31, however few streams.
#include <immintrin.h>

#include "sha256_lanes.hpp"

namespace gonka::cpu {
namespace {

struct lanes512 {
  using word = __m512i;
  static constexpr uint32_t lanes = 16;
  static word set1(uint32_t x) { return _mm512_set1_epi32(int(x)); }
  static word first_lanes(uint32_t x) {
    return add(set1(x), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  }
  static word add(word a, word b) { return _mm512_add_epi32(a, b); }
  template <int N>
  static word rotr(word x) {
    return _mm512_maskz_ror_epi32(0xffff, x, N);
  }
  template <int N>
  static word shr(word x) {
    return _mm512_maskz_srli_epi32(0xffff, x, N);
  }
  static word xor3(word a, word b, word c) { return _mm512_ternarylogic_epi32(a, b, c, 0x96); }
  static word choose(word e, word f, word g) { return _mm512_ternarylogic_epi32(e, f, g, 0xca); }
  static word majority(word a, word b, word c) { return _mm512_ternarylogic_epi32(a, b, c, 0xe8); }
  static word swap_bytes(word x) {
    const word order = _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203);
    return _mm512_shuffle_epi8(x, order);
  }
  static uint32_t at_most(word a, word b) { return _mm512_cmple_epu32_mask(a, b); }
};

}  // namespace

uint32_t sha256_scan_avx512(const sha256_job &job, uint32_t first, uint32_t count, uint32_t *candidates) {
  return scan_lanes<lanes512>(job, first, count, candidates);
}

}  // namespace gonka::cpu
