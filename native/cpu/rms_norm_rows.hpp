// RMS normalisation of rows over a simd type. Included by rms_norm_<isa>.cpp only.
#pragma once

#include "householder_rows.hpp"
#include "rms_norm/rms_norm.hpp"
#include "row_kernels.hpp"

namespace gonka::cpu {
namespace {

template <class V, uint32_t Type, uint32_t WeightType>
struct rms_norm_rows {
  using reg = typename V::reg;
  static constexpr int k_width = V::width;

  // Sum of squares; with a residual, of the rounded sums, which are written. Four sums keep the additions' latency
  // hidden and the rounding error at a 64th (AVX2: 32nd) of the row's length.
  static double squares(const gk_rms_norm &p, void *const *pointers, int64_t row) {
    const int64_t x = row * p.ldx, residual = row * p.ld_residual, sum = row * p.ld_sum;
    const bool add = pointers[k_rms_norm_residual] != nullptr;
    reg sums[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
    int64_t c = 0;
    const auto full = [&](reg &into, int64_t at) {
      reg a = V::template load_as<Type>(pointers[k_rms_norm_x], x + at);
      if (add) {
        a = V::template round_to<Type>(
            V::add(a, V::template load_as<Type>(pointers[k_rms_norm_residual], residual + at)));
        V::template store_as<Type>(pointers[k_rms_norm_sum], sum + at, a);
      }
      into = V::fma(a, a, into);
    };
    for (; c + 4 * k_width <= p.columns; c += 4 * k_width)
      for (int i = 0; i < 4; ++i) full(sums[i], c + i * k_width);
    for (; c + k_width <= p.columns; c += k_width) full(sums[0], c);
    if (const int n = int(p.columns - c); n > 0) {
      reg a = V::template load_as_first<Type>(pointers[k_rms_norm_x], x + c, n);
      if (add) {
        a = V::template round_to<Type>(
            V::add(a, V::template load_as_first<Type>(pointers[k_rms_norm_residual], residual + c, n)));
        V::template store_as_first<Type>(pointers[k_rms_norm_sum], sum + c, a, n);
      }
      sums[1] = V::fma(a, a, sums[1]);
    }
    return double(V::reduce_add(V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3]))));
  }

  // Writes the row of sum, reflected, and gives the sum of its squares.
  static double reflected_squares(const gk_rms_norm &p, void *const *pointers, int64_t row) {
    void *const sum = static_cast<char *>(pointers[k_rms_norm_sum]) + row * p.ld_sum * int64_t(dtype_size(Type));
    if (pointers[k_rms_norm_residual] != nullptr)
      squares(p, pointers, row);
    else
      __builtin_memmove(sum, static_cast<char *>(pointers[k_rms_norm_x]) + row * p.ldx * int64_t(dtype_size(Type)),
                        size_t(p.columns) * dtype_size(Type));
    gk_householder reflection{};
    reflection.rows = 1;
    reflection.columns = reflection.ldx = p.columns;
    void *const row_and_v[] = {sum, pointers[k_rms_norm_reflector]};
    householder_rows<V, Type>::run(reflection, row_and_v, 0, 1);
    gk_rms_norm of_sum = p;
    of_sum.ldx = 0;
    void *const operands[] = {sum, nullptr, nullptr, nullptr, nullptr, nullptr};
    return squares(of_sum, operands, 0);
  }

  static void run(const gk_rms_norm &p, void *const *pointers, int64_t begin, int64_t end) {
    const bool from_sum = pointers[k_rms_norm_sum] != nullptr;
    const void *source = pointers[from_sum ? k_rms_norm_sum : k_rms_norm_x];
    const void *w = pointers[k_rms_norm_w];
    for (int64_t row = begin; row < end; ++row) {
      const double sum =
          pointers[k_rms_norm_reflector] != nullptr ? reflected_squares(p, pointers, row) : squares(p, pointers, row);
      const double root = __builtin_sqrt(sum / double(p.columns) + double(p.eps));
      const reg inverse = V::set1(float(1 / root));
      const int64_t x = row * (from_sum ? p.ld_sum : p.ldx), y = row * p.ldy;
      const auto scaled = [&](reg a) {
        a = V::mul(a, inverse);
        return p.round_before_weight != 0 ? V::template round_to<Type>(a) : a;
      };
      int64_t c = 0;
      for (; c + k_width <= p.columns; c += k_width) {
        const reg a = scaled(V::template load_as<Type>(source, x + c));
        V::template store_as<Type>(pointers[k_rms_norm_y], y + c, V::mul(a, V::template load_as<WeightType>(w, c)));
      }
      if (const int n = int(p.columns - c); n > 0) {
        const reg a = scaled(V::template load_as_first<Type>(source, x + c, n));
        V::template store_as_first<Type>(pointers[k_rms_norm_y], y + c,
                                         V::mul(a, V::template load_as_first<WeightType>(w, c, n)), n);
      }
    }
  }
};

template <class V, uint32_t Type>
void rms_norm_of_type(const gk_rms_norm &p, void *const *pointers, int64_t begin, int64_t end) {
  switch (p.w_type) {
    case GK_F32:
      return rms_norm_rows<V, Type, GK_F32>::run(p, pointers, begin, end);
    case GK_F16:
      return rms_norm_rows<V, Type, GK_F16>::run(p, pointers, begin, end);
    default:
      return rms_norm_rows<V, Type, GK_BF16>::run(p, pointers, begin, end);
  }
}

}  // namespace
}  // namespace gonka::cpu
