// Division of rows by their Euclidean norm over a simd type. Included by l2_normalize_<isa>.cpp only.
#pragma once

#include "l2_normalize/l2_normalize.hpp"
#include "row_kernels.hpp"

namespace gonka::cpu {
namespace {

template <class V, uint32_t Type>
void l2_normalize_of_type(const gk_l2_normalize &p, void *const *pointers, int64_t begin, int64_t end) {
  using reg = typename V::reg;
  constexpr int width = V::width;
  const void *source = pointers[k_l2_normalize_x];
  for (int64_t row = begin; row < end; ++row) {
    const int64_t x = row * p.ldx, y = row * p.ldy;
    reg sums[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
    int64_t c = 0;
    const auto square = [&](reg &into, reg a) { into = V::fma(a, a, into); };
    for (; c + 4 * width <= p.columns; c += 4 * width)
      for (int i = 0; i < 4; ++i) square(sums[i], V::template load_as<Type>(source, x + c + i * width));
    for (; c + width <= p.columns; c += width) square(sums[0], V::template load_as<Type>(source, x + c));
    if (c < p.columns) square(sums[1], V::template load_as_first<Type>(source, x + c, int(p.columns - c)));
    const double squares = double(V::reduce_add(V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3]))));
    // A product with the reciprocal costs one more rounding than a division and a tenth of the time. A zero divisor
    // makes it infinite and 0 * infinity is the NaN that 0 / 0 would be.
    const reg inverse = V::set1(float(1 / (__builtin_sqrt(squares) + double(p.eps))));
    for (c = 0; c + width <= p.columns; c += width)
      V::template store_as<Type>(pointers[k_l2_normalize_y], y + c,
                                 V::mul(V::template load_as<Type>(source, x + c), inverse));
    if (const int n = int(p.columns - c); n > 0)
      V::template store_as_first<Type>(pointers[k_l2_normalize_y], y + c,
                                       V::mul(V::template load_as_first<Type>(source, x + c, n), inverse), n);
  }
}

}  // namespace
}  // namespace gonka::cpu
