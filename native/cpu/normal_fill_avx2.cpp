// normal_fill, eight pairs at a time.
#include "normal_fill_lanes.hpp"
#include "simd_avx2.hpp"

namespace gonka::cpu {
namespace {

struct normal_avx2 : lanes_avx2 {
  using f64 = __m256d;
  static i32 counting() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
  static i32 mul_i(i32 a, i32 b) { return _mm256_mullo_epi32(a, b); }
  static i32 and_i(i32 a, i32 b) { return _mm256_and_si256(a, b); }
  static i32 as_i32(f32 a) { return _mm256_castps_si256(a); }
  template <int N>
  static i32 rotl(i32 a) {
    return _mm256_or_si256(_mm256_slli_epi32(a, N), _mm256_srli_epi32(a, 32 - N));
  }
  template <int N>
  static i32 shl(i32 a) {
    return _mm256_slli_epi32(a, N);
  }
  template <int N>
  static i32 shr(i32 a) {
    return _mm256_srli_epi32(a, N);
  }
  template <int N>
  static i32 sar(i32 a) {
    return _mm256_srai_epi32(a, N);
  }
  static f32 as_f32(i32 a) { return _mm256_castsi256_ps(a); }
  static f32 to_f32(i32 a) { return _mm256_cvtepi32_ps(a); }
  // There is no unsigned conversion: the upper half is exact, and so is its product, so the sum rounds once.
  static f32 unsigned_to_f32(i32 a) {
    return _mm256_fmadd_ps(to_f32(shr<16>(a)), _mm256_set1_ps(65536), to_f32(and_i(a, _mm256_set1_epi32(0xffff))));
  }
  static i32 round_to_i32(f32 a) { return _mm256_cvtps_epi32(a); }
  static f32 sqrt(f32 a) { return _mm256_sqrt_ps(a); }
  static f32 select_odd(i32 n, f32 odd, f32 even) {
    return _mm256_blendv_ps(even, odd, _mm256_castsi256_ps(shl<31>(n)));
  }
  static f64 low(f32 a) { return _mm256_cvtps_pd(_mm256_castps256_ps128(a)); }
  static f64 high(f32 a) { return _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)); }
  static f32 narrow(f64 low, f64 high) { return _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low)); }
  static f64 set1_d(double v) { return _mm256_set1_pd(v); }
  static f64 load_d(const double *p) { return _mm256_loadu_pd(p); }
  static f64 add_d(f64 a, f64 b) { return _mm256_add_pd(a, b); }
  static f64 sub_d(f64 a, f64 b) { return _mm256_sub_pd(a, b); }
  static f64 mul_d(f64 a, f64 b) { return _mm256_mul_pd(a, b); }
  static f64 div_d(f64 a, f64 b) { return _mm256_div_pd(a, b); }
  static f64 fma_d(f64 a, f64 b, f64 c) { return _mm256_fmadd_pd(a, b, c); }
  static f64 fnma_d(f64 a, f64 b, f64 c) { return _mm256_fnmadd_pd(a, b, c); }
};

}  // namespace

const normal_kernels k_normal_avx2 = {murmur_lanes<normal_avx2>, convert_lanes<normal_avx2>};

}  // namespace gonka::cpu
