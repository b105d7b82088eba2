// What all CPU implementations of matmul_pow share: how the product is cut up, and the kernel each of them supplies.
//
//   for each block of columns whose B stays within k_pow_b_bytes:
//     make its B panels                                                             (parallel over panels)
//     for each task, a tile row x some tiles of the block:                          (parallel, any order)
//       make the tile row's four A panels; for each tile: product, fold, ticket; C is never stored.
//
// A panel is 16 rows of an operand in the layout the kernel wants, made straight from the generator: one Philox block
// is the next 16 elements of a row, so 16 rows side by side need no transposition.
// n: columns of the part, where the problem asks for a part. Memory: min(n, 64 MiB / k rounded down to 64 columns, at
// least 64) * k bytes for B, 64 k per thread for A (twice both for AVX2), 9 bytes per tile.
#pragma once

#include "implementation.hpp"
#include "matmul_pow/matmul_pow.hpp"

namespace gonka::cpu {

inline constexpr uint32_t k_pow_panel_rows = 16;

struct pow_panel_request {
  pow_operand_seed seed;
  uint32_t profile;
  uint32_t row;  // first row of the panel
  uint32_t k;
  const int8_t *given;  // the panel's rows, dense, or null: generate them
  bool is_a;
};

struct pow_kernel {
  uint32_t bytes_per_element;  // of a panel
  // Writes the panel: 16 * k * bytes_per_element bytes, 64-byte aligned. sums (A only): each row's sum, 16 of them.
  void (*make_panel)(const pow_panel_request &request, void *panel, int32_t *sums);
  // Fold of the tile whose A and B are four panels each, back to back; sums of the 64 rows of A. scratch: 16 KiB,
  // 64-byte aligned.
  uint64_t (*fold)(const void *a, const void *b, uint32_t k, const int32_t *sums, void *scratch);
};

extern const pow_kernel k_pow_avx2, k_pow_avx512vnni;

void matmul_pow_with(const pow_kernel &kernel, gk_matmul_pow &problem, operand_pointers pointers, context &ctx);

}  // namespace gonka::cpu
