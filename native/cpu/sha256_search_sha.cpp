// Four nonces at a time through the SHA extensions, interleaved instruction by instruction: one sha256rnds2 waits four
// cycles for the one before it, and Zen 4 starts one every two cycles.
#include <immintrin.h>

#include "sha256_search.hpp"

namespace gonka::cpu {
namespace {

constexpr int k_streams = 4;
constexpr int k_steps = 31;  // of one double hash of all streams: four rounds each

alignas(16) constexpr uint32_t k_sha_round[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

using vec = __m128i;

#define EACH_STREAM _Pragma("GCC unroll 8") for (int s = 0; s < k_streams; ++s)

// The halves of the state as the instructions want them, most significant word first: A B E F and C D G H.
struct streams {
  vec abef[k_streams], cdgh[k_streams];
  vec m[4][k_streams];  // the last four groups of four schedule words

  vec constants(int group) const { return _mm_load_si128(reinterpret_cast<const vec *>(k_sha_round) + group); }

  // Rounds 4 group .. 4 group + 3 with one message for all streams.
  [[gnu::always_inline]] void rounds_same(vec kw) {
    const vec upper = _mm_shuffle_epi32(kw, 0x0e);
    EACH_STREAM cdgh[s] = _mm_sha256rnds2_epu32(cdgh[s], abef[s], kw);
    EACH_STREAM abef[s] = _mm_sha256rnds2_epu32(abef[s], cdgh[s], upper);
  }

  [[gnu::always_inline]] void rounds(int group) {
    vec kw[k_streams];
    EACH_STREAM kw[s] = _mm_add_epi32(m[group & 3][s], constants(group));
    EACH_STREAM cdgh[s] = _mm_sha256rnds2_epu32(cdgh[s], abef[s], kw[s]);
    EACH_STREAM kw[s] = _mm_shuffle_epi32(kw[s], 0x0e);
    EACH_STREAM abef[s] = _mm_sha256rnds2_epu32(abef[s], cdgh[s], kw[s]);
  }

  // Group g >= 4 of the schedule from the four before it.
  [[gnu::always_inline]] void expand(int group) {
    vec(&now)[k_streams] = m[group & 3];
    const vec(&one)[k_streams] = m[(group + 1) & 3], (&two)[k_streams] = m[(group + 2) & 3],
          (&three)[k_streams] = m[(group + 3) & 3];
    EACH_STREAM now[s] = _mm_sha256msg1_epu32(now[s], one[s]);
    EACH_STREAM now[s] = _mm_add_epi32(now[s], _mm_alignr_epi8(three[s], two[s], 4));
    EACH_STREAM now[s] = _mm_sha256msg2_epu32(now[s], three[s]);
  }
};

inline uint32_t stream_sigma0(uint32_t x) {
  return (x >> 7 | x << 25) ^ (x >> 18 | x << 14) ^ (x >> 3);
}

// Constants of a job as vectors, in lane order (lowest first).
struct job_vectors {
  vec abef4, cdgh4;  // before round 4, less the nonce
  vec group4;        // words 16..19, less the nonce
  vec group5;        // what msg2 needs for words 20..23
  vec group7;        // words 12..15 and sigma0 of words 13..16
  vec abef_out, cdgh_out;
};

inline vec quad(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return _mm_setr_epi32(int(a), int(b), int(c), int(d));
}

inline job_vectors vectors_of(const sha256_job &job) {
  const uint32_t *b = job.before, *m = job.midstate;
  return {.abef4 = quad(b[4], job.e4, b[0], job.a4),
          .cdgh4 = quad(b[6], b[5], b[2], b[1]),
          .group4 = quad(job.w16, job.w17, job.w18, job.w19),
          .group5 = quad(0x80000000, 0, 640, job.w16),
          .group7 = quad(0, 0, stream_sigma0(640), 640 + stream_sigma0(job.w16)),
          .abef_out = quad(m[5], m[4], m[1], m[0]),
          .cdgh_out = quad(m[7], m[6], m[3], m[2])};
}

// Step `step` of the double hash of nonces first .. first + 3; steps 0 .. k_steps - 1 in order. The last one leaves the
// digests' last words in top.
[[gnu::always_inline]] inline void hash_step(streams &h, const job_vectors &v, int step, uint32_t first,
                                             uint32_t top[k_streams]) {
  const vec end_mark = quad(0x80000000, 0, 0, 0), length640 = quad(0, 0, 0, 640), length256 = quad(0, 0, 0, 256);
  if (step == 0) {
    EACH_STREAM {
      const uint32_t nonce = __builtin_bswap32(first + uint32_t(s));
      h.abef[s] = _mm_add_epi32(v.abef4, quad(0, nonce, 0, nonce));
      h.cdgh[s] = v.cdgh4;
      h.m[0][s] = _mm_add_epi32(v.group4, quad(0, 0, stream_sigma0(nonce), nonce));
    }
    h.rounds_same(_mm_add_epi32(h.constants(1), end_mark));
  }
  if (step == 1) h.rounds_same(h.constants(2));
  if (step == 2) h.rounds_same(_mm_add_epi32(h.constants(3), length640));
  if (step == 3) {
    h.rounds(4);
    EACH_STREAM h.m[1][s] = _mm_sha256msg2_epu32(v.group5, h.m[0][s]);
  }
  if (step == 4) {
    h.rounds(5);
    EACH_STREAM h.m[2][s] = _mm_sha256msg2_epu32(_mm_alignr_epi8(h.m[1][s], h.m[0][s], 4), h.m[1][s]);
  }
  if (step == 5) {
    h.rounds(6);
    EACH_STREAM h.m[3][s] =
        _mm_sha256msg2_epu32(_mm_add_epi32(v.group7, _mm_alignr_epi8(h.m[2][s], h.m[1][s], 4)), h.m[2][s]);
  }
  if (step == 6) h.rounds(7);
  if (step >= 7 && step < 15) {
    h.expand(step + 1);
    h.rounds(step + 1);
  }
  if (step == 15) {  // the digest in message order, then the second hash
    EACH_STREAM {
      const vec feba = _mm_shuffle_epi32(_mm_add_epi32(h.abef[s], v.abef_out), 0x1b);
      const vec dchg = _mm_shuffle_epi32(_mm_add_epi32(h.cdgh[s], v.cdgh_out), 0xb1);
      h.m[0][s] = _mm_blend_epi16(feba, dchg, 0xf0);
      h.m[1][s] = _mm_alignr_epi8(dchg, feba, 8);
      h.abef[s] = quad(0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667);
      h.cdgh[s] = quad(0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372);
    }
    h.rounds(0);
  }
  if (step == 16) h.rounds(1);
  if (step == 17) h.rounds_same(_mm_add_epi32(h.constants(2), end_mark));
  if (step == 18) {
    h.rounds_same(_mm_add_epi32(h.constants(3), length256));
    EACH_STREAM h.m[0][s] = _mm_sha256msg2_epu32(_mm_sha256msg1_epu32(h.m[0][s], h.m[1][s]), length256);
  }
  if (step == 19) {
    h.rounds(4);
    EACH_STREAM h.m[1][s] = _mm_sha256msg2_epu32(
        _mm_add_epi32(_mm_sha256msg1_epu32(h.m[1][s], end_mark), _mm_alignr_epi8(h.m[0][s], length256, 4)), h.m[0][s]);
  }
  if (step == 20) {
    h.rounds(5);
    EACH_STREAM h.m[2][s] =
        _mm_sha256msg2_epu32(_mm_add_epi32(end_mark, _mm_alignr_epi8(h.m[1][s], h.m[0][s], 4)), h.m[1][s]);
  }
  if (step == 21) {
    h.rounds(6);
    EACH_STREAM h.m[3][s] = _mm_sha256msg2_epu32(
        _mm_add_epi32(_mm_sha256msg1_epu32(length256, h.m[0][s]), _mm_alignr_epi8(h.m[2][s], h.m[1][s], 4)), h.m[2][s]);
  }
  if (step == 22) h.rounds(7);
  if (step >= 23 && step < 30) {
    h.expand(step - 15);
    h.rounds(step - 15);
  }
  if (step == 30) {
    // Rounds 60 and 61: afterwards F is e of round 60, which becomes the last word of the digest.
    h.expand(15);
    EACH_STREAM h.cdgh[s] = _mm_sha256rnds2_epu32(h.cdgh[s], h.abef[s], _mm_add_epi32(h.m[3][s], h.constants(15)));
    EACH_STREAM top[s] = uint32_t(_mm_cvtsi128_si32(h.cdgh[s])) + 0x5be0cd19;
  }
}

#undef EACH_STREAM

}  // namespace

uint32_t sha256_scan_sha(const sha256_job &job, uint32_t first, uint32_t count, uint32_t *candidates) {
  const job_vectors v = vectors_of(job);
  uint32_t found = 0;
  for (uint32_t done = 0; done < count; done += k_streams) {
    streams h;
    uint32_t top[k_streams];
#pragma GCC unroll 32
    for (int step = 0; step < k_steps; ++step) hash_step(h, v, step, first + done, top);
    for (uint32_t s = 0; s < k_streams && done + s < count; ++s)
      if (__builtin_bswap32(top[s]) <= job.target_top) candidates[found++] = first + done + s;
  }
  return found;
}

}  // namespace gonka::cpu
