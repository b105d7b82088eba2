// The mainloop of gemm on Hopper's warp-group units for F8 operands; sm_90a only.
//
// Loads, stages and barriers are gemm_wgmma's. The F8 units keep about 14 bits of a sum (emulator/accumulate.hpp), so a
// sum never grows beyond the 128 products of one stage: each stage starts a new one, which is then scaled, if there are
// scales, and added to the total in F32. While one warp group adds, the other one multiplies.
#pragma once

#include "device/gemm_wgmma.cuh"

namespace gonka::cuda {

template <class T, class Shape, bool Pair>
struct gemm_wgmma_f8 {
  using base = gemm_wgmma<T, Shape, Pair>;
  static constexpr int k_sums = base::k_sums, k_columns = base::k_columns;
  static_assert(Shape::tile.cluster == 1 && base::k_stage_k == 128);

  // total += part times the scales of its rows and columns. Eight columns share a scale: scale_block_n is a multiple.
  GK_DEVICE static void promote(const gemm_args &g, float (&total)[k_sums], const float (&part)[k_sums],
                                gptr<const float> b, bool has_b, const float (&row_scale)[2], int64_t column0,
                                int64_t kb) {
    GK_UNROLL
    for (int j = 0; j < k_sums / 4; ++j) {
      const int64_t c = column0 + 8 * j;
      const float column_scale = has_b && c < g.n ? ld_global(b + (c / g.scale_block_n * g.scale_blocks + kb)) : 1.0f;
      GK_UNROLL
      for (int e = 0; e < 4; ++e)
        total[4 * j + e] = fma(part[4 * j + e], row_scale[e / 2] * column_scale, total[4 * j + e]);
    }
  }

  template <class Finish>
  GK_DEVICE static void consume(const wgmma_args &a, uint32_t tiles, int32_t steps, uint32_t group,
                                const Finish &finish) {
    const gemm_args &g = a.g;
    uint32_t stage = 0, parity = 0;
    float d[k_sums], d2[Pair ? k_sums : 1];
    for (uint32_t tile = block_idx().x; tile < tiles; tile += grid_dim().x) {
      int64_t row0, column0;
      base::origin(a, tile, &row0, &column0);
      row0 += group * 64 + warp_id() % 4 * 16;
      float total[k_sums] = {}, total2[Pair ? k_sums : 1] = {};
      for (int32_t step = 0; step < steps; ++step) {
        const int64_t kb = g.scale_blocks == 0 ? 0 : int64_t(step) * base::k_stage_k / g.scale_block_k;
        float row_scale[2];
        GK_UNROLL
        for (int h = 0; h < 2; ++h) {
          const int64_t r = row0 + lane_id() / 4 + 8 * h;
          row_scale[h] = g.has_a_scale && r < g.m ? ld_global(g.a_scale + (r * g.scale_blocks + kb)) : 1.0f;
        }
        mbarrier_wait_parity(base::full(stage), parity);
        const sptr<uint8_t> at = shared_at<uint8_t>(stage * base::k_stage_bytes);
        const sptr<uint8_t> rows = at + group * 64 * k_row_bytes, columns = at + base::k_a_bytes;
        wgmma_hold(d);
        if constexpr (Pair) wgmma_hold(d2);
        wgmma_fence();
        GK_UNROLL
        for (uint32_t part = 0; part < k_row_bytes; part += 32) {
          const uint64_t da = wgmma_descriptor(rows + part, 0, k_atom_bytes);
          wgmma_m64_f8<T>(d, da, wgmma_descriptor(columns + part, 0, k_atom_bytes), part != 0);
          if constexpr (Pair)
            wgmma_m64_f8<T>(d2, da, wgmma_descriptor(columns + (k_columns * k_row_bytes + part), 0, k_atom_bytes),
                            part != 0);
        }
        wgmma_commit();
        wgmma_wait<0>();
        wgmma_hold(d);
        if constexpr (Pair) wgmma_hold(d2);
        base::release(stage);
        promote(g, total, d, g.b_scale, g.has_b_scale, row_scale, column0, kb);
        if constexpr (Pair) promote(g, total2, d2, g.b2_scale, g.has_b2_scale, row_scale, column0, kb);
        if (++stage == uint32_t(base::k_stages)) {
          stage = 0;
          parity ^= 1;
        }
      }
      finish(row0, column0, total, total2);
    }
  }

  template <class Finish>
  GK_DEVICE static void run(const wgmma_args &a, const Finish &finish) {
    base::run_with(a, [&](uint32_t tiles, int32_t steps, uint32_t group) { consume(a, tiles, steps, group, finish); });
  }
};

}  // namespace gonka::cuda
