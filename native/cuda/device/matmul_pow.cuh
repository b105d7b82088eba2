// matmul-pow on the device: what its kernels share. See ops/matmul_pow.
#pragma once

#include "device/elements.cuh"
#include "matmul_pow/matmul_pow.hpp"

namespace gonka::cuda {

// Two neighbouring elements of C (column even) as they enter the fold of their tile.
GK_DEVICE uint64_t pow_fold_pair(int32_t first, int32_t second, uint32_t row, uint32_t column) {
  const uint32_t q = row % 64 * 64 + column % 64;
  const uint32_t key = (q + 1) * k_pow_position_factor;
  return uint64_t(uint32_t(first) + key) * (uint32_t(second) + key + k_pow_position_factor);
}

GK_DEVICE uint64_t warp_sum(uint64_t value) {
  GK_UNROLL
  for (uint32_t d = 16; d != 0; d /= 2) value += shfl_xor(value, d);
  return value;
}

}  // namespace gonka::cuda
