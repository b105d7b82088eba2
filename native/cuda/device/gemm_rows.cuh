// From the accumulators of a warp's 16 rows, as mma and wgmma leave them, to D.
#pragma once

#include "gemm_args.hpp"

namespace gonka::cuda {

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

// d[4 j + 2 h + e]: row lane / 4 + 8 h, column 8 j + 2 (lane % 4) + e. Neighbouring lanes exchange halves of two tiles
// of eight columns, so that each has four neighbouring columns to store at once.
template <class Sum, int N, bool Pair, int N2>
GK_DEVICE void store_accumulators(const gemm_args &a, int64_t row0, int64_t column0, const Sum (&d)[N],
                                  const Sum (&d2)[N2]) {
  const uint32_t lane = lane_id(), in_quad = lane % 4;
  const bool odd = in_quad % 2 != 0;
  GK_UNROLL
  for (int j = 0; j < N / 4; j += 2) GK_UNROLL
  for (int h = 0; h < 2; ++h) {
    Sum first[4], second[4] = {0, 0, 0, 0};
    exchange(first, d + 4 * j + 2 * h, d + 4 * (j + 1) + 2 * h, odd);
    if constexpr (Pair) exchange(second, d2 + 4 * j + 2 * h, d2 + 4 * (j + 1) + 2 * h, odd);
    const int64_t r = row0 + lane / 4 + 8 * h;
    const int64_t c = column0 + (odd ? 8 * (j + 1) + 2 * (in_quad - 1) : 8 * j + 2 * in_quad);
    if (r < a.m && c < a.n) gemm_store(a, r, c, first, second);
  }
}

}  // namespace gonka::cuda
