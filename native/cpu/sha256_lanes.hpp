// Double SHA-256 in the lanes of a vector: each lane its own nonce. Included by one file per instruction set, which
// supplies the vector type V; everything here is in an unnamed namespace so that no copy leaks.
//
// V: word (vector of u32), lanes, and static set1, first_lanes, add, rotr<N>, shr<N>, xor3, choose, majority,
// swap_bytes, at_most (bit mask of lanes whose unsigned value is <= the other's).
#pragma once

#include <cstdint>

#include "sha256_search.hpp"

namespace gonka::cpu {
namespace {

constexpr uint32_t k_round[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr uint32_t k_initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

constexpr uint32_t rotate_right(uint32_t x, int n) {
  return x >> n | x << (32 - n);
}

constexpr uint32_t small_sigma0(uint32_t x) {
  return rotate_right(x, 7) ^ rotate_right(x, 18) ^ (x >> 3);
}

constexpr uint32_t small_sigma1(uint32_t x) {
  return rotate_right(x, 17) ^ rotate_right(x, 19) ^ (x >> 10);
}

// Round 0 of the second hash from the fixed initial state: a and e are these plus word 0.
struct first_round {
  uint32_t a, e;
};

constexpr first_round second_hash_first_round() {
  const uint32_t *s = k_initial;
  const uint32_t t1 = s[7] + (rotate_right(s[4], 6) ^ rotate_right(s[4], 11) ^ rotate_right(s[4], 25)) +
                      ((s[4] & s[5]) ^ (~s[4] & s[6])) + k_round[0];
  const uint32_t t2 = (rotate_right(s[0], 2) ^ rotate_right(s[0], 13) ^ rotate_right(s[0], 22)) +
                      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
  return {t1 + t2, s[3] + t1};
}

template <class V>
struct lane_hash {
  using word = typename V::word;
  word s[8];   // a..h
  word w[16];  // the last 16 words of the schedule

  [[gnu::always_inline]] static word sigma0(word x) {
    return V::xor3(V::template rotr<7>(x), V::template rotr<18>(x), V::template shr<3>(x));
  }
  [[gnu::always_inline]] static word sigma1(word x) {
    return V::xor3(V::template rotr<17>(x), V::template rotr<19>(x), V::template shr<10>(x));
  }

  // One round; kw = constant + schedule word. The state rotates by renaming: the caller passes the round number.
  template <bool UpdateA = true>
  [[gnu::always_inline]] void round(word kw, int t) {
    word &a = s[(64 - t) & 7], &b = s[(65 - t) & 7], &c = s[(66 - t) & 7], &d = s[(67 - t) & 7];
    word &e = s[(68 - t) & 7], &f = s[(69 - t) & 7], &g = s[(70 - t) & 7], &h = s[(71 - t) & 7];
    const word big1 = V::xor3(V::template rotr<6>(e), V::template rotr<11>(e), V::template rotr<25>(e));
    const word t1 = V::add(V::add(V::add(h, kw), V::choose(e, f, g)), big1);
    d = V::add(d, t1);
    if constexpr (UpdateA) {
      const word big0 = V::xor3(V::template rotr<2>(a), V::template rotr<13>(a), V::template rotr<22>(a));
      h = V::add(t1, V::add(big0, V::majority(a, b, c)));
    }
  }

  // Schedule word t >= 16 from the sixteen before it.
  [[gnu::always_inline]] word expand(int t) {
    return w[t & 15] =
               V::add(V::add(sigma1(w[(t - 2) & 15]), w[(t - 7) & 15]), V::add(sigma0(w[(t - 15) & 15]), w[t & 15]));
  }
};

// Second block of the first hash: leaves the digest's words in out.
template <class V>
[[gnu::always_inline]] inline void first_hash(const sha256_job &job, typename V::word nonce_word,
                                              typename V::word out[8]) {
  using word = typename V::word;
  using hash = lane_hash<V>;
  hash h;
  // The state before round 4, in the places that round(.., 4) expects: a is s[(64 - 4) & 7] = s[4].
  h.s[4] = V::add(nonce_word, V::set1(job.a4));
  h.s[5] = V::set1(job.before[0]);
  h.s[6] = V::set1(job.before[1]);
  h.s[7] = V::set1(job.before[2]);
  h.s[0] = V::add(nonce_word, V::set1(job.e4));
  h.s[1] = V::set1(job.before[4]);
  h.s[2] = V::set1(job.before[5]);
  h.s[3] = V::set1(job.before[6]);
  h.round(V::set1(k_round[4] + 0x80000000), 4);
#pragma GCC unroll 16
  for (int t = 5; t < 15; ++t) {
    h.round(V::set1(k_round[t]), t);
  }
  h.round(V::set1(k_round[15] + 640), 15);

  // Words 16..31 with the terms that are zero left out.
  word(&w)[16] = h.w;
  w[0] = V::set1(job.w16);
  w[1] = V::set1(job.w17);
  w[2] = V::add(hash::sigma0(nonce_word), V::set1(job.w18));
  w[3] = V::add(nonce_word, V::set1(job.w19));
  w[4] = V::add(hash::sigma1(w[2]), V::set1(0x80000000));
  w[5] = hash::sigma1(w[3]);
  w[6] = V::add(hash::sigma1(w[4]), V::set1(640));
  w[7] = V::add(hash::sigma1(w[5]), w[0]);
  w[8] = V::add(hash::sigma1(w[6]), w[1]);
  w[9] = V::add(hash::sigma1(w[7]), w[2]);
  w[10] = V::add(hash::sigma1(w[8]), w[3]);
  w[11] = V::add(hash::sigma1(w[9]), w[4]);
  w[12] = V::add(hash::sigma1(w[10]), w[5]);
  w[13] = V::add(hash::sigma1(w[11]), w[6]);
  w[14] = V::add(V::add(hash::sigma1(w[12]), w[7]), V::set1(small_sigma0(640)));
  w[15] = V::add(V::add(hash::sigma1(w[13]), w[8]), V::set1(640));
  w[15] = V::add(w[15], hash::sigma0(w[0]));
#pragma GCC unroll 16
  for (int t = 16; t < 32; ++t) {
    h.round(V::add(w[t & 15], V::set1(k_round[t])), t);
  }
#pragma GCC unroll 32
  for (int t = 32; t < 64; ++t) {
    h.round(V::add(h.expand(t), V::set1(k_round[t])), t);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) out[i] = V::add(h.s[i], V::set1(job.midstate[i]));
}

// Last word of the second hash, whose message is the digest of the first.
template <class V>
[[gnu::always_inline]] inline typename V::word second_hash_top(const typename V::word digest[8]) {
  using word = typename V::word;
  using hash = lane_hash<V>;
  hash h;
  word(&w)[16] = h.w;
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) w[i] = digest[i];
  constexpr first_round k_first = second_hash_first_round();
  // State before round 1: a is s[7].
  h.s[7] = V::add(w[0], V::set1(k_first.a));
  h.s[0] = V::set1(k_initial[0]);
  h.s[1] = V::set1(k_initial[1]);
  h.s[2] = V::set1(k_initial[2]);
  h.s[3] = V::add(w[0], V::set1(k_first.e));
  h.s[4] = V::set1(k_initial[4]);
  h.s[5] = V::set1(k_initial[5]);
  h.s[6] = V::set1(k_initial[6]);
#pragma GCC unroll 8
  for (int t = 1; t < 8; ++t) {
    h.round(V::add(w[t], V::set1(k_round[t])), t);
  }
  h.round(V::set1(k_round[8] + 0x80000000), 8);
#pragma GCC unroll 8
  for (int t = 9; t < 15; ++t) {
    h.round(V::set1(k_round[t]), t);
  }
  h.round(V::set1(k_round[15] + 256), 15);

  // Word 8 is the end mark, words 9..14 are 0, word 15 is the length, 256 bits.
  w[0] = V::add(w[0], hash::sigma0(w[1]));
  w[1] = V::add(V::add(w[1], hash::sigma0(w[2])), V::set1(small_sigma1(256)));
  w[2] = V::add(V::add(w[2], hash::sigma0(w[3])), hash::sigma1(w[0]));
  w[3] = V::add(V::add(w[3], hash::sigma0(w[4])), hash::sigma1(w[1]));
  w[4] = V::add(V::add(w[4], hash::sigma0(w[5])), hash::sigma1(w[2]));
  w[5] = V::add(V::add(w[5], hash::sigma0(w[6])), hash::sigma1(w[3]));
  w[6] = V::add(V::add(V::add(w[6], hash::sigma0(w[7])), hash::sigma1(w[4])), V::set1(256));
  w[7] = V::add(V::add(V::add(w[7], V::set1(small_sigma0(0x80000000))), hash::sigma1(w[5])), w[0]);
  w[8] = V::add(V::add(hash::sigma1(w[6]), w[1]), V::set1(0x80000000));
  w[9] = V::add(hash::sigma1(w[7]), w[2]);
  w[10] = V::add(hash::sigma1(w[8]), w[3]);
  w[11] = V::add(hash::sigma1(w[9]), w[4]);
  w[12] = V::add(hash::sigma1(w[10]), w[5]);
  w[13] = V::add(hash::sigma1(w[11]), w[6]);
  w[14] = V::add(V::add(hash::sigma1(w[12]), w[7]), V::set1(small_sigma0(256)));
  w[15] = V::add(V::add(hash::sigma1(w[13]), w[8]), V::add(hash::sigma0(w[0]), V::set1(256)));
#pragma GCC unroll 16
  for (int t = 16; t < 32; ++t) {
    h.round(V::add(w[t & 15], V::set1(k_round[t])), t);
  }
#pragma GCC unroll 32
  for (int t = 32; t < 57; ++t) {
    h.round(V::add(h.expand(t), V::set1(k_round[t])), t);
  }
  // The last word is e after round 60: from round 57 on, no new a reaches it.
#pragma GCC unroll 4
  for (int t = 57; t < 61; ++t) {
    h.template round<false>(V::add(h.expand(t), V::set1(k_round[t])), t);
  }
  return V::add(h.s[(67 - 60) & 7], V::set1(k_initial[7]));  // d of round 60 has become e
}

template <class V>
inline uint32_t scan_lanes(const sha256_job &job, uint32_t first, uint32_t count, uint32_t *candidates) {
  using word = typename V::word;
  const word top = V::set1(job.target_top);
  uint32_t found = 0;
  for (uint32_t done = 0; done < count; done += V::lanes) {
    const word nonces = V::first_lanes(first + done);
    word digest[8];
    first_hash<V>(job, V::swap_bytes(nonces), digest);
    uint32_t mask = V::at_most(V::swap_bytes(second_hash_top<V>(digest)), top);
    if (count - done < V::lanes) mask &= (uint32_t(1) << (count - done)) - 1;
    for (; mask != 0; mask &= mask - 1) candidates[found++] = first + done + uint32_t(__builtin_ctz(mask));
  }
  return found;
}

}  // namespace
}  // namespace gonka::cpu
