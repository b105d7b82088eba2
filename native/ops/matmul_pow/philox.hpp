// Philox4x32-10: a counter-based generator. Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
// 3", SC 2011.
#pragma once

#include <array>
#include <cstdint>

namespace gonka {

using philox_counter = std::array<uint32_t, 4>;
using philox_key = std::array<uint32_t, 2>;

constexpr uint32_t k_philox_multiplier[2] = {0xd2511f53, 0xcd9e8d57};
constexpr uint32_t k_philox_weyl[2] = {0x9e3779b9, 0xbb67ae85};

constexpr philox_counter philox4x32_10(philox_counter c, philox_key key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(k_philox_multiplier[0]) * c[0], p1 = uint64_t(k_philox_multiplier[1]) * c[2];
    c = {uint32_t(p1 >> 32) ^ c[1] ^ key[0], uint32_t(p1), uint32_t(p0 >> 32) ^ c[3] ^ key[1], uint32_t(p0)};
    key = {key[0] + k_philox_weyl[0], key[1] + k_philox_weyl[1]};
  }
  return c;
}

}  // namespace gonka
