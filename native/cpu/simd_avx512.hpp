// Sixteen 32-bit lanes of AVX-512. Include from *_avx512*.cpp only; everything is local to the including file.
#pragma once

// gcc 12 takes its own _mm*_undefined_* for a use of an uninitialised value (gcc bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cstdint>

namespace gonka::cpu {
namespace {

struct lanes_avx512 {
  static constexpr int width = 16;
  using f32 = __m512;
  using i32 = __m512i;

  static __mmask16 first(int n) { return __mmask16(_bzhi_u32(0xffff, uint32_t(n))); }

  static void prefetch(const void *p) { _mm_prefetch(static_cast<const char *>(p), _MM_HINT_T0); }

  static f32 zero() { return _mm512_setzero_ps(); }
  static f32 set1(float v) { return _mm512_set1_ps(v); }
  static f32 load(const float *p) { return _mm512_loadu_ps(p); }
  static void store(float *p, f32 v) { _mm512_storeu_ps(p, v); }
  static f32 fma(f32 a, f32 b, f32 c) { return _mm512_fmadd_ps(a, b, c); }
  static f32 fnma(f32 a, f32 b, f32 c) { return _mm512_fnmadd_ps(a, b, c); }
  static f32 mul(f32 a, f32 b) { return _mm512_mul_ps(a, b); }
  static f32 add(f32 a, f32 b) { return _mm512_add_ps(a, b); }
  static f32 sub(f32 a, f32 b) { return _mm512_sub_ps(a, b); }
  static f32 div(f32 a, f32 b) { return _mm512_div_ps(a, b); }
  // NaN in b survives.
  static f32 min(f32 a, f32 b) { return _mm512_min_ps(a, b); }
  static f32 max(f32 a, f32 b) { return _mm512_max_ps(a, b); }
  static f32 round(f32 a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static f32 scale2(f32 a, f32 n) { return _mm512_scalef_ps(a, n); }  // a * 2^n

  static i32 zero_i() { return _mm512_setzero_si512(); }
  static i32 set1_i(int32_t v) { return _mm512_set1_epi32(v); }
  static i32 load_i(const void *p) { return _mm512_loadu_si512(p); }
  static void store_i(void *p, i32 v) { _mm512_storeu_si512(p, v); }
  static i32 add_i(i32 a, i32 b) { return _mm512_add_epi32(a, b); }
  static i32 sub_i(i32 a, i32 b) { return _mm512_sub_epi32(a, b); }
  static i32 xor_i(i32 a, i32 b) { return _mm512_xor_si512(a, b); }

  // The first n elements; the rest 0. Nothing behind them is read.
  static f32 load_f32(const float *p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static f32 load_f16(const uint16_t *p, int n) { return widen_f16(_mm256_maskz_loadu_epi16(first(n), p)); }
  static f32 load_bf16(const uint16_t *p, int n) { return widen_bf16(_mm256_maskz_loadu_epi16(first(n), p)); }
  static i32 load_i32(const void *p, int n) { return _mm512_maskz_loadu_epi32(first(n), p); }
  static void store_f32(float *p, f32 v, int n) { _mm512_mask_storeu_ps(p, first(n), v); }
  static void store_f16(uint16_t *p, f32 v, int n) {
    _mm256_mask_storeu_epi16(p, first(n), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static void store_bf16(uint16_t *p, f32 v, int n) {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    const __m512i result = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
    _mm256_mask_storeu_epi16(p, first(n), _mm512_cvtepi32_epi16(_mm512_srli_epi32(result, 16)));
  }
  static void store_i32(void *p, i32 v, int n) { _mm512_mask_storeu_epi32(p, first(n), v); }

  static f32 widen_f16(__m256i v) { return _mm512_cvtph_ps(v); }
  static f32 widen_bf16(__m256i v) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16)); }
  static f32 load_f16(const void *p) { return widen_f16(_mm256_loadu_si256(static_cast<const __m256i *>(p))); }
  static f32 load_bf16(const void *p) { return widen_bf16(_mm256_loadu_si256(static_cast<const __m256i *>(p))); }

  // 64 bytes of which the first n are there; the rest 0.
  static i32 load_bytes(const void *p, int64_t n) {
    return n >= 64 ? load_i(p) : _mm512_maskz_loadu_epi8(_bzhi_u64(~uint64_t(0), uint32_t(n)), p);
  }
  static i32 as_i32(f32 v) { return _mm512_castps_si512(v); }
  // Low and high half of every lane as 16 values of 16 bits.
  static void store_low16(void *p, i32 v) { _mm256_storeu_si256(static_cast<__m256i *>(p), _mm512_cvtepi32_epi16(v)); }
  static void store_high16(void *p, i32 v) { store_low16(p, _mm512_srli_epi32(v, 16)); }

  // r[i] lane j <-> r[j] lane i.
  static void transpose(i32 (&r)[16]) {
    i32 t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
      t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
      r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
      r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
      r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    // r[4 q + c]: rows 4q..4q+3 of columns c, c + 4, c + 8, c + 12, one per 128-bit quarter.
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const i32 low01 = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x88), high01 = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xdd);
      const i32 low23 = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x88);
      const i32 high23 = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xdd);
      t[c] = _mm512_shuffle_i32x4(low01, low23, 0x88);
      t[c + 4] = _mm512_shuffle_i32x4(high01, high23, 0x88);
      t[c + 8] = _mm512_shuffle_i32x4(low01, low23, 0xdd);
      t[c + 12] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) r[i] = t[i];
  }
};

}  // namespace
}  // namespace gonka::cpu
