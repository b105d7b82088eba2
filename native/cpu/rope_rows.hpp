// Rotary position embedding of tokens over a simd type. Included by rope_<isa>.cpp only.
#pragma once

#include "rope/rope.hpp"
#include "row_kernels.hpp"

namespace gonka::cpu {
namespace {

template <class V, uint32_t Type>
struct rope_rows {
  using reg = typename V::reg;
  static constexpr int k_width = V::width;

  static reg load(const void *x, int64_t at, int n) {
    return n == k_width ? V::template load_as<Type>(x, at) : V::template load_as_first<Type>(x, at, n);
  }
  static void store(void *x, int64_t at, reg a, int n) {
    n == k_width ? V::template store_as<Type>(x, at, a) : V::template store_as_first<Type>(x, at, a, n);
  }

  // Elements [2i, 2i + n) of every head of the token; angle: (cos, sin) of pair i on.
  static void adjacent(const gk_rope &p, void *x, int64_t token, int64_t d, const float *angle, int n) {
    const reg both = n == k_width ? V::load(angle) : V::template load_as_first<GK_F32>(angle, 0, n);
    const reg cosine = V::even_of_pairs(both), sine = V::odd_of_pairs(both);
    for (int64_t h = 0; h < p.heads; ++h) {
      const int64_t at = token + h * p.head_stride + d;
      const reg a = load(x, at, n);
      store(x, at, V::fma_subtract_add(a, cosine, V::mul(V::swap_pairs(a), sine)), n);
    }
  }

  // Pairs [i, i + n) of every head of the token.
  static void half(const gk_rope &p, void *x, int64_t token, int64_t i, const float *angle, int n) {
    const int low = 2 * n < k_width ? 2 * n : k_width;
    reg cosine, sine;
    V::unzip(V::template load_as_first<GK_F32>(angle, 0, low),
             V::template load_as_first<GK_F32>(angle, low, 2 * n - low), cosine, sine);
    for (int64_t h = 0; h < p.heads; ++h) {
      const int64_t first = token + h * p.head_stride + i, second = first + p.rotary_dim / 2;
      const reg a = load(x, first, n), b = load(x, second, n);
      store(x, first, V::fnma(b, sine, V::mul(a, cosine)), n);
      store(x, second, V::fma(a, sine, V::mul(b, cosine)), n);
    }
  }

  static void run(const gk_rope &p, void *const *pointers, int64_t begin, int64_t end) {
    void *const x = pointers[k_rope_x];
    const auto *positions = static_cast<const int32_t *>(pointers[k_rope_positions]);
    if (p.heads == 0 || p.rotary_dim == 0) return;
    for (int64_t t = begin; t < end; ++t) {
      const float *angles = static_cast<const float *>(pointers[k_rope_table]) + int64_t(positions[t]) * p.rotary_dim;
      const int64_t count = p.layout == GK_ROPE_ADJACENT ? p.rotary_dim : p.rotary_dim / 2;
      for (int64_t i = 0; i < count; i += k_width) {
        const int n = int(count - i < k_width ? count - i : k_width);
        if (p.layout == GK_ROPE_ADJACENT)
          adjacent(p, x, t * p.token_stride, i, angles + i, n);
        else
          half(p, x, t * p.token_stride, i, angles + 2 * i, n);
      }
    }
  }
};

template <class V, uint32_t Type>
void rope_of_type(const gk_rope &p, void *const *pointers, int64_t begin, int64_t end) {
  rope_rows<V, Type>::run(p, pointers, begin, end);
}

}  // namespace
}  // namespace gonka::cpu
