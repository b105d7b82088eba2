// Sixteen F32 lanes of AVX-512 (F, BW, DQ, VL), for kernels written once over a `simd` type. Included by *_avx512.cpp
// only; everything is in an unnamed namespace so that no other file can end up with this code.
#pragma once

// gcc 12 takes its own _mm*_undefined_* for a use of an uninitialised value (gcc bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include "gonka_backend.h"

namespace gonka::cpu {
namespace {

struct f32_avx512 {
  using reg = __m512;
  static constexpr int width = 16;
  static constexpr int registers = 32;
  static constexpr bool pairs = false;  // dot takes one element per lane

  static reg zero() { return _mm512_setzero_ps(); }
  static reg set1(float f) { return _mm512_set1_ps(f); }
  static reg load(const float *p) { return _mm512_loadu_ps(p); }
  static void store(float *p, reg a) { _mm512_storeu_ps(p, a); }
  static reg add(reg a, reg b) { return _mm512_add_ps(a, b); }
  static reg sub(reg a, reg b) { return _mm512_sub_ps(a, b); }
  static reg mul(reg a, reg b) { return _mm512_mul_ps(a, b); }
  static reg div(reg a, reg b) { return _mm512_div_ps(a, b); }
  static reg fma(reg a, reg b, reg c) { return _mm512_fmadd_ps(a, b, c); }    // a b + c
  static reg fnma(reg a, reg b, reg c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
  static reg dot(reg a, reg b, reg c) { return fma(a, b, c); }
  static reg max(reg a, reg b) { return _mm512_max_ps(a, b); }  // b if either is NaN
  static reg min(reg a, reg b) { return _mm512_min_ps(a, b); }  // b if either is NaN

  // a in the first n lanes, b in the rest; 0 <= n <= 16.
  static reg first(int n, reg a, reg b) { return _mm512_mask_blend_ps(first_mask(n), b, a); }
  // Per lane: a where x < 0 (where x < limit), otherwise b; b where x is NaN.
  static reg choose_negative(reg x, reg a, reg b) { return choose_less(x, zero(), a, b); }
  static reg choose_less(reg x, reg limit, reg a, reg b) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, limit, _CMP_LT_OQ), b, a);
  }
  // Whether any lane of a is greater than b's.
  static bool any_greater(reg a, reg b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0; }
  static float reduce_max(reg a) { return _mm512_reduce_max_ps(a); }
  static float reduce_add(reg a) { return _mm512_reduce_add_ps(a); }

  // sums[0], sums[1] += the lanes, as doubles.
  using reg_f64 = __m512d;
  static reg_f64 zero_f64() { return _mm512_setzero_pd(); }
  static void add_f64(reg_f64 (&sums)[2], reg a) {
    sums[0] = _mm512_add_pd(sums[0], _mm512_cvtps_pd(_mm512_castps512_ps256(a)));
    sums[1] = _mm512_add_pd(sums[1], _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)));
  }
  static double reduce_f64(const reg_f64 (&sums)[2]) { return _mm512_reduce_add_pd(_mm512_add_pd(sums[0], sums[1])); }

  // Widens elements [i, i + 16) of an F32, F16 or BF16 array; *_first only the first n, the others become 0.
  template <uint32_t Type>
  static reg load_as(const void *base, int64_t i) {
    if constexpr (Type == GK_F32) return _mm512_loadu_ps(static_cast<const float *>(base) + i);
    const auto *p = static_cast<const uint16_t *>(base) + i;
    return widen<Type>(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
  }
  template <uint32_t Type>
  static reg load_as_first(const void *base, int64_t i, int n) {
    if constexpr (Type == GK_F32) return _mm512_maskz_loadu_ps(first_mask(n), static_cast<const float *>(base) + i);
    return widen<Type>(_mm256_maskz_loadu_epi16(first_mask(n), static_cast<const uint16_t *>(base) + i));
  }
  // Rounds to nearest even; bit for bit as number.hpp.
  template <uint32_t Type>
  static void store_as(void *base, int64_t i, reg a) {
    if constexpr (Type == GK_F32) return _mm512_storeu_ps(static_cast<float *>(base) + i, a);
    auto *p = static_cast<uint16_t *>(base) + i;
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), narrow<Type>(a));
  }
  template <uint32_t Type>
  static void store_as_first(void *base, int64_t i, reg a, int n) {
    if constexpr (Type == GK_F32) return _mm512_mask_storeu_ps(static_cast<float *>(base) + i, first_mask(n), a);
    _mm256_mask_storeu_epi16(static_cast<uint16_t *>(base) + i, first_mask(n), narrow<Type>(a));
  }
  template <uint32_t Type>
  static reg round_to(reg a) {
    if constexpr (Type == GK_F32) return a;
    return widen<Type>(narrow<Type>(a));
  }

  // x[index[l]], each index in range of the caller's array; the lanes from n on are 0.
  template <uint32_t Type>
  static reg gather_first(const void *base, const int32_t *index, int n) {
    const __mmask16 mask = first_mask(n);
    const __m512i at = _mm512_maskz_loadu_epi32(mask, index);
    if constexpr (Type == GK_F32) return _mm512_mask_i32gather_ps(zero(), mask, at, base, 4);
    // Byte gathers of two bytes are not to be had, and four would pass the end of the array.
    alignas(64) uint16_t picked[16] = {};
    for (int l = 0; l < n; ++l) picked[l] = static_cast<const uint16_t *>(base)[index[l]];
    return widen<Type>(_mm256_load_si256(reinterpret_cast<const __m256i *>(picked)));
  }

  // a * 2^n for integral n of any size; one rounding.
  static reg scale(reg a, reg n) { return _mm512_scalef_ps(a, n); }
  // The same where n and the result are within the normal numbers' exponents.
  static reg scale_normal(reg a, reg n) { return scale(a, n); }
  static reg round(reg a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  // 2^x for x <= 127, to 1 ulp (0.94 over all arguments); subnormal and zero results come out right. The polynomial is
  // a minimax fit of 2^f on [-1/2, 1/2] with relative error 2^-29.
  static reg exp2(reg x) {
    const reg n = round(x), f = sub(x, n);
    reg p = fma(set1(0x1.41fbbap-13f), f, set1(0x1.5f3e54p-10f));
    p = fma(p, f, set1(0x1.3b2d4cp-7f));
    p = fma(p, f, set1(0x1.c6aee8p-5f));
    p = fma(p, f, set1(0x1.ebfbdcp-3f));
    p = fma(p, f, set1(0x1.62e430p-1f));
    return scale(fma(p, f, set1(1)), n);
  }

  // Swaps neighbouring lanes 2i and 2i + 1; both lanes of each pair take the even, or the odd one.
  static reg swap_pairs(reg a) { return _mm512_permute_ps(a, 0xb1); }
  static reg even_of_pairs(reg a) { return _mm512_moveldup_ps(a); }
  static reg odd_of_pairs(reg a) { return _mm512_movehdup_ps(a); }
  // a b - c in even lanes, a b + c in odd ones.
  static reg fma_subtract_add(reg a, reg b, reg c) { return _mm512_fmaddsub_ps(a, b, c); }
  // a = (x0 y0 x1 y1 ...), b the next 16 of the same: x and y apart.
  static void unzip(reg a, reg b, reg &x, reg &y) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    x = _mm512_permutex2var_ps(a, even, b);
    y = _mm512_permutex2var_ps(a, odd, b);
  }

  // Transposes a 16 x 16 block held in rows.
  static void transpose(reg (&r)[16]) {
    reg t[16];
    for (int i = 0; i < 16; i += 2) {
      t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
      t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
      for (int j = 0; j < 2; ++j) {
        const __m512d low = _mm512_castps_pd(t[i + j]), high = _mm512_castps_pd(t[i + j + 2]);
        r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
        r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
      }
    for (int i = 0; i < 16; i += 8)
      for (int j = 0; j < 4; ++j) {
        t[i + j] = _mm512_shuffle_f32x4(r[i + j], r[i + j + 4], 0x88);
        t[i + j + 4] = _mm512_shuffle_f32x4(r[i + j], r[i + j + 4], 0xdd);
      }
    for (int j = 0; j < 8; ++j) {
      r[j] = _mm512_shuffle_f32x4(t[j], t[j + 8], 0x88);
      r[j + 8] = _mm512_shuffle_f32x4(t[j], t[j + 8], 0xdd);
    }
  }

 private:
  static __mmask16 first_mask(int n) { return __mmask16((1u << n) - 1); }

  template <uint32_t Type>
  static reg widen(__m256i h) {
    if constexpr (Type == GK_F16) return _mm512_cvtph_ps(h);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
  }
  // VCVTNEPS2BF16 would do for BF16, but it takes subnormals for zero.
  template <uint32_t Type>
  static __m256i narrow(reg a) {
    if constexpr (Type == GK_F16) return _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512i bits = _mm512_castps_si512(a);
    const __m512i upper = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
    const __m512i sum = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    const __m512i quiet = _mm512_or_si512(upper, _mm512_set1_epi32(0x40));
    return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(_mm512_srli_epi32(sum, 16), nan, quiet));
  }
};

}  // namespace
}  // namespace gonka::cpu
