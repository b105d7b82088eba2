// What the blocked gemm (gemm_blocked.cpp) needs from an instruction set. Plain data, so that the blocking is compiled
// once without special instructions and every *_avx*.cpp only fills in tables.
//
// Units. The kernels step along k by `group` elements at once; what one step takes from one row of A or of B is a unit:
//   A panel   [steps][rows] units of 4 bytes: one f32, two bf16, four i8 or two i16. rows <= max_rows, dense.
//   B panel   [steps][columns] units of b_unit bytes, in B's own type: 4 (one f32, two bf16, four i8) or
//             2 (one f16 or bf16, widened in the kernel; two i8).
//   tile      [rows][columns] accumulators of 4 bytes, f32 or i32.
// With an epilogue that takes a pair (B, B2), the first half of a panel's columns is B's, the second half B2's.
#pragma once

#include <cstdint>

#include "gonka_backend.h"

namespace gonka::cpu {

// What a tile asks the caches for while it multiplies; none of it need exist.
struct gemm_ahead {
  // Each step, as many bytes as it takes from B, stream_step further on.
  const void *stream;
  int64_t stream_step;
  // In the first steps the rows of D that it leaves to, row_step bytes apart: two lines a step, since all at once would
  // wait for one another.
  const void *rows;
  int64_t row_step;
};

// How a finished tile leaves for D: d = alpha * tile + beta * c, converted; or silu(alpha * left) * (alpha * right).
// i32: d = tile - 128 * row_sums[r] + beta * c, where row_sums is not null.
struct gemm_finish {
  int rows, columns;  // of D; columns <= the panel's, half of them for a pair
  uint32_t d_type;
  bool pair;
  float alpha, beta;
  const void *c;  // null if beta is 0
  void *d;
  int64_t ldc, ldd;  // elements
  const int32_t *row_sums;
};

// Adds steps of an A panel times a B panel to a tile (accumulate) or overwrites the tile with them. With `leave`, which
// is of 4-byte elements, beta 0 and all of the panel's columns, the sum goes to D and not to the tile.
using gemm_tile_fn = void (*)(int64_t steps, const uint32_t *a, const void *b, void *tile, bool accumulate,
                              const gemm_ahead &ahead, const gemm_finish *leave);

struct gemm_kernel {
  uint32_t layout;  // names the form of the B panel in packed weights; equal layouts are interchangeable
  int max_rows, columns;
  int group;
  int b_unit;
  // A task is block_panels row panels by task_b_panels B panels, block_steps of k at a time: that much of a B panel
  // stays in L1 and of A in half of L2.
  int64_t block_steps, block_panels, task_b_panels;
  bool needs_row_sums;       // the i8 kernels that treat B as unsigned (B + 128)
  const gemm_tile_fn *tile;  // tile[rows - 1]
  // rows of A, k elements from each, to ceil(k / group) steps. May write 64 bytes past the panel. row_sums (i8): sum of
  // each row, or null.
  void (*pack_a)(const void *a, uint32_t a_type, int64_t lda, int rows, int64_t k, uint32_t *panel, int32_t *row_sums);
  // `count` rows of B (0 to columns / 2), k elements from each, into one half of a panel. Columns past count and
  // elements past k become zero.
  void (*pack_b)(const void *b, int64_t ldb, int count, int64_t k, int half, void *panel);
  void (*finish)(const void *tile, const gemm_finish &out);
  // Both or neither: turns steps of a B panel into units of 4 bytes, and the tiles that multiply those. Pays when a
  // block of B meets several row panels.
  void (*widen_b)(const void *panel, int64_t steps, void *wide);
  const gemm_tile_fn *wide_tile;
};

// The kernel of an instruction set for these operand types, or null.
const gemm_kernel *gemm_kernel_avx2(uint32_t a_type, uint32_t b_type) noexcept;
const gemm_kernel *gemm_kernel_avx512(uint32_t a_type, uint32_t b_type) noexcept;
const gemm_kernel *gemm_kernel_avx512vnni(uint32_t a_type, uint32_t b_type) noexcept;
const gemm_kernel *gemm_kernel_avx512bf16(uint32_t a_type, uint32_t b_type) noexcept;
const gemm_kernel *gemm_kernel_amx_int8(uint32_t a_type, uint32_t b_type) noexcept;
const gemm_kernel *gemm_kernel_amx_bf16(uint32_t a_type, uint32_t b_type) noexcept;
const gemm_kernel *gemm_kernel_neon(uint32_t a_type, uint32_t b_type) noexcept;
const gemm_kernel *gemm_kernel_neondot(uint32_t a_type, uint32_t b_type) noexcept;
const gemm_kernel *gemm_kernel_i8mm(uint32_t a_type, uint32_t b_type) noexcept;

// Identifiers of gemm_kernel::layout: columns, group and unit of the panel.
enum gemm_layout : uint32_t {
  k_layout_32x1 = 1,         // AVX-512 widening: f32, f16, bf16
  k_layout_32x2 = 2,         // AVX-512 bf16 dot, AMX
  k_layout_32x4_offset = 3,  // AVX-512 VNNI, elements + 128
  k_layout_16x1 = 4,         // AVX2 widening
  k_layout_16x2 = 5,         // AVX2 i8
  k_layout_8x1 = 6,          // Advanced SIMD widening
  k_layout_8x4 = 7,          // Advanced SIMD with SDOT or SMMLA
  k_layout_32x4 = 8          // AMX
};

}  // namespace gonka::cpu
