// Seeded normals: see gk_normal_fill in gonka_backend.h for the definition. What it leaves open:
//   Murmur3   u(key) = F32(murmur3(key, seed)) / 2^32, so u reaches 0 and 1. A segment of n values has p = ceil(n / 2)
//             pairs: u1 = max(u(i), 1e-10), u2 = u(p + i), radius sqrt(-2 log u1), angle F32(2 pi) u2 rounded to F32;
//             value i is radius cos, value p + i radius sin. Every operation rounds to F32; then times F32(sigma).
//   PCG64     sigma times the normal in F64, then F32 (unless F64 is wanted), then out_type.
#pragma once

#include <algorithm>
#include <cstdint>

#include "op.hpp"

namespace gonka {

void normal_fill_reference(void *problem, operand_pointers pointers);

// Murmur3 of one 32-bit key without the final xor with the length.
constexpr uint32_t murmur3_word(uint32_t key, uint32_t seed) {
  uint32_t k = key * 0xcc9e2d51u;
  k = (k << 15 | k >> 17) * 0x1b873593u;
  uint32_t h = seed ^ k;
  h = (h << 13 | h >> 19) * 5 + 0xe6546b64u;
  h = (h ^ h >> 16) * 0x85ebca6bu;
  h = (h ^ h >> 13) * 0xc2b2ae35u;
  return h ^ h >> 16;
}

constexpr float k_smallest_u1 = 1e-10f;
constexpr float k_two_pi = 6.283185307179586f;

// One Box-Muller block: values [begin, begin + count) of a row under seed number `segment`.
struct normal_segment {
  int64_t begin, count;
};

constexpr normal_segment normal_segment_of(const gk_normal_fill &p, uint32_t segment) {
  const int64_t length = p.columns / p.segments + (p.columns % p.segments != 0);
  const int64_t begin = std::min(int64_t(segment) * length, p.columns);
  return {begin, std::min(length, p.columns - begin)};
}

}  // namespace gonka
