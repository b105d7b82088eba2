// The mainloop of gemm on Hopper's warp-group units: F16, BF16 and I8; sm_90a only.
//
// A persistent block of three warp groups. One thread of the first loads tiles of A and B with bulk tensor copies into
// a ring of stages; the other two groups multiply 64 rows each with wgmma and store D from registers while the next
// tile is already being loaded. Stage s is full when its bytes have arrived (full[s]: one arrival, by the loader, which
// announces the bytes) and empty when all eight consumer warps have waited for the wgmma that read it (empty[s]).
//
// Shared memory: stages of A [128][128 bytes of k] and B [block_n][128 bytes of k] in the 128-byte swizzle, each at a
// multiple of 1024; then the barriers; then what store_accumulators needs.
// SWIGLU pair: the B tile is block_n / 2 rows of B, then as many of B2; a thread owns gate and up of a column.
#pragma once

#include <type_traits>

#include "device/gemm_rows.cuh"
#include "gemm_args.hpp"

namespace gonka::cuda {

struct wgmma_tile {
  int block_n, stages;
  int cluster;  // blocks, one below the other in D, that share every tile of B: each loads a half for both
};
struct wgmma_wide {  // 48 KiB a stage; 128 accumulators a thread: most products per byte of shared memory read
  static constexpr wgmma_tile tile = {256, 4, 1};
};
struct wgmma_wide_cluster {  // the same with two thirds of its loads
  static constexpr wgmma_tile tile = {256, 4, 2};
};
struct wgmma_square {  // 32 KiB a stage: for D with too few tiles of the other kind
  static constexpr wgmma_tile tile = {128, 6, 1};
};

inline constexpr uint32_t k_wgmma_threads = 384, k_block_m = 128, k_row_bytes = 128, k_consumer_warps = 8;
inline constexpr uint32_t k_atom_bytes = 1024;  // eight rows

struct wgmma_args {
  gemm_args g;
  uint32_t tiles_m, tiles_n;
  tensor_map a, b, b2;
};

// finish(row0, column0, d, d2) takes a warp's 16 rows of a tile from row0 on; all four warps of a group call it.
template <class T, class Shape, bool Pair>
struct gemm_wgmma {
  static constexpr bool k_integer = sizeof(T) == 1;
  using sum = std::conditional_t<k_integer, int32_t, float>;
  static constexpr int k_block_n = Shape::tile.block_n, k_stages = Shape::tile.stages;
  static constexpr uint32_t k_cluster = Shape::tile.cluster;
  static constexpr uint32_t k_b_box = Pair ? k_block_n / 2 : k_block_n / Shape::tile.cluster;  // rows of a bulk copy
  static constexpr int k_columns = Pair ? k_block_n / 2 : k_block_n;                           // of D
  static constexpr int k_sums = k_columns / 2;                                                 // per thread and product
  static constexpr uint32_t k_a_bytes = k_block_m * k_row_bytes, k_stage_bytes = k_a_bytes + k_block_n * k_row_bytes;
  static constexpr uint32_t k_barriers = k_stages * k_stage_bytes;
  static constexpr uint32_t k_staging = k_barriers + k_stages * 16;
  static constexpr uint32_t k_shared_bytes = k_staging + k_consumer_warps * k_rows_staging_bytes;
  static constexpr int64_t k_stage_k = k_row_bytes / sizeof(T);

  GK_DEVICE static sptr<uint64_t> full(uint32_t stage) { return shared_at<uint64_t>(k_barriers + stage * 16); }
  GK_DEVICE static sptr<uint64_t> empty(uint32_t stage) { return shared_at<uint64_t>(k_barriers + stage * 16 + 8); }

  // For store_accumulators: this warp's, of one of the consumer groups.
  GK_DEVICE static sptr<sum> staging() { return shared_at<sum>(k_staging + (warp_id() - 4) * k_rows_staging_bytes); }

  // `tile` counts tiles of a cluster. Eight rows of tiles at a time share rows of A and B in L2.
  GK_DEVICE static void origin(const wgmma_args &a, uint32_t tile, int64_t *row0, int64_t *column0) {
    constexpr uint32_t group = 8;
    const uint32_t tiles_m = (a.tiles_m + k_cluster - 1) / k_cluster;
    const uint32_t first_m = tile / (group * a.tiles_n) * group;
    const uint32_t in_group = tiles_m - first_m < group ? tiles_m - first_m : group;
    const uint32_t rest = tile % (group * a.tiles_n);
    *row0 = (int64_t(first_m + rest % in_group) * k_cluster + (k_cluster == 1 ? 0 : cluster_rank())) * k_block_m;
    *column0 = int64_t(rest / in_group) * k_columns;
  }

  GK_DEVICE static void load(const wgmma_args &a, uint32_t tiles, int32_t steps) {
    uint32_t stage = 0, parity = 1;  // the first wait for each stage passes: nobody has used it
    for (uint32_t tile = block_idx().x / k_cluster; tile < tiles; tile += grid_dim().x / k_cluster) {
      int64_t row0, column0;
      origin(a, tile, &row0, &column0);
      for (int32_t step = 0; step < steps; ++step) {
        mbarrier_wait_parity(empty(stage), parity);
        mbarrier_arrive_expect_tx(full(stage), k_stage_bytes);
        const sptr<uint8_t> at = shared_at<uint8_t>(stage * k_stage_bytes);
        const int32_t k = int32_t(step * k_stage_k);
        cp_async_bulk_tensor_2d(at, a.a, k, int32_t(row0), full(stage));
        if constexpr (k_cluster == 2) {
          // B's half of this block, to both; a pair's halves are B and B2.
          const uint32_t rank = cluster_rank();
          cp_async_bulk_tensor_2d_multicast(at + (k_a_bytes + rank * k_b_box * k_row_bytes),
                                            Pair && rank != 0 ? a.b2 : a.b, k,
                                            int32_t(column0) + (Pair ? 0 : int32_t(rank * k_b_box)), full(stage), 3);
        } else {
          cp_async_bulk_tensor_2d(at + k_a_bytes, a.b, k, int32_t(column0), full(stage));
          if constexpr (Pair)
            cp_async_bulk_tensor_2d(at + (k_a_bytes + k_columns * k_row_bytes), a.b2, k, int32_t(column0), full(stage));
        }
        if (++stage == k_stages) {
          stage = 0;
          parity ^= 1;
        }
      }
    }
  }

  // This warp is done with a stage: said to every block that writes to it.
  GK_DEVICE static void release(uint32_t stage) {
    if (lane_id() != 0) return;
    if constexpr (k_cluster == 1) {
      mbarrier_arrive(empty(stage));
    } else {
      for (uint32_t rank = 0; rank < k_cluster; ++rank) mbarrier_arrive_cluster(empty(stage), rank);
    }
  }

  GK_DEVICE static void multiply(sum (&d)[k_sums], uint64_t a, uint64_t b, bool accumulate) {
    if constexpr (k_integer)
      wgmma_m64_s8(d, a, b, accumulate);
    else
      wgmma_m64<T>(d, a, b, accumulate);
  }

  template <class Finish>
  GK_DEVICE static void consume(const wgmma_args &a, uint32_t tiles, int32_t steps, uint32_t group,
                                const Finish &finish) {
    uint32_t stage = 0, parity = 0;
    sum d[k_sums], d2[Pair ? k_sums : 1];
    for (uint32_t tile = block_idx().x / k_cluster; tile < tiles; tile += grid_dim().x / k_cluster) {
      int64_t row0, column0;
      origin(a, tile, &row0, &column0);
      uint32_t previous = 0;
      wgmma_hold(d);
      if constexpr (Pair) wgmma_hold(d2);
      // Peeled or unrolled, the loop has copies of the accumulators, and ptxas then waits after every wgmma.
      GK_NO_UNROLL
      for (int32_t step = 0; step < steps; ++step) {
        mbarrier_wait_parity(full(stage), parity);
        const sptr<uint8_t> at = shared_at<uint8_t>(stage * k_stage_bytes);
        const sptr<uint8_t> rows = at + group * 64 * k_row_bytes, columns = at + k_a_bytes;
        wgmma_fence();
        GK_UNROLL
        for (uint32_t part = 0; part < k_row_bytes; part += 32) {
          const uint64_t da = wgmma_descriptor(rows + part, 0, k_atom_bytes);
          const bool accumulate = step != 0 || part != 0;
          multiply(d, da, wgmma_descriptor(columns + part, 0, k_atom_bytes), accumulate);
          if constexpr (Pair)
            multiply(d2, da, wgmma_descriptor(columns + (k_columns * k_row_bytes + part), 0, k_atom_bytes), accumulate);
        }
        wgmma_commit();
        // One step stays under way; the one before it is done with its stage.
        wgmma_wait<1>();
        if (step != 0) release(previous);
        previous = stage;
        if (++stage == k_stages) {
          stage = 0;
          parity ^= 1;
        }
      }
      wgmma_wait<0>();
      wgmma_hold(d);
      if constexpr (Pair) wgmma_hold(d2);
      release(previous);
      finish(row0 + group * 64 + warp_id() % 4 * 16, column0, d, d2);
    }
  }

  template <class Finish>
  GK_DEVICE static void run(const wgmma_args &a, const Finish &finish) {
    run_with(a, [&](uint32_t tiles, int32_t steps, uint32_t group) { consume(a, tiles, steps, group, finish); });
  }

  // consume(tiles, steps, group): what each of the two consumer groups does with the stages of all of the block's
  // tiles.
  template <class Consume>
  GK_DEVICE static void run_with(const wgmma_args &a, const Consume &consume) {
    const uint32_t tiles = (a.tiles_m + k_cluster - 1) / k_cluster * a.tiles_n, group = thread_idx().x / 128;
    const int32_t steps = int32_t((a.g.k + k_stage_k - 1) / k_stage_k);
    if (thread_idx().x == 0) {
      for (uint32_t stage = 0; stage < k_stages; ++stage) {
        mbarrier_init(full(stage), 1);
        mbarrier_init(empty(stage), k_consumer_warps * k_cluster);
      }
      fence_mbarrier_init();
      fence_proxy_async();
    }
    if constexpr (k_cluster == 1)
      bar_sync();
    else
      cluster_sync();
    if (group == 0) {
      setmaxnreg_dec<40>();
      if (thread_idx().x == 0) load(a, tiles, steps);
    } else {
      setmaxnreg_inc<232>();
      consume(tiles, steps, group - 1);
    }
    // A block must not go while another may still write to its memory or arrive at its barriers.
    if constexpr (k_cluster != 1) {
      bar_warp_sync();
      cluster_sync();
    }
  }
};

// Host: maps and tile counts for dense or strided operands whose rows are 16 bytes aligned.
template <class T, class Shape, bool Pair>
wgmma_args make_wgmma_args(const gemm_args &g, void *a, void *b, void *b2) {
  using kernel = gemm_wgmma<T, Shape, Pair>;
  wgmma_args out;
  out.g = g;
  out.tiles_m = uint32_t(ceil_div(g.m, k_block_m));
  out.tiles_n = uint32_t(ceil_div(g.n, kernel::k_columns));
  const auto map = [&](void *base, int64_t rows, int64_t ld, uint32_t box_rows) {
    return runtime::make_tensor_map({.base = base,
                                     .element_bytes = sizeof(T),
                                     .dimensions = 2,
                                     .extent = {uint64_t(g.k), uint64_t(rows), 1},
                                     .stride_bytes = {uint64_t(ld) * sizeof(T), 0},
                                     .box = {uint32_t(kernel::k_stage_k), box_rows, 1}});
  };
  out.a = map(a, g.m, g.lda, k_block_m);
  out.b = map(b, g.n, g.ldb, kernel::k_b_box);
  out.b2 = Pair ? map(b2, g.n, g.ldb, kernel::k_b_box) : out.b;
  return out;
}

template <class T, class Shape, bool Pair>
runtime::launch_shape wgmma_launch(const wgmma_args &a, const context &ctx) {
  constexpr uint32_t cluster = Shape::tile.cluster;
  const uint32_t tiles = (a.tiles_m + cluster - 1) / cluster * a.tiles_n, room = ctx.can().multiprocessors / cluster;
  return {.grid_x = (tiles < room ? tiles : room) * cluster,
          .threads = k_wgmma_threads,
          .shared_bytes = gemm_wgmma<T, Shape, Pair>::k_shared_bytes,
          .cluster = cluster};
}

}  // namespace gonka::cuda
