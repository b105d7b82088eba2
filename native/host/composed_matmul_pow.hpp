// matmul_pow on a device that multiplies I8 exactly but does not have the op: the host makes operands, folds and
// tickets.
#pragma once

#include "device.hpp"
#include "gonka_backend.h"

namespace gonka {

// Computes the problem (validated, operands checked) through the device's own gemm I8 x I8 -> I32, in blocks of 64 r
// rows and 64 c columns; the host makes the operands of the next block and folds the last one while the device
// multiplies. False if the device has no such gemm: then nothing was done. Throws status_error. Memory, with r and c as
// composed_block gives them: on the device 64 k (r + c) bytes of operands and 16384 r c of products; on the host 64 k
// (r + 2 c), 32768 r c, and 8 bytes per tile of the problem.
bool run_composed_matmul_pow(stream &on, gk_matmul_pow &problem);

struct composed_size {
  uint32_t rows, columns;  // tiles
};

// At most 16 x 16 tiles, fewer where k is large: operands of a block stay below 64 MiB.
constexpr composed_size composed_block(uint32_t k) noexcept {
  const uint32_t side = (uint32_t(32) << 20) / (64 * k);
  const uint32_t tiles = side < 1 ? 1 : side > 16 ? 16 : side;
  return {tiles, tiles};
}

}  // namespace gonka
