// Eight 32-bit lanes of AVX2 with FMA and F16C. Include from *_avx2.cpp only; everything is local to the including
// file.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace gonka::cpu {
namespace {

struct lanes_avx2 {
  static constexpr int width = 8;
  using f32 = __m256;
  using i32 = __m256i;

  static void prefetch(const void *p) { _mm_prefetch(static_cast<const char *>(p), _MM_HINT_T0); }

  static f32 zero() { return _mm256_setzero_ps(); }
  static f32 set1(float v) { return _mm256_set1_ps(v); }
  static f32 load(const float *p) { return _mm256_loadu_ps(p); }
  static void store(float *p, f32 v) { _mm256_storeu_ps(p, v); }
  static f32 fma(f32 a, f32 b, f32 c) { return _mm256_fmadd_ps(a, b, c); }
  static f32 fnma(f32 a, f32 b, f32 c) { return _mm256_fnmadd_ps(a, b, c); }
  static f32 mul(f32 a, f32 b) { return _mm256_mul_ps(a, b); }
  static f32 add(f32 a, f32 b) { return _mm256_add_ps(a, b); }
  static f32 sub(f32 a, f32 b) { return _mm256_sub_ps(a, b); }
  static f32 div(f32 a, f32 b) { return _mm256_div_ps(a, b); }
  // NaN in b survives.
  static f32 min(f32 a, f32 b) { return _mm256_min_ps(a, b); }
  static f32 max(f32 a, f32 b) { return _mm256_max_ps(a, b); }
  static f32 round(f32 a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // a * 2^n for integers n in [-252, 254], in two steps because one exponent reaches only half as far.
  static f32 scale2(f32 a, f32 n) {
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    const auto power = [](__m256i e) {
      return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(e, _mm256_set1_epi32(127)), 23));
    };
    return mul(mul(a, power(half)), power(_mm256_sub_epi32(whole, half)));
  }

  static i32 zero_i() { return _mm256_setzero_si256(); }
  static i32 set1_i(int32_t v) { return _mm256_set1_epi32(v); }
  static i32 load_i(const void *p) { return _mm256_loadu_si256(static_cast<const __m256i *>(p)); }
  static void store_i(void *p, i32 v) { _mm256_storeu_si256(static_cast<__m256i *>(p), v); }
  static i32 add_i(i32 a, i32 b) { return _mm256_add_epi32(a, b); }
  static i32 sub_i(i32 a, i32 b) { return _mm256_sub_epi32(a, b); }
  static i32 xor_i(i32 a, i32 b) { return _mm256_xor_si256(a, b); }

  static i32 first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  // The first n elements; the rest 0. Nothing behind them is read.
  static f32 load_f32(const float *p, int n) { return _mm256_maskload_ps(p, first(n)); }
  static f32 load_f16(const uint16_t *p, int n) { return _mm256_cvtph_ps(load_u16(p, n)); }
  static f32 load_bf16(const uint16_t *p, int n) { return widen_bf16(load_u16(p, n)); }
  static i32 load_i32(const void *p, int n) { return _mm256_maskload_epi32(static_cast<const int *>(p), first(n)); }
  static void store_f32(float *p, f32 v, int n) { _mm256_maskstore_ps(p, first(n), v); }
  static void store_f16(uint16_t *p, f32 v, int n) {
    store_u16(p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), n);
  }
  static void store_bf16(uint16_t *p, f32 v, int n) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    store_u16(p, narrow(_mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16)), n);
  }
  static void store_i32(void *p, i32 v, int n) { _mm256_maskstore_epi32(static_cast<int *>(p), first(n), v); }

  static f32 widen_bf16(__m128i v) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16)); }
  static f32 load_f16(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i *>(p))); }
  static f32 load_bf16(const void *p) { return widen_bf16(_mm_loadu_si128(static_cast<const __m128i *>(p))); }

  // 32 bytes of which the first n are there; the rest 0.
  static i32 load_bytes(const void *p, int64_t n) {
    if (n >= 32) return load_i(p);
    alignas(32) uint8_t bytes[32] = {};
    std::memcpy(bytes, p, size_t(n));
    return load_i(bytes);
  }
  static i32 as_i32(f32 v) { return _mm256_castps_si256(v); }
  // Low and high half of every lane as 8 values of 16 bits.
  static void store_low16(void *p, i32 v) {
    _mm_storeu_si128(static_cast<__m128i *>(p), narrow(_mm256_and_si256(v, _mm256_set1_epi32(0xffff))));
  }
  static void store_high16(void *p, i32 v) {
    _mm_storeu_si128(static_cast<__m128i *>(p), narrow(_mm256_srli_epi32(v, 16)));
  }

  // r[i] lane j <-> r[j] lane i.
  static void transpose(i32 (&r)[8]) {
    i32 t[8];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
      t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      r[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
      r[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
      r[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
      r[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      t[c] = _mm256_permute2x128_si256(r[c], r[4 + c], 0x20);
      t[c + 4] = _mm256_permute2x128_si256(r[c], r[4 + c], 0x31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) r[i] = t[i];
  }

 private:
  // Lanes below 2^16 to eight values of 16 bits.
  static __m128i narrow(__m256i v) {
    return _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  }
  static __m128i load_u16(const uint16_t *p, int n) {
    if (n >= 8) return _mm_loadu_si128(reinterpret_cast<const __m128i *>(p));
    alignas(16) uint16_t values[8] = {};
    std::memcpy(values, p, size_t(n) * 2);
    return _mm_load_si128(reinterpret_cast<const __m128i *>(values));
  }
  static void store_u16(uint16_t *p, __m128i v, int n) {
    if (n >= 8) return _mm_storeu_si128(reinterpret_cast<__m128i *>(p), v);
    alignas(16) uint16_t values[8];
    _mm_store_si128(reinterpret_cast<__m128i *>(values), v);
    std::memcpy(p, values, size_t(n) * 2);
  }
};

}  // namespace
}  // namespace gonka::cpu
