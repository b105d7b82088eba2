// What every gemm kernel is given, and the part of a result that all of them share.
#pragma once

#include "device/dispatch.hpp"
#include "device/elements.cuh"
#include "device/silu.cuh"
#include "gemm/gemm.hpp"
#include "implementation.hpp"

namespace gonka::cuda {

struct gemm_args {
  int64_t m, n, k, lda, ldb, ldc, ldd;
  float alpha, beta;
  uint32_t a_type, b_type, d_type;
  uint32_t pair;                // SWIGLU epilogue: b2 is the other factor
  uint32_t vector_a, vector_b;  // rows of the operand begin at multiples of 16 bytes
  uint32_t vector_d;            // rows of D, and of C if it is read, begin at multiples of four elements
  uint32_t splits;              // parts of k; > 1: raw sums go to the workspace [split][1 or 2][m][n]
  int64_t split_k;              // elements of k in a part
  int64_t scale_block_n, scale_block_k, scale_blocks;  // F8; scale_blocks 0: no scales
  gptr<const uint8_t> a, b, b2, c;
  gptr<uint8_t> d;
  gptr<float> workspace;
  gptr<const float> a_scale, b_scale, b2_scale;
  uint32_t has_a_scale, has_b_scale, has_b2_scale;
};

// Four neighbouring results, c .. c + 3 of row r, as far as they lie inside n.
// sums: of the product, or of gate and up. T: float or int32_t.
GK_DEVICE void gemm_store(const gemm_args &a, int64_t r, int64_t c, const float (&gate)[4], const float (&up)[4]) {
  float v[4];
  GK_UNROLL
  for (int i = 0; i < 4; ++i) {
    v[i] = a.alpha * gate[i];
    if (a.pair) v[i] = silu_times(v[i], a.alpha * up[i]);
  }
  const bool whole = a.vector_d && c + 4 <= a.n;
  const bool with_c = a.beta != 0;
  if (a.d_type == GK_F32) {
    const gptr<float> d = ptr_cast<float>(a.d) + r * a.ldd + c;
    const gptr<const float> from = ptr_cast<const float>(a.c) + r * a.ldc + c;
    if (whole) {
      if (with_c) {
        const f32x4 old = ld_global(ptr_cast<const f32x4>(from));
        v[0] = fma(a.beta, old.x, v[0]);
        v[1] = fma(a.beta, old.y, v[1]);
        v[2] = fma(a.beta, old.z, v[2]);
        v[3] = fma(a.beta, old.w, v[3]);
      }
      st_global(ptr_cast<f32x4>(d), f32x4{v[0], v[1], v[2], v[3]});
      return;
    }
    for (int i = 0; i < 4; ++i)
      if (c + i < a.n) st_global(d + i, with_c ? fma(a.beta, ld_global(from + i), v[i]) : v[i]);
    return;
  }
  const bool half = a.d_type == GK_F16;
  const gptr<uint16_t> d = ptr_cast<uint16_t>(a.d) + r * a.ldd + c;
  const gptr<const uint16_t> from = ptr_cast<const uint16_t>(a.c) + r * a.ldc + c;
  if (whole) {
    if (with_c) {
      const u32x2 old = ld_global(ptr_cast<const u32x2>(from));
      v[0] = fma(a.beta, half ? low_half<f16>(old.x) : low_half<bf16>(old.x), v[0]);
      v[1] = fma(a.beta, half ? high_half<f16>(old.x) : high_half<bf16>(old.x), v[1]);
      v[2] = fma(a.beta, half ? low_half<f16>(old.y) : low_half<bf16>(old.y), v[2]);
      v[3] = fma(a.beta, half ? high_half<f16>(old.y) : high_half<bf16>(old.y), v[3]);
    }
    const u32x2 out = half ? u32x2{pack_f32x2<f16>(v[0], v[1]), pack_f32x2<f16>(v[2], v[3])}
                           : u32x2{pack_f32x2<bf16>(v[0], v[1]), pack_f32x2<bf16>(v[2], v[3])};
    st_global(ptr_cast<u32x2>(d), out);
    return;
  }
  for (int i = 0; i < 4; ++i)
    if (c + i < a.n) {
      float value = v[i];
      if (with_c) {
        const uint16_t old = ld_global(from + i);
        value = fma(a.beta, half ? to_f32(f16{old}) : to_f32(bf16{old}), value);
      }
      st_global(d + i, half ? from_f32<f16>(value).bits : from_f32<bf16>(value).bits);
    }
}

GK_DEVICE void gemm_store(const gemm_args &a, int64_t r, int64_t c, const int32_t (&sums)[4], const int32_t (&)[4]) {
  const gptr<uint32_t> d = ptr_cast<uint32_t>(a.d) + r * a.ldd + c;
  const gptr<const uint32_t> from = ptr_cast<const uint32_t>(a.c) + r * a.ldc + c;
  if (a.vector_d && c + 4 <= a.n) {
    u32x4 v = {uint32_t(sums[0]), uint32_t(sums[1]), uint32_t(sums[2]), uint32_t(sums[3])};
    if (a.beta != 0) {
      const u32x4 old = ld_global(ptr_cast<const u32x4>(from));
      v.x += old.x, v.y += old.y, v.z += old.z, v.w += old.w;
    }
    st_global(ptr_cast<u32x4>(d), v);
    return;
  }
  for (int i = 0; i < 4; ++i)
    if (c + i < a.n) st_global(d + i, uint32_t(sums[i]) + (a.beta != 0 ? ld_global(from + i) : 0));
}

// Raw sums of one part of k. Bits of int32_t sums travel as float.
GK_DEVICE void gemm_store_part(const gemm_args &a, int64_t plane, int64_t r, int64_t c, const float (&v)[4]) {
  const gptr<float> to = a.workspace + (plane * a.m + r) * a.n + c;
  for (int i = 0; i < 4; ++i)
    if (c + i < a.n) st_global(to + i, v[i]);
}

// Host: everything that does not depend on the kernel. splits 1, no workspace.
gemm_args make_gemm_args(const gk_gemm &p, places at);

// Queues the kernel that adds the parts in ascending order and finishes as gemm_store does.
void gemm_add_parts(const gemm_args &a, context &ctx);

}  // namespace gonka::cuda
