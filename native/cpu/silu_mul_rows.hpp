// silu(gate) * up over a simd type. Included by silu_mul_<isa>.cpp only.
#pragma once

#include "row_kernels.hpp"
#include "silu_mul/silu_mul.hpp"

namespace gonka::cpu {
namespace {

template <class V>
struct silu {
  using reg = typename V::reg;

  // exp(-magnitude) = p * 2^n by Cody-Waite reduction and a degree-6 minimax fit on [-ln 2 / 2, ln 2 / 2] (relative
  // error 2^-29); with rounding p is good to 1.2 ulp.
  static reg exponential(reg magnitude, reg &n) {
    n = V::round(V::mul(magnitude, V::set1(-0x1.715476p+0f)));
    reg r = V::fnma(n, V::set1(0x1.62e430p-1f), V::sub(V::zero(), magnitude));
    r = V::fnma(n, V::set1(-0x1.05c610p-29f), r);
    reg p = V::fma(V::set1(0x1.6ae72cp-10f), r, V::set1(0x1.126784p-7f));
    p = V::fma(p, r, V::set1(0x1.555822p-5f));
    p = V::fma(p, r, V::set1(0x1.55541ap-3f));
    p = V::fma(p, r, V::set1(0x1.fffffcp-2f));
    p = V::fma(p, r, V::set1(1));
    return V::fma(p, r, V::set1(1));
  }

  // x / (1 + exp(-x)) * up from e = exp(-|x|) <= 1: x * e / (1 + e) where x < 0, which cannot overflow on the way.
  // Together below 7 half ulps.
  static reg times(reg x, reg up) {
    const reg magnitude = V::max(x, V::sub(V::zero(), x));
    reg n;
    // From 87 on e is below 2^-125 and adds nothing to 1; x < -80 is dealt with below.
    const reg p = exponential(V::min(V::set1(87), magnitude), n);
    const reg e = V::scale_normal(p, n);
    const reg factor = V::choose_negative(x, V::mul(x, e), x);
    const reg product = V::mul(V::div(factor, V::add(e, V::set1(1))), up);
    const reg edge = V::set1(-80);
    return V::any_greater(edge, x) ? V::choose_less(x, edge, low(x, magnitude, up), product) : product;
  }

  // x < -80: 1 + e is 1, and e nears the end of F32's range while up may lift the product back into it. So 2^n comes
  // last, but for 2^-100 of it that keeps x * p * up from overflowing.
  static reg low(reg x, reg magnitude, reg up) {
    reg n;
    const reg p = exponential(V::min(V::set1(1000), magnitude), n);
    const reg lifted = V::mul(V::mul(V::mul(x, p), V::set1(0x1p-100f)), up);
    const reg late = V::scale(lifted, V::add(n, V::set1(100)));
    // Far below, zero of the right sign; -inf * 0 is the NaN that the definition gives.
    return V::choose_less(x, V::set1(-1000), V::mul(V::mul(x, V::zero()), up), late);
  }
};

template <class V, uint32_t Type>
void silu_mul_of_type(const gk_silu_mul &p, void *const *pointers, int64_t begin, int64_t end) {
  const void *gate = pointers[k_silu_mul_gate], *up = pointers[k_silu_mul_up];
  for (int64_t row = begin; row < end; ++row) {
    const int64_t g = row * p.ld_gate, u = row * p.ld_up, o = row * p.ldo;
    int64_t c = 0;
    for (; c + V::width <= p.columns; c += V::width)
      V::template store_as<Type>(
          pointers[k_silu_mul_out], o + c,
          silu<V>::times(V::template load_as<Type>(gate, g + c), V::template load_as<Type>(up, u + c)));
    if (const int n = int(p.columns - c); n > 0)
      V::template store_as_first<Type>(pointers[k_silu_mul_out], o + c,
                                       silu<V>::times(V::template load_as_first<Type>(gate, g + c, n),
                                                      V::template load_as_first<Type>(up, u + c, n)),
                                       n);
  }
}

}  // namespace
}  // namespace gonka::cpu
