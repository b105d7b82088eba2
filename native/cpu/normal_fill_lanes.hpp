// The kernels of normal_fill over a vector type V. Included by one file per instruction set; everything is in an
// unnamed namespace so that no copy leaks.
//
// log, sin and cos are evaluated in F64 and rounded once to F32: short polynomials then give the correctly rounded F32
// value but for one argument in some thousands, where F32 polynomials would be off by an ulp in one of twenty. The
// conversions cost less than the double-F32 arithmetic that the same accuracy would take.
//
// V: the members of lanes_avx2 / lanes_avx512 used here, and f64 (half as many lanes) with widen, narrow and
// arithmetic.
#pragma once

#include "normal_fill.hpp"

namespace gonka::cpu {
namespace {

template <class V>
typename V::i32 murmur3_lanes(typename V::i32 key, typename V::i32 seed) {
  using i32 = typename V::i32;
  const auto c = [](uint32_t v) { return V::set1_i(int32_t(v)); };
  const i32 k = V::mul_i(V::template rotl<15>(V::mul_i(key, c(0xcc9e2d51))), c(0x1b873593));
  i32 h = V::template rotl<13>(V::xor_i(seed, k));
  h = V::add_i(V::add_i(h, V::template shl<2>(h)), c(0xe6546b64));  // h * 5 + ..
  h = V::mul_i(V::xor_i(h, V::template shr<16>(h)), c(0x85ebca6b));
  h = V::mul_i(V::xor_i(h, V::template shr<13>(h)), c(0xc2b2ae35));
  return V::xor_i(h, V::template shr<16>(h));
}

// Horner's scheme, highest power first.
template <class V, class... More>
typename V::f64 polynomial(typename V::f64 x, double highest, More... more) {
  typename V::f64 sum = V::set1_d(highest);
  ((sum = V::fma_d(sum, x, V::set1_d(more))), ...);
  return sum;
}

// log(2^exponent (1 + f)) with 1 + f in [sqrt(1/2), sqrt(2)): 2 atanh(f / (2 + f)), next term below 2^-39 relative.
template <class V>
typename V::f64 log_part(typename V::f64 mantissa, typename V::f64 exponent) {
  using f64 = typename V::f64;
  const f64 f = V::sub_d(mantissa, V::set1_d(1));
  const f64 s = V::div_d(f, V::add_d(mantissa, V::set1_d(1)));
  const f64 z = V::mul_d(s, s);
  const f64 series = polynomial<V>(z, 2.0 / 13, 2.0 / 11, 2.0 / 9, 2.0 / 7, 2.0 / 5, 2.0 / 3, 2.0);
  return V::fma_d(exponent, V::set1_d(0.6931471805599453), V::mul_d(s, series));
}

template <class V>
struct sine_cosine {
  typename V::f64 sine, cosine;
};

// Of the angle less a quarter turn times `quarter`, which leaves at most a little over an eighth of a turn.
template <class V>
sine_cosine<V> sine_cosine_part(typename V::f64 angle, typename V::f64 quarter) {
  using f64 = typename V::f64;
  f64 r = V::fnma_d(quarter, V::set1_d(1.5707963267948966), angle);
  r = V::fnma_d(quarter, V::set1_d(6.123233995736766e-17), r);
  const f64 z = V::mul_d(r, r);
  const f64 sine = polynomial<V>(z, -1.0 / 39916800, 1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6);
  const f64 cosine = polynomial<V>(z, 1.0 / 479001600, -1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24, -0.5, 1.0);
  return {V::fma_d(V::mul_d(sine, z), r, r), cosine};
}

// Both values of V::width pairs, unscaled.
template <class V>
void box_muller(typename V::f32 u1, typename V::f32 u2, typename V::f32 &first, typename V::f32 &second) {
  using f32 = typename V::f32;
  using i32 = typename V::i32;
  const i32 bits = V::as_i32(u1);
  const i32 above = V::sub_i(bits, V::set1_i(0x3f3504f3));  // relative to sqrt(1/2)
  const f32 mantissa = V::as_f32(V::sub_i(bits, V::and_i(above, V::set1_i(int32_t(0xff800000)))));
  const f32 exponent = V::to_f32(V::template sar<23>(above));
  const f32 log =
      V::narrow(log_part<V>(V::low(mantissa), V::low(exponent)), log_part<V>(V::high(mantissa), V::high(exponent)));
  const f32 radius = V::sqrt(V::mul(log, V::set1(-2)));

  const f32 angle = V::mul(u2, V::set1(k_two_pi));
  const i32 quarter = V::round_to_i32(V::mul(angle, V::set1(0.63661977f)));
  const f32 turns = V::to_f32(quarter);
  const sine_cosine<V> low = sine_cosine_part<V>(V::low(angle), V::low(turns));
  const sine_cosine<V> high = sine_cosine_part<V>(V::high(angle), V::high(turns));
  const f32 sine = V::narrow(low.sine, high.sine), cosine = V::narrow(low.cosine, high.cosine);
  // Odd quarters swap the two; the sine changes sign in quarters 2 and 3, the cosine in 1 and 2.
  const i32 sine_sign = V::template shl<30>(V::and_i(quarter, V::set1_i(2)));
  const i32 cosine_sign = V::template shl<30>(V::and_i(V::add_i(quarter, V::set1_i(1)), V::set1_i(2)));
  const f32 cos_part = V::select_odd(quarter, sine, cosine), sin_part = V::select_odd(quarter, cosine, sine);
  first = V::mul(radius, V::as_f32(V::xor_i(V::as_i32(cos_part), cosine_sign)));
  second = V::mul(radius, V::as_f32(V::xor_i(V::as_i32(sin_part), sine_sign)));
}

template <class V>
void store_as(uint32_t type, void *out, int64_t index, typename V::f32 v, int count) {
  if (type == GK_F32) return V::store_f32(static_cast<float *>(out) + index, v, count);
  if (type == GK_F16) return V::store_f16(static_cast<uint16_t *>(out) + index, v, count);
  V::store_bf16(static_cast<uint16_t *>(out) + index, v, count);
}

template <class V>
typename V::f32 uniform_lanes(uint32_t key, typename V::i32 seed) {
  const typename V::i32 keys = V::add_i(V::set1_i(int32_t(key)), V::counting());
  return V::mul(V::unsigned_to_f32(murmur3_lanes<V>(keys, seed)), V::set1(0x1p-32f));
}

template <class V>
void murmur_lanes(const murmur_block &b) {
  using f32 = typename V::f32;
  const int64_t pairs = (b.count + 1) / 2;
  const typename V::i32 seed = V::set1_i(int32_t(b.seed));
  const f32 sigma = V::set1(b.sigma);
  const auto clamp = [](int64_t n) { return int(n < 0 ? 0 : n > V::width ? V::width : n); };
  for (int64_t i = b.begin; i < b.end; i += V::width) {
    const f32 u1 = V::max(uniform_lanes<V>(uint32_t(i), seed), V::set1(k_smallest_u1));
    const f32 u2 = uniform_lanes<V>(uint32_t(pairs + i), seed);
    f32 first, second;
    box_muller<V>(u1, u2, first, second);
    store_as<V>(b.type, b.out, i, V::mul(first, sigma), clamp(b.end - i));
    store_as<V>(b.type, b.out, pairs + i, V::mul(second, sigma),
                clamp((b.end < b.count - pairs ? b.end : b.count - pairs) - i));
  }
}

template <class V>
void convert_lanes(const double *values, int64_t count, double sigma, uint32_t type, void *out) {
  int64_t i = 0;
  if (type == GK_F64) {
    for (; i < count; ++i) static_cast<double *>(out)[i] = sigma * values[i];
    return;
  }
  const typename V::f64 factor = V::set1_d(sigma);
  for (; i + V::width <= count; i += V::width)
    store_as<V>(
        type, out, i,
        V::narrow(V::mul_d(V::load_d(values + i), factor), V::mul_d(V::load_d(values + i + V::width / 2), factor)),
        V::width);
  if (i == count) return;
  double rest[V::width] = {};
  for (int64_t j = i; j < count; ++j) rest[j - i] = values[j];
  store_as<V>(type, out, i,
              V::narrow(V::mul_d(V::load_d(rest), factor), V::mul_d(V::load_d(rest + V::width / 2), factor)),
              int(count - i));
}

}  // namespace
}  // namespace gonka::cpu
