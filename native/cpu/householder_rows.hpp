// Householder reflection of rows over a simd type. Included by householder_<isa>.cpp and rms_norm_<isa>.cpp
// only.
#pragma once

#include "householder/householder.hpp"
#include "row_kernels.hpp"

namespace gonka::cpu {
namespace {

template <class V, uint32_t Type>
struct householder_rows {
  using reg = typename V::reg;
  static constexpr int k_width = V::width;

  static float rounded(double value) {
    float lanes[k_width];
    V::store(lanes, V::template round_to<Type>(V::set1(float(value))));
    return lanes[0];
  }

  // x . v: F32 with four partial sums; half types from rounded products in F64, see householder.hpp.
  static double dot(const void *x, const void *v, int64_t row, int64_t columns) {
    int64_t c = 0;
    const auto full = [&](int64_t at) {
      return V::template round_to<Type>(
          V::mul(V::template load_as<Type>(x, row + at), V::template load_as<Type>(v, at)));
    };
    const auto tail = [&](int64_t at, int n) {
      return V::template round_to<Type>(
          V::mul(V::template load_as_first<Type>(x, row + at, n), V::template load_as_first<Type>(v, at, n)));
    };
    if constexpr (Type == GK_F32) {
      reg sums[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
      for (; c + 4 * k_width <= columns; c += 4 * k_width)
        for (int i = 0; i < 4; ++i)
          sums[i] = V::fma(V::template load_as<Type>(x, row + c + i * k_width),
                           V::template load_as<Type>(v, c + i * k_width), sums[i]);
      for (; c + k_width <= columns; c += k_width) sums[0] = V::add(sums[0], full(c));
      if (c < columns) sums[1] = V::add(sums[1], tail(c, int(columns - c)));
      return double(V::reduce_add(V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3]))));
    } else {
      typename V::reg_f64 sums[2][2] = {{V::zero_f64(), V::zero_f64()}, {V::zero_f64(), V::zero_f64()}};
      for (; c + 2 * k_width <= columns; c += 2 * k_width)
        for (int i = 0; i < 2; ++i) V::add_f64(sums[i], full(c + i * k_width));
      for (; c + k_width <= columns; c += k_width) V::add_f64(sums[0], full(c));
      if (c < columns) V::add_f64(sums[1], tail(c, int(columns - c)));
      return V::reduce_f64(sums[0]) + V::reduce_f64(sums[1]);
    }
  }

  static void run(const gk_householder &p, void *const *pointers, int64_t begin, int64_t end) {
    void *const x = pointers[k_householder_x];
    const void *v = pointers[k_householder_v];
    for (int64_t r = begin; r < end; ++r) {
      const int64_t row = r * p.ldx;
      const reg twice = V::set1(rounded(2.0 * double(rounded(dot(x, v, row, p.columns)))));
      const auto reflected = [&](reg a, reg b) {
        if constexpr (Type == GK_F32) return V::fnma(twice, b, a);
        return V::sub(a, V::template round_to<Type>(V::mul(twice, b)));
      };
      int64_t c = 0;
      for (; c + k_width <= p.columns; c += k_width)
        V::template store_as<Type>(x, row + c,
                                   reflected(V::template load_as<Type>(x, row + c), V::template load_as<Type>(v, c)));
      if (const int n = int(p.columns - c); n > 0)
        V::template store_as_first<Type>(
            x, row + c,
            reflected(V::template load_as_first<Type>(x, row + c, n), V::template load_as_first<Type>(v, c, n)), n);
    }
  }
};

template <class V, uint32_t Type>
void householder_of_type(const gk_householder &p, void *const *pointers, int64_t begin, int64_t end) {
  householder_rows<V, Type>::run(p, pointers, begin, end);
}

}  // namespace
}  // namespace gonka::cpu
