// From the accumulators of a warp's 16 rows, as wgmma leaves them, to D.
//
// d[4 j + 2 h + e]: row lane / 4 + 8 h, column 8 j + 2 (lane % 4) + e. What a tile has in common - number type, whether
// C is added, whether all of its columns exist and can be stored four at a time - is asked once, outside the unrolled
// loops: asked for every group of values, the code of a tile outgrows the instruction cache and a store of D takes as
// long as the product.
#pragma once

#include "gemm_args.hpp"

namespace gonka::cuda {

constexpr uint32_t k_rows_staging_bytes =
    2048;  // of shared memory for each warp: 16 x 16 values of D, twice for a pair

// Columns of one tile kept, those of the other given to the neighbour.
template <class Sum>
GK_DEVICE void exchange(Sum (&out)[4], const Sum *even_tile, const Sum *odd_tile, bool odd) {
  const Sum from0 = shfl_xor(odd ? even_tile[0] : odd_tile[0], 1),
            from1 = shfl_xor(odd ? even_tile[1] : odd_tile[1], 1);
  out[0] = odd ? from0 : even_tile[0];
  out[1] = odd ? from1 : even_tile[1];
  out[2] = odd ? odd_tile[0] : from0;
  out[3] = odd ? odd_tile[1] : from1;
}

// Neighbouring values of D that one lane stores at once, as they lie in memory: two of four bytes or four of two. old:
// C's.
template <class Out, bool WithC, bool Pair>
GK_DEVICE u32x2 finish_group(const gemm_args &a, const u32x2 &old, const float *gate, const float *up) {
  constexpr int count = sizeof(Out) == 4 ? 2 : 4;
  float v[count];
  GK_UNROLL
  for (int i = 0; i < count; ++i) {
    v[i] = a.alpha * gate[i];
    if constexpr (Pair) v[i] = silu_times<sizeof(Out) == 2>(v[i], a.alpha * up[i]);
  }
  if constexpr (sizeof(Out) == 4) {
    if constexpr (WithC) {
      v[0] = fma(a.beta, f32_of_bits(old.x), v[0]);
      v[1] = fma(a.beta, f32_of_bits(old.y), v[1]);
    }
    return {bits_of(v[0]), bits_of(v[1])};
  } else {
    if constexpr (WithC) {
      v[0] = fma(a.beta, low_half<Out>(old.x), v[0]);
      v[1] = fma(a.beta, high_half<Out>(old.x), v[1]);
      v[2] = fma(a.beta, low_half<Out>(old.y), v[2]);
      v[3] = fma(a.beta, high_half<Out>(old.y), v[3]);
    }
    return {pack_f32x2<Out>(v[0], v[1]), pack_f32x2<Out>(v[2], v[3])};
  }
}
template <class Out, bool WithC, bool Pair>
GK_DEVICE u32x2 finish_group(const gemm_args &, const u32x2 &old, const int32_t *sums, const int32_t *) {
  u32x2 v = {uint32_t(sums[0]), uint32_t(sums[1])};
  if constexpr (WithC) v.x += old.x, v.y += old.y;
  return v;
}

// All columns exist, and groups of four begin at multiples of their size.
template <class Out, bool WithC, bool Pair, class Sum, int N, int N2>
GK_DEVICE void store_whole(const gemm_args &a, int64_t row0, int64_t column0, const Sum (&d)[N], const Sum (&d2)[N2]) {
  constexpr int64_t size = sizeof(Out);
  const uint32_t lane = lane_id(), in_quad = lane % 4;
  const bool odd = in_quad % 2 != 0;
  // Four lanes store a whole sector: of four bytes a value, two values each; of two bytes, neighbouring lanes exchange
  // halves of two tiles of eight columns, so that each has four.
  const int64_t column = column0 + (size == 4 ? 2 * in_quad : odd ? 6 + 2 * in_quad : 2 * in_quad);
  // Groups of C are read several at a time: C may be D, so the compiler moves no read before a store.
  constexpr int groups = size == 4 ? N / 4 : N / 8, batch = groups % 8 == 0 ? 8 : groups;
  constexpr int64_t group_bytes = (size == 4 ? 8 : 16) * size;
  GK_UNROLL
  for (int h = 0; h < 2; ++h) {
    const int64_t r = row0 + lane / 4 + 8 * h;
    const bool inside = r < a.m;
    const gptr<uint8_t> to = a.d + (r * a.ldd + column) * size;
    const gptr<const uint8_t> c = a.c + (r * a.ldc + column) * size;
    GK_UNROLL
    for (int first = 0; first < groups; first += batch) {
      u32x2 old[batch] = {};
      if constexpr (WithC) {
        GK_UNROLL
        for (int i = 0; i < batch; ++i)
          if (inside) old[i] = ld_global(ptr_cast<const u32x2>(c + (first + i) * group_bytes));
      }
      GK_UNROLL
      for (int i = 0; i < batch; ++i) {
        const int g = first + i;
        u32x2 out;
        if constexpr (size == 4) {
          out = finish_group<Out, WithC, Pair>(a, old[i], d + 4 * g + 2 * h, Pair ? d2 + 4 * g + 2 * h : d2);
        } else {
          Sum gate[4], up[4] = {0, 0, 0, 0};
          exchange(gate, d + 8 * g + 2 * h, d + 8 * g + 4 + 2 * h, odd);
          if constexpr (Pair) exchange(up, d2 + 8 * g + 2 * h, d2 + 8 * g + 4 + 2 * h, odd);
          out = finish_group<Out, WithC, Pair>(a, old[i], gate, up);
        }
        if (inside) st_global(ptr_cast<u32x2>(to + g * group_bytes), out);
      }
    }
  }
}

// The rest, 16 columns at a time through shared memory, in loops that stay loops: tiles at the right edge, and a D
// whose rows begin anywhere.
template <bool Pair, class Sum, int N, int N2>
GK_DEVICE void store_partly(const gemm_args &a, int64_t row0, int64_t column0, const Sum (&d)[N], const Sum (&d2)[N2],
                            sptr<Sum> staging) {
  const uint32_t lane = lane_id();
  GK_NO_UNROLL
  for (int part = 0; part < N / 8; ++part) {
    GK_UNROLL
    for (int j = 0; j < N / 4; ++j) {
      if (j / 2 != part) continue;
      GK_UNROLL
      for (int i = 0; i < 4; ++i) {
        const uint32_t at = (lane / 4 + 8 * (i / 2)) * 16 + j % 2 * 8 + lane % 4 * 2 + i % 2;
        st_shared(staging + at, d[4 * j + i]);
        if constexpr (Pair) st_shared(staging + (256 + at), d2[4 * j + i]);
      }
    }
    bar_warp_sync();
    GK_NO_UNROLL
    for (uint32_t quad = lane; quad < 64; quad += 32) {
      const int64_t r = row0 + quad / 4, c = column0 + part * 16 + quad % 4 * 4;
      if (r >= a.m || c >= a.n) continue;
      Sum first[4], second[4] = {0, 0, 0, 0};
      GK_UNROLL
      for (uint32_t i = 0; i < 4; ++i) {
        first[i] = ld_shared(staging + (quad * 4 + i));
        if constexpr (Pair) second[i] = ld_shared(staging + (256 + quad * 4 + i));
      }
      gemm_store(a, r, c, first, second);
    }
    bar_warp_sync();
  }
}

// staging: this warp's k_rows_staging_bytes.
template <class Sum, int N, bool Pair, int N2>
GK_DEVICE void store_accumulators(const gemm_args &a, int64_t row0, int64_t column0, const Sum (&d)[N],
                                  const Sum (&d2)[N2], sptr<Sum> staging) {
  constexpr bool integer = Sum(0.5f) == Sum(0);
  if (!a.vector_d || column0 + 2 * N > a.n) return store_partly<Pair>(a, row0, column0, d, d2, staging);
  const bool with_c = a.beta != 0;
  const auto store = [&]<class Out>(Out) {
    if constexpr (Pair)  // a pair has no C
      store_whole<Out, false, true>(a, row0, column0, d, d2);
    else if (with_c)
      store_whole<Out, true, false>(a, row0, column0, d, d2);
    else
      store_whole<Out, false, false>(a, row0, column0, d, d2);
  };
  if constexpr (integer) {
    store(int32_t{});
  } else {
    if (a.d_type == GK_F32)
      store(float{});
    else if (a.d_type == GK_F16)
      store(f16{});
    else
      store(bf16{});
  }
}

}  // namespace gonka::cuda
