// Eight F32 lanes of AVX2 with FMA and F16C, for kernels written once over a `simd` type. Included by *_avx2.cpp only;
// everything is in an unnamed namespace so that no other file can end up with this code.
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

struct f32_avx2 {
  using reg = __m256;
  static constexpr int width = 8;
  static constexpr int registers = 16;
  static constexpr bool pairs = false;  // dot takes one element per lane

  static reg zero() { return _mm256_setzero_ps(); }
  static reg set1(float f) { return _mm256_set1_ps(f); }
  static reg load(const float *p) { return _mm256_loadu_ps(p); }
  static void store(float *p, reg a) { _mm256_storeu_ps(p, a); }
  static reg add(reg a, reg b) { return _mm256_add_ps(a, b); }
  static reg sub(reg a, reg b) { return _mm256_sub_ps(a, b); }
  static reg mul(reg a, reg b) { return _mm256_mul_ps(a, b); }
  static reg div(reg a, reg b) { return _mm256_div_ps(a, b); }
  static reg fma(reg a, reg b, reg c) { return _mm256_fmadd_ps(a, b, c); }    // a b + c
  static reg fnma(reg a, reg b, reg c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a b
  static reg dot(reg a, reg b, reg c) { return fma(a, b, c); }
  static reg max(reg a, reg b) { return _mm256_max_ps(a, b); }  // b if either is NaN
  static reg min(reg a, reg b) { return _mm256_min_ps(a, b); }  // b if either is NaN

  // a in the first n lanes, b in the rest; 0 <= n <= 8.
  static reg first(int n, reg a, reg b) { return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(first_mask(n))); }
  // Per lane: a where x < 0 (where x < limit), otherwise b; b where x is NaN.
  static reg choose_negative(reg x, reg a, reg b) { return choose_less(x, zero(), a, b); }
  static reg choose_less(reg x, reg limit, reg a, reg b) {
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, limit, _CMP_LT_OQ));
  }
  // Whether any lane of a is greater than b's.
  static bool any_greater(reg a, reg b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)) != 0; }
  static float reduce_max(reg a) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
  }
  static float reduce_add(reg a) {
    __m128 m = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_add_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_add_ss(m, _mm_movehdup_ps(m)));
  }

  // sums[0], sums[1] += the lanes, as doubles.
  using reg_f64 = __m256d;
  static reg_f64 zero_f64() { return _mm256_setzero_pd(); }
  static void add_f64(reg_f64 (&sums)[2], reg a) {
    sums[0] = _mm256_add_pd(sums[0], _mm256_cvtps_pd(_mm256_castps256_ps128(a)));
    sums[1] = _mm256_add_pd(sums[1], _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)));
  }
  static double reduce_f64(const reg_f64 (&sums)[2]) {
    const __m256d both = _mm256_add_pd(sums[0], sums[1]);
    const __m128d half = _mm_add_pd(_mm256_castpd256_pd128(both), _mm256_extractf128_pd(both, 1));
    return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
  }

  // Widens elements [i, i + 8) of an F32, F16 or BF16 array; *_first only the first n, the others become 0.
  template <uint32_t Type>
  static reg load_as(const void *base, int64_t i) {
    if constexpr (Type == GK_F32) return _mm256_loadu_ps(static_cast<const float *>(base) + i);
    const auto *p = static_cast<const uint16_t *>(base) + i;
    return widen<Type>(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
  }
  template <uint32_t Type>
  static reg load_as_first(const void *base, int64_t i, int n) {
    if constexpr (Type == GK_F32) return _mm256_maskload_ps(static_cast<const float *>(base) + i, first_mask(n));
    alignas(16) uint16_t part[8] = {};
    for (int l = 0; l < n; ++l) part[l] = static_cast<const uint16_t *>(base)[i + l];
    return widen<Type>(_mm_load_si128(reinterpret_cast<const __m128i *>(part)));
  }
  // Rounds to nearest even; bit for bit as number.hpp.
  template <uint32_t Type>
  static void store_as(void *base, int64_t i, reg a) {
    if constexpr (Type == GK_F32) return _mm256_storeu_ps(static_cast<float *>(base) + i, a);
    auto *p = static_cast<uint16_t *>(base) + i;
    _mm_storeu_si128(reinterpret_cast<__m128i *>(p), narrow<Type>(a));
  }
  template <uint32_t Type>
  static void store_as_first(void *base, int64_t i, reg a, int n) {
    if constexpr (Type == GK_F32) return _mm256_maskstore_ps(static_cast<float *>(base) + i, first_mask(n), a);
    alignas(16) uint16_t part[8];
    _mm_store_si128(reinterpret_cast<__m128i *>(part), narrow<Type>(a));
    for (int l = 0; l < n; ++l) static_cast<uint16_t *>(base)[i + l] = part[l];
  }
  template <uint32_t Type>
  static reg round_to(reg a) {
    if constexpr (Type == GK_F32) return a;
    return widen<Type>(narrow<Type>(a));
  }

  // x[index[l]], each index in range of the caller's array; the lanes from n on are 0.
  template <uint32_t Type>
  static reg gather_first(const void *base, const int32_t *index, int n) {
    if constexpr (Type == GK_F32) {
      alignas(32) float picked[8] = {};
      for (int l = 0; l < n; ++l) picked[l] = static_cast<const float *>(base)[index[l]];
      return _mm256_load_ps(picked);
    }
    alignas(16) uint16_t picked[8] = {};
    for (int l = 0; l < n; ++l) picked[l] = static_cast<const uint16_t *>(base)[index[l]];
    return widen<Type>(_mm_load_si128(reinterpret_cast<const __m128i *>(picked)));
  }

  // a * 2^n for integral n; four factors, so that n of up to +-500 is right and only the last, where the result leaves
  // the range of normal numbers, can round. Beyond, n is taken as +-500: infinity or zero for any a.
  static reg scale(reg a, reg n) {
    const __m256i all = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_set1_ps(500), _mm256_max_ps(_mm256_set1_ps(-500), n)));
    const __m256i quarter = _mm256_srai_epi32(all, 2);
    const reg factor = power(quarter);
    a = _mm256_mul_ps(_mm256_mul_ps(a, factor), factor);
    return _mm256_mul_ps(_mm256_mul_ps(a, factor),
                         power(_mm256_sub_epi32(all, _mm256_mullo_epi32(quarter, _mm256_set1_epi32(3)))));
  }
  // The same where n and the result are within the normal numbers' exponents.
  static reg scale_normal(reg a, reg n) { return _mm256_mul_ps(a, power(_mm256_cvtps_epi32(n))); }
  static reg round(reg a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  // 2^x for -250 <= x <= 127, to 1 ulp (0.94 over all arguments); subnormal and zero results come out right. The
  // polynomial is a minimax fit of 2^f on [-1/2, 1/2] with relative error 2^-29.
  static reg exp2(reg x) {
    const __m256i n = _mm256_cvtps_epi32(x);
    const reg f = sub(x, _mm256_cvtepi32_ps(n));
    reg p = fma(set1(0x1.41fbbap-13f), f, set1(0x1.5f3e54p-10f));
    p = fma(p, f, set1(0x1.3b2d4cp-7f));
    p = fma(p, f, set1(0x1.c6aee8p-5f));
    p = fma(p, f, set1(0x1.ebfbdcp-3f));
    p = fma(p, f, set1(0x1.62e430p-1f));
    p = fma(p, f, set1(1));
    // Two factors: 2^n alone would leave the range of normal numbers below n = -126.
    const __m256i half = _mm256_srai_epi32(n, 1);
    return mul(mul(p, power(half)), power(_mm256_sub_epi32(n, half)));
  }

  // Swaps neighbouring lanes 2i and 2i + 1; both lanes of each pair take the even, or the odd one.
  static reg swap_pairs(reg a) { return _mm256_permute_ps(a, 0xb1); }
  static reg even_of_pairs(reg a) { return _mm256_moveldup_ps(a); }
  static reg odd_of_pairs(reg a) { return _mm256_movehdup_ps(a); }
  // a b - c in even lanes, a b + c in odd ones.
  static reg fma_subtract_add(reg a, reg b, reg c) { return _mm256_fmaddsub_ps(a, b, c); }
  // a = (x0 y0 x1 y1 ...), b the next 8 of the same: x and y apart.
  static void unzip(reg a, reg b, reg &x, reg &y) {
    const __m256 low = _mm256_permute2f128_ps(a, b, 0x20), high = _mm256_permute2f128_ps(a, b, 0x31);
    x = _mm256_shuffle_ps(low, high, 0x88);
    y = _mm256_shuffle_ps(low, high, 0xdd);
  }

  // Transposes an 8 x 8 block held in rows.
  static void transpose(reg (&r)[8]) {
    reg t[8];
    for (int i = 0; i < 8; i += 2) {
      t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
      t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
      for (int j = 0; j < 2; ++j) {
        r[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0x44);
        r[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0xee);
      }
    for (int j = 0; j < 4; ++j) {
      t[j] = _mm256_permute2f128_ps(r[j], r[j + 4], 0x20);
      t[j + 4] = _mm256_permute2f128_ps(r[j], r[j + 4], 0x31);
    }
    for (int j = 0; j < 8; ++j) r[j] = t[j];
  }

 private:
  static __m256i first_mask(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  // 2^n, -126 <= n <= 127.
  static reg power(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }

  template <uint32_t Type>
  static reg widen(__m128i h) {
    if constexpr (Type == GK_F16) return _mm256_cvtph_ps(h);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
  }
  template <uint32_t Type>
  static __m128i narrow(reg a) {
    if constexpr (Type == GK_F16) return _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m256i bits = _mm256_castps_si256(a);
    const __m256i upper = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
    const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
    const __m256i wide = _mm256_blendv_epi8(_mm256_srli_epi32(sum, 16), quiet, nan);
    return _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  }
};

}  // namespace
}  // namespace gonka::cpu
