// Tiles of the gemm kernels and the choice among them. Host only; a pure function of problem and device.
#pragma once

#include <cstdint>

#include "device/runtime.hpp"

namespace gonka::cuda {

struct gemm_tile {
  int block_m, block_n;  // of D, per block of threads
  int warps_m, warps_n;  // how warps share it
  int stages;            // of the load pipeline

  constexpr int threads() const { return warps_m * warps_n * 32; }
  constexpr int warp_m() const { return block_m / warps_m; }
  constexpr int warp_n() const { return block_n / warps_n; }
};

// A stage holds 64 bytes of k of every row of the tile: four chunks of 16.
constexpr int k_stage_row_bytes = 64;

// mma.sync kernels (sm_80 and every later architecture). Shared memory must fit twice into an SM with 99 KiB (sm_86,
// sm_89, sm_120), once for the large tile.
// Types, because nvcc 13 loses the namespace of a template argument that is a value of a class.
struct mma_large {  // 64 KiB of stages; 64 accumulators a thread: the most work per byte loaded that leaves two blocks
                    // on an sm_80 SM
  static constexpr gemm_tile tile = {128, 128, 2, 4, 4};
};
struct mma_large_f8 {  // F8 keeps two sets of accumulators, so half as many of each
  static constexpr gemm_tile tile = {128, 64, 4, 2, 4};
};
struct mma_medium {  // 32 KiB: fills the device when D is small
  static constexpr gemm_tile tile = {64, 64, 2, 2, 4};
};
struct mma_narrow {  // up to 16 rows (decoding): bound by reading B, so many bytes in flight and no work on rows that
                     // do not exist
  static constexpr gemm_tile tile = {16, 128, 1, 4, 5};
};

constexpr uint32_t gemm_stage_bytes(const gemm_tile &t) {
  return uint32_t(t.block_m + t.block_n) * k_stage_row_bytes;
}
// The epilogue passes the tile through shared memory as F32, rows padded by 8 against bank conflicts.
constexpr uint32_t gemm_epilogue_bytes(const gemm_tile &t) {
  return uint32_t(t.block_m) * uint32_t(t.block_n + 8) * 4;
}
constexpr uint32_t gemm_shared_bytes(const gemm_tile &t) {
  const uint32_t stages = gemm_stage_bytes(t) * uint32_t(t.stages);
  return stages > gemm_epilogue_bytes(t) ? stages : gemm_epilogue_bytes(t);
}

constexpr int k_wgmma_block_m = 128;  // rows of D that a block of a wgmma kernel makes

struct gemm_plan {
  int tile;         // 0 large, 1 medium, 2 narrow
  uint32_t splits;  // of k
};

// element_bytes of A and B. n counts columns of the product (twice those of D for the SWIGLU pair).
gemm_plan plan_gemm(int64_t m, int64_t n, int64_t k, uint32_t element_bytes, const capability &can);

// The small tile of the kernel without tensor cores, square, and the elements of k of one of its steps.
constexpr int k_simt_small_block = 32, k_simt_small_block_k = 16;

// Parts of k for it: n counts columns of D.
uint32_t plan_simt_splits(int64_t m, int64_t n, int64_t k, const capability &can);

// tcgen05 kernels (sm_100a). An mma of 128 rows fills all lanes of tensor memory; two accumulators let one be stored
// while the other is filled. A stage holds 128 bytes of k.
constexpr uint32_t k_tcgen05_block_m = 128, k_tcgen05_row_bytes = 128;

struct tcgen05_tile {
  int block_n, stages;
};
struct tcgen05_wide {  // 48 KiB a stage; all 512 columns of tensor memory: the fewest bytes of operands per product
                       // that one block can have
  static constexpr tcgen05_tile tile = {256, 4};
};
struct tcgen05_square {  // 32 KiB a stage: twice the tiles where D is small, and two more stages under way
  static constexpr tcgen05_tile tile = {128, 6};
};

struct tcgen05_plan {
  bool wide;
  uint32_t splits;  // of k
};

// n counts columns of the product, as for plan_gemm.
tcgen05_plan plan_tcgen05(int64_t m, int64_t n, int64_t k, uint32_t element_bytes, const capability &can);

}  // namespace gonka::cuda
