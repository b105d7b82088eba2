// The mainloop of gemm on Blackwell's tensor cores: F16, BF16, F8 and I8; sm_100a only.
//
// A persistent block of twelve warps. Lane 0 of warp 0 loads tiles of A and B with bulk tensor copies into a ring of
// stages; lane 0 of warp 1 multiplies them with tcgen05.mma into one of two accumulators in tensor memory; warps 4 to
// 11 take finished accumulators to D while the other one is being filled. Warp 2 allocates and frees tensor memory.
//   full[stage]   the bytes have arrived: one arrival by the loader, which announces them
//   empty[stage]  the mma that read the stage are over: one arrival, by tcgen05.commit
//   ready[buffer] the accumulator is complete: one arrival, by tcgen05.commit
//   taken[buffer] it has been read: one arrival by each of the eight warps
// An item is a tile of D, or one part of k of it. A unit is what one accumulator collects: a whole item, or with scales
// one block of k, whose sum is scaled and added in registers: the promotion of per-block scaled F8. Accumulators are
// F32 of full width here, so without scales nothing has to be promoted.
//
// Shared memory: stages of A [128][128 bytes of k] and B [block_n][128 bytes of k] in the 128-byte swizzle, each at a
// multiple of 1024; then the barriers and the address of the tensor memory. SWIGLU pair: the B tile is block_n / 2 rows
// of B, then as many of B2, multiplied as one: gate and up lie block_n / 2 columns apart in one accumulator.
#pragma once

#include "gemm_args.hpp"
#include "gemm_tiles.hpp"

namespace gonka::cuda {

struct tcgen05_args {
  gemm_args g;
  uint32_t tiles_m, tiles_n;
  uint32_t instruction;                   // descriptor of every mma
  int32_t steps_of_split, steps_of_unit;  // stages
  tensor_map a, b, b2;
};

inline constexpr uint32_t k_tcgen05_threads = 384, k_tcgen05_store_warps = 8;

template <tcgen05_kind Kind, class Shape, bool Pair, bool Scaled>
struct gemm_tcgen05 {
  static constexpr bool k_integer = Kind == tcgen05_kind::i8;
  using sum = std::conditional_t<k_integer, int32_t, float>;
  static constexpr uint32_t k_block_n = Shape::tile.block_n, k_stages = Shape::tile.stages;
  static constexpr uint32_t k_row_bytes = k_tcgen05_row_bytes, k_atom_bytes = 8 * k_row_bytes;
  static constexpr uint32_t k_b_box = Pair ? k_block_n / 2 : k_block_n;  // rows of a bulk copy; columns of D
  static constexpr uint32_t k_width = k_b_box / 2;                       // columns of D that a warp stores
  static constexpr uint32_t k_chunk = 16;                                // columns of one tcgen05.ld
  static constexpr uint32_t k_a_bytes = k_tcgen05_block_m * k_row_bytes;
  static constexpr uint32_t k_stage_bytes = k_a_bytes + k_block_n * k_row_bytes;
  static constexpr uint32_t k_barriers = k_stages * k_stage_bytes, k_buffers = k_barriers + k_stages * 16;
  static constexpr uint32_t k_place = k_buffers + 32, k_shared_bytes = k_place + 16;
  static constexpr uint32_t k_columns = 2 * k_block_n;  // of tensor memory
  static constexpr int64_t k_stage_k = k_row_bytes / (Kind == tcgen05_kind::f16 ? 2 : 1);
  static_assert(k_columns <= 512 && k_width % k_chunk == 0);

  GK_DEVICE static sptr<uint64_t> full(uint32_t stage) { return shared_at<uint64_t>(k_barriers + stage * 16); }
  GK_DEVICE static sptr<uint64_t> empty(uint32_t stage) { return shared_at<uint64_t>(k_barriers + stage * 16 + 8); }
  GK_DEVICE static sptr<uint64_t> ready(uint32_t buffer) { return shared_at<uint64_t>(k_buffers + buffer * 16); }
  GK_DEVICE static sptr<uint64_t> taken(uint32_t buffer) { return shared_at<uint64_t>(k_buffers + buffer * 16 + 8); }

  struct item {
    int64_t row0, column0;
    uint32_t split;
    int32_t first_step, steps;
  };

  GK_DEVICE static uint32_t items(const tcgen05_args &a) { return a.tiles_m * a.tiles_n * a.g.splits; }

  // Eight rows of tiles at a time share rows of A and B in L2.
  GK_DEVICE static item item_at(const tcgen05_args &a, uint32_t index) {
    constexpr uint32_t group = 8;
    const uint32_t tiles = a.tiles_m * a.tiles_n, tile = index % tiles;
    const uint32_t first_m = tile / (group * a.tiles_n) * group;
    const uint32_t in_group = a.tiles_m - first_m < group ? a.tiles_m - first_m : group;
    const uint32_t rest = tile % (group * a.tiles_n);
    const int32_t all = int32_t((a.g.k + k_stage_k - 1) / k_stage_k);
    item w;
    w.row0 = int64_t(first_m + rest % in_group) * k_tcgen05_block_m;
    w.column0 = int64_t(rest / in_group) * k_b_box;
    w.split = index / tiles;
    w.first_step = int32_t(w.split) * a.steps_of_split;
    w.steps = all - w.first_step < a.steps_of_split ? all - w.first_step : a.steps_of_split;
    return w;
  }

  GK_DEVICE static void load(const tcgen05_args &a) {
    uint32_t stage = 0, parity = 1;  // the first wait for each stage passes: nobody has used it
    for (uint32_t index = block_idx().x; index < items(a); index += grid_dim().x) {
      const item w = item_at(a, index);
      for (int32_t step = 0; step < w.steps; ++step) {
        mbarrier_wait_parity(empty(stage), parity);
        mbarrier_arrive_expect_tx(full(stage), k_stage_bytes);
        const sptr<uint8_t> at = shared_at<uint8_t>(stage * k_stage_bytes);
        const int32_t k = int32_t((w.first_step + step) * k_stage_k);
        cp_async_bulk_tensor_2d(at, a.a, k, int32_t(w.row0), full(stage));
        cp_async_bulk_tensor_2d(at + k_a_bytes, a.b, k, int32_t(w.column0), full(stage));
        if constexpr (Pair)
          cp_async_bulk_tensor_2d(at + (k_a_bytes + k_b_box * k_row_bytes), a.b2, k, int32_t(w.column0), full(stage));
        if (++stage == k_stages) {
          stage = 0;
          parity ^= 1;
        }
      }
    }
  }

  GK_DEVICE static void multiply(const tcgen05_args &a, uint32_t memory) {
    uint32_t stage = 0, parity = 0, buffer = 0, taken_parity = 1;
    for (uint32_t index = block_idx().x; index < items(a); index += grid_dim().x) {
      const int32_t steps = item_at(a, index).steps;
      for (int32_t first = 0; first < steps; first += a.steps_of_unit) {
        const int32_t last = steps - first < a.steps_of_unit ? steps : first + a.steps_of_unit;
        mbarrier_wait_parity(taken(buffer), taken_parity);
        tcgen05_fence_after_thread_sync();
        for (int32_t step = first; step < last; ++step) {
          mbarrier_wait_parity(full(stage), parity);
          tcgen05_fence_after_thread_sync();
          const sptr<uint8_t> rows = shared_at<uint8_t>(stage * k_stage_bytes), columns = rows + k_a_bytes;
          GK_UNROLL
          for (uint32_t part = 0; part < k_row_bytes; part += 32)
            tcgen05_mma<Kind>(memory + buffer * k_block_n, tcgen05_operand(shared_address(rows) + part, k_atom_bytes),
                              tcgen05_operand(shared_address(columns) + part, k_atom_bytes), a.instruction,
                              step != first || part != 0);
          tcgen05_commit(empty(stage));
          if (++stage == k_stages) {
            stage = 0;
            parity ^= 1;
          }
        }
        tcgen05_commit(ready(buffer));
        buffer ^= 1;
        if (buffer == 0) taken_parity ^= 1;
      }
    }
  }

  // Four lanes hold a row of four quads each; afterwards each holds one quad of all four rows, so that neighbouring
  // lanes store neighbouring columns. v[4 i + e]: element e of quad i, then of row i.
  GK_DEVICE static void transpose(uint32_t (&v)[16]) {
    const uint32_t lane = lane_id();
    GK_UNROLL
    for (uint32_t bit = 1; bit < 4; bit *= 2) {
      const bool upper = (lane & bit) != 0;
      GK_UNROLL
      for (uint32_t q = 0; q < 4; ++q) {
        if ((q & bit) != 0) continue;
        GK_UNROLL
        for (uint32_t e = 0; e < 4; ++e) {
          uint32_t &low = v[4 * q + e], &high = v[4 * (q | bit) + e];
          const uint32_t other = shfl_xor(upper ? low : high, bit);
          low = upper ? other : low;
          high = upper ? high : other;
        }
      }
    }
  }

  GK_DEVICE static sum as_sum(uint32_t bits) {
    if constexpr (k_integer)
      return int32_t(bits);
    else
      return f32_of_bits(bits);
  }

  // 16 columns from c0 on of the warp's 32 rows from row0 on, as they lie in tensor memory: a row per lane.
  GK_DEVICE static void store(const gemm_args &g, int64_t row0, int64_t c0, uint32_t split, uint32_t (&v)[16],
                              uint32_t (&v2)[16]) {
    transpose(v);
    if constexpr (Pair) transpose(v2);
    const uint32_t lane = lane_id();
    const int64_t c = c0 + lane % 4 * 4;
    GK_UNROLL
    for (uint32_t i = 0; i < 4; ++i) {
      const int64_t r = row0 + lane / 4 * 4 + i;
      if (r >= g.m || c >= g.n) continue;
      if (g.splits == 1) {
        sum first[4], second[4] = {0, 0, 0, 0};
        GK_UNROLL
        for (uint32_t e = 0; e < 4; ++e) {
          first[e] = as_sum(v[4 * i + e]);
          if constexpr (Pair) second[e] = as_sum(v2[4 * i + e]);
        }
        gemm_store(g, r, c, first, second);
      } else {
        float part[4];
        GK_UNROLL
        for (uint32_t e = 0; e < 4; ++e) part[e] = f32_of_bits(v[4 * i + e]);
        gemm_store_part(g, Pair ? split * 2 : split, r, c, part);
        if constexpr (Pair) {
          GK_UNROLL
          for (uint32_t e = 0; e < 4; ++e) part[e] = f32_of_bits(v2[4 * i + e]);
          gemm_store_part(g, split * 2 + 1, r, c, part);
        }
      }
    }
  }

  // Scales of this lane's row and of 16 columns that share one. kb: block of k.
  GK_DEVICE static float scale_of(const gemm_args &g, bool has_b, gptr<const float> b, int64_t r, int64_t c0,
                                  int64_t kb) {
    float scale = g.has_a_scale && r < g.m ? ld_global(g.a_scale + (r * g.scale_blocks + kb)) : 1.0f;
    if (has_b) scale = scale * ld_global(b + (c0 / g.scale_block_n * g.scale_blocks + kb));
    return scale;
  }

  // This warp has read the accumulator.
  GK_DEVICE static void release(uint32_t buffer) {
    tcgen05_fence_before_thread_sync();
    bar_warp_sync();
    if (lane_id() == 0) mbarrier_arrive(taken(buffer));
  }

  GK_DEVICE static void finish(const tcgen05_args &a, uint32_t memory) {
    const gemm_args &g = a.g;
    const uint32_t quarter = warp_id() % 4, half = warp_id() / 4 - 1, lane = lane_id();
    uint32_t buffer = 0, ready_parity = 0;
    for (uint32_t index = block_idx().x; index < items(a); index += grid_dim().x) {
      const item w = item_at(a, index);
      const int64_t row0 = w.row0 + quarter * 32, column0 = w.column0 + half * k_width;
      float total[Scaled ? k_width : 1] = {}, total2[Scaled && Pair ? k_width : 1] = {};
      for (int32_t first = 0; first < w.steps; first += a.steps_of_unit) {
        mbarrier_wait_parity(ready(buffer), ready_parity);
        tcgen05_fence_after_thread_sync();
        const uint32_t at = memory + (quarter * 32 << 16) + buffer * k_block_n + half * k_width;
        const int64_t kb = Scaled ? (w.first_step + first) / a.steps_of_unit : 0;
        GK_UNROLL
        for (uint32_t c = 0; c < k_width; c += k_chunk) {
          const int64_t c0 = column0 + c;
          if (row0 >= g.m || c0 >= g.n) continue;  // the same for the whole warp
          uint32_t v[16], v2[16];
          tcgen05_ld_32x32b(v, at + c);
          if constexpr (Pair) tcgen05_ld_32x32b(v2, at + k_b_box + c);
          tcgen05_wait_ld(v);
          if constexpr (Pair) tcgen05_wait_ld(v2);
          if constexpr (Scaled) {
            const float s = scale_of(g, g.has_b_scale, g.b_scale, row0 + lane, c0, kb);
            GK_UNROLL
            for (uint32_t i = 0; i < k_chunk; ++i) total[c + i] = fma(f32_of_bits(v[i]), s, total[c + i]);
            if constexpr (Pair) {
              const float s2 = scale_of(g, g.has_b2_scale, g.b2_scale, row0 + lane, c0, kb);
              GK_UNROLL
              for (uint32_t i = 0; i < k_chunk; ++i) total2[c + i] = fma(f32_of_bits(v2[i]), s2, total2[c + i]);
            }
          } else {
            store(g, row0, c0, w.split, v, v2);
          }
        }
        release(buffer);
        buffer ^= 1;
        if (buffer == 0) ready_parity ^= 1;
      }
      if constexpr (Scaled) {
        GK_UNROLL
        for (uint32_t c = 0; c < k_width; c += k_chunk) {
          if (row0 >= g.m || column0 + c >= g.n) continue;
          uint32_t v[16], v2[16];
          GK_UNROLL
          for (uint32_t i = 0; i < k_chunk; ++i) {
            v[i] = bits_of(total[c + i]);
            if constexpr (Pair) v2[i] = bits_of(total2[c + i]);
          }
          store(g, row0, column0 + c, w.split, v, v2);
        }
      }
    }
  }

  GK_DEVICE static void run(const tcgen05_args &a) {
    const uint32_t warp = warp_id();
    const sptr<uint32_t> place = shared_at<uint32_t>(k_place);
    if (thread_idx().x == 0) {
      for (uint32_t stage = 0; stage < k_stages; ++stage) {
        mbarrier_init(full(stage), 1);
        mbarrier_init(empty(stage), 1);
      }
      for (uint32_t buffer = 0; buffer < 2; ++buffer) {
        mbarrier_init(ready(buffer), 1);
        mbarrier_init(taken(buffer), k_tcgen05_store_warps);
      }
      fence_mbarrier_init();
      fence_proxy_async();
    }
    if (warp == 2) {
      tcgen05_alloc<k_columns>(place);
      tcgen05_relinquish_alloc_permit();
    }
    tcgen05_fence_before_thread_sync();
    bar_sync();
    tcgen05_fence_after_thread_sync();
    const uint32_t memory = ld_shared(place);
    if (warp < 4) {
      setmaxnreg_dec<40>();
      if (thread_idx().x == 0) load(a);
      if (thread_idx().x == 32) multiply(a, memory);
    } else {
      setmaxnreg_inc<232>();
      finish(a, memory);
    }
    bar_warp_sync();
    tcgen05_fence_before_thread_sync();
    bar_sync();
    if (warp == 2) {
      tcgen05_fence_after_thread_sync();
      tcgen05_dealloc<k_columns>(memory);
    }
  }
};

}  // namespace gonka::cuda
