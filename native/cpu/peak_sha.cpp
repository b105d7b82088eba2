#include <immintrin.h>

#include "peak.hpp"

namespace gonka::cpu {

// Four independent blocks at a time: one alone waits for its own rounds half of the time. Each is the instruction
// stream of a block, 32 round pairs and the 12 steps that extend the message, on state and message that stay in
// registers.
double peak_sha256(uint64_t rounds, float *sink) {
  constexpr int k_streams = 4;
  __m128i state[k_streams][2], message[k_streams];
  for (int s = 0; s < k_streams; ++s) {
    state[s][0] = _mm_set1_epi32(0x6a09e667 + s);
    state[s][1] = _mm_set1_epi32(0x3c6ef372 - s);
    message[s] = _mm_set1_epi32(0x428a2f98 ^ s);
  }
  const __m128i constants = _mm_set1_epi32(0x71374491);
  for (uint64_t r = 0; r < rounds; ++r)
    for (int step = 0; step < 16; ++step)
#pragma GCC unroll 4
      for (int s = 0; s < k_streams; ++s) {
        const __m128i words = _mm_add_epi32(message[s], constants);
        state[s][1] = _mm_sha256rnds2_epu32(state[s][1], state[s][0], words);
        state[s][0] = _mm_sha256rnds2_epu32(state[s][0], state[s][1], _mm_shuffle_epi32(words, 0x0e));
        if (step < 12) message[s] = _mm_sha256msg2_epu32(_mm_sha256msg1_epu32(message[s], words), words);
      }
  __m128i sum = _mm_setzero_si128();
  for (int s = 0; s < k_streams; ++s) sum = _mm_xor_si128(sum, _mm_xor_si128(state[s][0], state[s][1]));
  _mm_storeu_si128(reinterpret_cast<__m128i *>(sink), sum);
  return double(rounds) * k_streams;
}

}  // namespace gonka::cpu
