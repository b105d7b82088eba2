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

  static constexpr int k_groups = k_sums / 4;  // of eight columns

  // Scales of one block of k: of this thread's two rows, and of its columns, in Groups of equal ones: all columns of a
  // tile, or eight (scale_block_n is a multiple). Groups 0: there are no scales.
  template <int Groups>
  struct scales {
    float row[2];
    float column[Groups == 0 ? 1 : Groups], column2[Pair && Groups != 0 ? Groups : 1];
  };

  // Where a tile's scales lie. block[j]: of columns, for group j.
  template <int Groups>
  struct scale_places {
    gptr<const float> row[2];
    bool row_exists[2];
    int32_t block[Groups == 0 ? 1 : Groups];
  };

  // Whether all columns of every tile share their scale.
  GK_DEVICE static bool one_block(const gemm_args &g) {
    return (!g.has_b_scale && !g.has_b2_scale) || g.scale_block_n >= g.n || g.scale_block_n % k_columns == 0;
  }

  template <int Groups>
  GK_DEVICE static scale_places<Groups> places_of(const gemm_args &g, int64_t row0, int64_t column0) {
    scale_places<Groups> at;
    GK_UNROLL
    for (int h = 0; h < 2; ++h) {
      const int64_t r = row0 + lane_id() / 4 + 8 * h;
      at.row_exists[h] = g.has_a_scale && r < g.m;
      at.row[h] = at.row_exists[h] ? g.a_scale + r * g.scale_blocks : g.a_scale;
    }
    const bool undivided = (!g.has_b_scale && !g.has_b2_scale) || g.scale_block_n >= g.n;
    const int32_t width = undivided ? 1 : int32_t(g.scale_block_n), last = int32_t(g.n) - 1;
    GK_UNROLL
    for (int j = 0; j < Groups; ++j) {
      const int32_t c = int32_t(column0) + 8 * j;
      at.block[j] = undivided ? 0 : (c < last ? c : last) / width;
    }
    return at;
  }

  template <int Groups>
  GK_DEVICE static void load_columns(const gemm_args &g, const scale_places<Groups> &at, bool there,
                                     gptr<const float> from, int64_t kb, float (&to)[Groups]) {
    GK_UNROLL
    for (int j = 0; j < Groups; ++j)
      to[j] = there ? ld_global(from + (int64_t(at.block[j]) * g.scale_blocks + kb)) : 1.0f;
  }

  template <int Groups>
  GK_DEVICE static scales<Groups> load_scales(const gemm_args &g, const scale_places<Groups> &at, int64_t kb) {
    scales<Groups> s;
    GK_UNROLL
    for (int h = 0; h < 2; ++h) s.row[h] = at.row_exists[h] ? ld_global(at.row[h] + kb) : 1.0f;
    load_columns(g, at, g.has_b_scale, g.b_scale, kb, s.column);
    if constexpr (Pair) load_columns(g, at, g.has_b2_scale, g.b2_scale, kb, s.column2);
    return s;
  }

  // total += part times the scales.
  template <int Groups, int N>
  GK_DEVICE static void promote(float (&total)[k_sums], const float (&part)[k_sums], const float (&row)[2],
                                const float (&column)[N]) {
    GK_UNROLL
    for (int j = 0; j < k_groups; ++j) GK_UNROLL
    for (int e = 0; e < 4; ++e) {
      if constexpr (Groups != 0)
        total[4 * j + e] = fma(part[4 * j + e], row[e / 2] * column[Groups == 1 ? 0 : j], total[4 * j + e]);
      else
        total[4 * j + e] += part[4 * j + e];
    }
  }

  template <int Groups, class Finish>
  GK_DEVICE static void consume(const wgmma_args &a, uint32_t tiles, int32_t steps, uint32_t group,
                                const Finish &finish) {
    const gemm_args &g = a.g;
    const int64_t block_steps = Groups != 0 ? g.scale_block_k / base::k_stage_k : 1;
    const int32_t steps_a_block = block_steps < steps ? int32_t(block_steps) : steps;
    uint32_t stage = 0, parity = 0;
    float d[k_sums], d2[Pair ? k_sums : 1];
    for (uint32_t tile = block_idx().x; tile < tiles; tile += grid_dim().x) {
      int64_t row0, column0;
      base::origin(a, tile, &row0, &column0);
      row0 += group * 64 + warp_id() % 4 * 16;
      float total[k_sums] = {}, total2[Pair ? k_sums : 1] = {};
      scale_places<Groups> at;
      scales<Groups> now, next;
      int32_t left = steps_a_block, kb = 0;  // steps until the next block of k
      if constexpr (Groups != 0) {
        at = places_of<Groups>(g, row0, column0);
        now = load_scales<Groups>(g, at, 0);
      }
      GK_NO_UNROLL
      for (int32_t step = 0; step < steps; ++step) {
        mbarrier_wait_parity(base::full(stage), parity);
        const sptr<uint8_t> from = shared_at<uint8_t>(stage * base::k_stage_bytes);
        const sptr<uint8_t> rows = from + group * 64 * k_row_bytes, columns = from + base::k_a_bytes;
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
        if constexpr (Groups != 0) {  // under the product
          if (--left == 0) {
            left = steps_a_block;
            if (step + 1 < steps) ++kb;
          }
          next = load_scales<Groups>(g, at, kb);
        }
        wgmma_wait<0>();
        wgmma_hold(d);
        if constexpr (Pair) wgmma_hold(d2);
        base::release(stage);
        promote<Groups>(total, d, now.row, now.column);
        if constexpr (Pair) promote<Groups>(total2, d2, now.row, now.column2);
        if constexpr (Groups != 0) now = next;
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
    const bool scaled = a.g.has_a_scale || a.g.has_b_scale || a.g.has_b2_scale;
    base::run_with(a, [&](uint32_t tiles, int32_t steps, uint32_t group) {
      if (!scaled)
        consume<0>(a, tiles, steps, group, finish);
      else if (one_block(a.g))
        consume<1>(a, tiles, steps, group, finish);
      else
        consume<k_groups>(a, tiles, steps, group, finish);
    });
  }
};

}  // namespace gonka::cuda
