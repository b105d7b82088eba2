// normal_fill, sixteen pairs at a time.
#include "simd_avx512.hpp"
// The vector types come first: they keep a compiler warning out of the intrinsics' header.
#include "normal_fill_lanes.hpp"

namespace gonka::cpu {
namespace {

struct normal_avx512 : lanes_avx512 {
  using f64 = __m512d;
  static i32 counting() { return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
  static i32 mul_i(i32 a, i32 b) { return _mm512_mullo_epi32(a, b); }
  static i32 and_i(i32 a, i32 b) { return _mm512_and_si512(a, b); }
  template <int N>
  static i32 rotl(i32 a) {
    return _mm512_maskz_rol_epi32(0xffff, a, N);
  }
  template <int N>
  static i32 shl(i32 a) {
    return _mm512_maskz_slli_epi32(0xffff, a, N);
  }
  template <int N>
  static i32 shr(i32 a) {
    return _mm512_maskz_srli_epi32(0xffff, a, N);
  }
  template <int N>
  static i32 sar(i32 a) {
    return _mm512_maskz_srai_epi32(0xffff, a, N);
  }
  static f32 as_f32(i32 a) { return _mm512_castsi512_ps(a); }
  static f32 to_f32(i32 a) { return _mm512_maskz_cvtepi32_ps(0xffff, a); }
  static f32 unsigned_to_f32(i32 a) { return _mm512_maskz_cvtepu32_ps(0xffff, a); }
  static i32 round_to_i32(f32 a) { return _mm512_maskz_cvtps_epi32(0xffff, a); }
  static f32 sqrt(f32 a) { return _mm512_maskz_sqrt_ps(0xffff, a); }
  static f32 select_odd(i32 n, f32 odd, f32 even) {
    return _mm512_mask_blend_ps(_mm512_test_epi32_mask(n, _mm512_set1_epi32(1)), even, odd);
  }
  static f64 low(f32 a) { return _mm512_maskz_cvtps_pd(0xff, _mm512_castps512_ps256(a)); }
  static f64 high(f32 a) { return _mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, a, 1)); }
  static f32 narrow(f64 low, f64 high) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_maskz_cvtpd_ps(0xff, low)),
                              _mm512_maskz_cvtpd_ps(0xff, high), 1);
  }
  static f64 set1_d(double v) { return _mm512_set1_pd(v); }
  static f64 load_d(const double *p) { return _mm512_loadu_pd(p); }
  static f64 add_d(f64 a, f64 b) { return _mm512_add_pd(a, b); }
  static f64 sub_d(f64 a, f64 b) { return _mm512_sub_pd(a, b); }
  static f64 mul_d(f64 a, f64 b) { return _mm512_mul_pd(a, b); }
  static f64 div_d(f64 a, f64 b) { return _mm512_div_pd(a, b); }
  static f64 fma_d(f64 a, f64 b, f64 c) { return _mm512_fmadd_pd(a, b, c); }
  static f64 fnma_d(f64 a, f64 b, f64 c) { return _mm512_fnmadd_pd(a, b, c); }
};

}  // namespace

const normal_kernels k_normal_avx512 = {murmur_lanes<normal_avx512>, convert_lanes<normal_avx512>};

}  // namespace gonka::cpu
