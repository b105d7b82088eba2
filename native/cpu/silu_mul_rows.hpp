// silu(gate) * up over a simd type. Included by silu_mul_<isa>.cpp only.
#pragma once

#include "row_kernels.hpp"
#include "silu_mul/silu_mul.hpp"

namespace gonka::cpu {
namespace {

template <class V>
struct silu {
  using reg = typename V::reg;

  // x / (1 + exp(-x)) * up from e = exp(-|x|) <= 1: x * e / (1 + e) where x < 0, which cannot overflow on the way.
  // exp(-|x|) = p * 2^n by Cody-Waite reduction and a degree-6 minimax fit on [-ln 2 / 2, ln 2 / 2] (relative error
  // 2^-29); with rounding e is good to 1.2 ulp. Together below 7 half ulps.
  static reg times(reg x, reg up) {
    // Beyond 1000 e is zero all the same, and the reduction would lose its footing.
    const reg magnitude = V::min(V::set1(1000), V::max(x, V::sub(V::zero(), x)));
    const reg n = V::round(V::mul(magnitude, V::set1(-0x1.715476p+0f)));
    reg r = V::fnma(n, V::set1(0x1.62e430p-1f), V::sub(V::zero(), magnitude));
    r = V::fnma(n, V::set1(-0x1.05c610p-29f), r);
    reg p = V::fma(V::set1(0x1.6ae72cp-10f), r, V::set1(0x1.126784p-7f));
    p = V::fma(p, r, V::set1(0x1.555822p-5f));
    p = V::fma(p, r, V::set1(0x1.55541ap-3f));
    p = V::fma(p, r, V::set1(0x1.fffffcp-2f));
    p = V::fma(p, r, V::set1(1));
    p = V::fma(p, r, V::set1(1));
    const reg e = V::scale(p, n);
    const reg divisor = V::add(e, V::set1(1));
    const reg product = V::mul(V::div(V::choose_negative(x, V::mul(x, e), x), divisor), up);
    const reg edge = V::set1(-80);
    if (!V::any_greater(edge, x)) return product;

    // Below -80 e nears the end of F32's range while up may lift the product back into it: 2^n comes last. Up to 2^-100
    // of it comes before up, so that x * p * up cannot overflow.
    const reg lifted = V::mul(V::mul(V::mul(x, p), V::set1(0x1p-100f)), up);
    const reg late = V::scale(lifted, V::add(n, V::set1(100)));
    // Far below, zero of the right sign; -inf * 0 is the NaN that the definition gives.
    const reg zero = V::mul(V::mul(x, V::zero()), up);
    const reg low = V::choose_less(x, V::set1(-1000), zero, late);
    return V::choose_less(x, edge, low, product);
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
