// Blocked attention over a simd type, after FlashAttention (arXiv 2205.14135) and online softmax (arXiv 1805.02867).
//
// Per block of keys: K is packed transposed into panels of two vectors of keys, V into panels of two vectors of
// head_dim, both widened to F32, so that Q K^T and P V are the same outer-product kernel: broadcasts of the left
// operand times loads of the right. Rows go through in groups of up to k_group; a group's scores stay in L1, the packed
// block and the output rows in L2. Included by attention_<isa>.cpp only; in an unnamed namespace because of that.
#pragma once

#include "attention_plan.hpp"

namespace gonka::cpu {
namespace {

// Exponents (base 2) may exceed the row's reference maximum by this much before the row is rescaled: most blocks then
// need neither a horizontal maximum nor a rescaling, and 2^8 times any number of keys is far from overflow.
constexpr float k_slack = 8;
constexpr float k_minus_infinity = -__builtin_inff();

template <class V, uint32_t Type, int MaxDim>
struct attention_kernel {
  using reg = typename V::reg;
  static constexpr int k_width = V::width;
  static constexpr int k_panel = 2 * V::width;
  // Accumulators are group x 2; with the two right operands and a broadcast they fill the register file.
  static constexpr int k_group = V::registers == 32 ? 12 : 6;
  // Row strides are constants, so that every row is one base register and a displacement; the extra 16 keep rows off
  // each other's cache sets.
  static constexpr int k_ld = MaxDim + 16;
  static constexpr int k_ld_scores = k_attention_block_keys + 16;

  const gk_attention &p;
  void *const *pointers;
  attention_task task;
  int64_t group, begin_q, begin_k, seqlen_q, seqlen_k, block;
  int dim, padded_dim;
  float *keys, *values, *queries, *outputs, *scores, *sums, *maxima;

  static int64_t rounded(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

  static uint64_t scratch_floats(const gk_attention &p, const attention_plan &plan) {
    const int64_t rows = plan.rows + k_group;
    return uint64_t(plan.block_keys) * uint64_t(p.head_dim + rounded(p.head_dim, k_width)) +
           uint64_t(rows) * (2 * k_ld + k_width + 1) + uint64_t(k_group) * k_ld_scores + 64;
  }

  attention_kernel(const gk_attention &problem, void *const *operands, const attention_plan &plan,
                   const attention_task &t, float *scratch)
      : p(problem), pointers(operands), task(t), block(plan.block_keys) {
    group = p.num_heads / p.num_heads_kv;
    begin_q = p.cu_seqlens_q[t.sequence];
    begin_k = p.cu_seqlens_k[t.sequence];
    seqlen_q = p.cu_seqlens_q[t.sequence + 1] - begin_q;
    seqlen_k = p.cu_seqlens_k[t.sequence + 1] - begin_k;
    dim = p.head_dim;
    padded_dim = int(rounded(dim, k_width));
    const int64_t rows = plan.rows + k_group;
    keys = scratch;
    values = keys + block * dim;
    scores = values + block * padded_dim;
    queries = scores + k_group * k_ld_scores;
    outputs = queries + rows * k_ld;
    sums = outputs + rows * k_ld;
    maxima = sums + rows * k_width;
  }

  int64_t visible(int64_t row) const { return visible_keys(p, row / group, seqlen_q, seqlen_k); }

  void run() {
    const int64_t rows = task.row_end - task.row_begin;
    load_queries(rows);
    const int64_t last = visible(task.row_end - 1);
    for (int64_t key = 0; key < last; key += block) {
      const int count = int(last - key < block ? last - key : block);
      pack_keys(key, count);
      pack_values(key, count);
      for (int64_t row = 0; row < rows; row += k_group) {
        const int size = int(rows - row < k_group ? rows - row : k_group);
        const int64_t seen = visible(task.row_begin + row + size - 1) - key;
        if (seen > 0) visit_group(row, size, key, int(seen < count ? seen : count));
      }
    }
    p.o_type == GK_F32 ? write_output<GK_F32>(rows) : write_output<Type>(rows);
  }

  // Queries as F32 times softmax_scale * log2(e), so that scores are exponents of 2; zero rows up to a full group.
  void load_queries(int64_t rows) {
    const reg factor = V::set1(float(double(p.softmax_scale) * 1.4426950408889634));
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t at = task.row_begin + row;
      const int64_t q =
          (begin_q + at / group) * p.q_token_stride + (task.head_kv * group + at % group) * p.q_head_stride;
      for (int d = 0; d < dim; d += k_width) {
        const int n = dim - d;
        const reg x = n >= k_width ? V::template load_as<Type>(pointers[k_attention_q], q + d)
                                   : V::template load_as_first<Type>(pointers[k_attention_q], q + d, n);
        V::store(queries + row * k_ld + d, V::mul(x, factor));
      }
    }
    const int64_t all = rounded(rows, k_group);
    for (int64_t row = rows; row < all; ++row)
      for (int d = 0; d < padded_dim; d += k_width) V::store(queries + row * k_ld + d, V::zero());
    for (int64_t row = 0; row < all; ++row) {
      for (int d = 0; d < padded_dim; d += k_width) V::store(outputs + row * k_ld + d, V::zero());
      V::store(sums + row * k_width, V::zero());
      maxima[row] = k_minus_infinity;
    }
  }

  // keys[panel][d][key in panel]; keys past count are zero.
  void pack_keys(int64_t first, int count) {
    for (int key = 0; key < count; key += k_panel)
      for (int half = 0; half < 2; ++half) {
        const int begin = key + half * k_width;
        const int64_t k = (begin_k + first + begin) * p.k_token_stride + task.head_kv * p.k_head_stride;
        float *to = keys + int64_t(key) * dim + half * k_width;
        for (int d = 0; d < dim; d += k_width) {
          const int n = dim - d < k_width ? dim - d : k_width;
          reg r[k_width];
          for (int i = 0; i < k_width; ++i) {
            if (begin + i >= count)
              r[i] = V::zero();
            else if (n == k_width)
              r[i] = V::template load_as<Type>(pointers[k_attention_k], k + i * p.k_token_stride + d);
            else
              r[i] = V::template load_as_first<Type>(pointers[k_attention_k], k + i * p.k_token_stride + d, n);
          }
          V::transpose(r);
          for (int i = 0; i < n; ++i) V::store(to + int64_t(d + i) * k_panel, r[i]);
        }
      }
  }

  // values[panel][key][d in panel]; the last panel is one vector wide if padded_dim is an odd number of them.
  void pack_values(int64_t first, int count) {
    for (int d = 0; d < padded_dim; d += k_width) {
      const int panel = d / k_panel * k_panel;
      const int width = padded_dim - panel < k_panel ? k_width : k_panel;
      const int n = dim - d;
      float *to = values + block * panel + (d - panel);
      for (int key = 0; key < count; ++key) {
        const int64_t v = (begin_k + first + key) * p.v_token_stride + task.head_kv * p.v_head_stride + d;
        V::store(to + int64_t(key) * width, n >= k_width
                                                ? V::template load_as<Type>(pointers[k_attention_v], v)
                                                : V::template load_as_first<Type>(pointers[k_attention_v], v, n));
      }
    }
  }

  void visit_group(int64_t row, int size, int64_t key, int count) {
    switch (size) {
      case 1:
        return visit<1>(row, size, key, count);
      case 2:
        return visit<2>(row, size, key, count);
      case 3:
      case 4:
        return visit<4>(row, size, key, count);
      case 5:
      case 6:
        return visit<6>(row, size, key, count);
      default:
        if constexpr (k_group == 12) {
          if (size <= 8) return visit<8>(row, size, key, count);
          return visit<12>(row, size, key, count);
        }
    }
  }

  // Rows [row, row + size), computed as Rows of them, against the packed keys [key, key + count).
  template <int Rows>
  void visit(int64_t row, int size, int64_t key, int count) {
    float rescale[Rows];
    for (int panel = 0; panel < count; panel += k_panel)
      multiply_keys<Rows>(queries + row * k_ld, keys + int64_t(panel) * dim, scores + panel);
    for (int r = 0; r < Rows; ++r)
      rescale[r] = r < size ? exponentiate(row + r, scores + r * k_ld_scores, key, count) : 0;
    for (int d = 0; d < padded_dim; d += k_panel) {
      float *o = outputs + row * k_ld + d;
      if (padded_dim - d >= k_panel)
        multiply_values<Rows, 2>(values + block * d, count, rescale, o);
      else
        multiply_values<Rows, 1>(values + block * d, count, rescale, o);
    }
  }

  // One panel of scores: s[r][0 .. k_panel) = q[r] . keys.
  template <int Rows>
  void multiply_keys(const float *q, const float *panel, float *s) const {
    reg acc[Rows][2];
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) acc[r][0] = acc[r][1] = V::zero();
    for (int d = 0; d < dim; ++d) {
      const reg k0 = V::load(panel), k1 = V::load(panel + k_width);
      panel += k_panel;
#pragma GCC unroll 12
      for (int r = 0; r < Rows; ++r) {
        const reg x = V::set1(q[r * k_ld + d]);
        acc[r][0] = V::fma(x, k0, acc[r][0]);
        acc[r][1] = V::fma(x, k1, acc[r][1]);
      }
    }
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
      V::store(s + r * k_ld_scores, acc[r][0]);
      V::store(s + r * k_ld_scores + k_width, acc[r][1]);
    }
  }

  // Turns a row of scores into probabilities relative to 2^maximum and adds up their sum. Returns the factor by which
  // what the row gathered before has to be multiplied.
  float exponentiate(int64_t row, float *s, int64_t key, int count) {
    const int64_t seen = visible(task.row_begin + row) - key;
    const int open = seen < 0 ? 0 : seen < count ? int(seen) : count;
    const int end = int(rounded(count, k_width));
    const reg minus_infinity = V::set1(k_minus_infinity);
    for (int j = open / k_width * k_width; j < end; j += k_width)
      V::store(s + j, V::first(open - j < 0         ? 0
                               : open - j < k_width ? open - j
                                                    : k_width,
                               V::load(s + j), minus_infinity));
    reg largest = minus_infinity;
    for (int j = 0; j < end; j += k_width) largest = V::max(largest, V::load(s + j));
    float rescale = 1;
    if (V::any_greater(largest, V::set1(maxima[row] + k_slack))) {
      const float maximum = V::reduce_max(largest);
      // From the first block on, -inf - maximum: what was gathered is zero and stays so.
      rescale = maxima[row] == k_minus_infinity ? 0 : exponential(maxima[row] - maximum);
      maxima[row] = maximum;
    }
    // A row that has seen nothing yet has only scores of -inf here; they become 2^-250, which is zero.
    const reg maximum = V::set1(maxima[row] == k_minus_infinity ? 0 : maxima[row]);
    const reg floor = V::set1(-250);
    reg sum = V::mul(V::load(sums + row * k_width), V::set1(rescale));
    for (int j = 0; j < end; j += k_width) {
      const reg e = V::exp2(V::max(floor, V::sub(V::load(s + j), maximum)));
      V::store(s + j, e);
      sum = V::add(sum, e);
    }
    V::store(sums + row * k_width, sum);
    return rescale;
  }

  static float exponential(float x) {
    float e[k_width];
    V::store(e, V::exp2(V::max(V::set1(-250), V::set1(x))));
    return e[0];
  }

  // One panel of outputs: o[r] = o[r] * rescale[r] + p[r] . values.
  template <int Rows, int Vectors>
  void multiply_values(const float *panel, int count, const float *rescale, float *o) const {
    reg acc[Rows][Vectors];
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
      const reg factor = V::set1(rescale[r]);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) acc[r][v] = V::mul(V::load(o + r * k_ld + v * k_width), factor);
    }
    const float *probability = scores;
    for (int j = 0; j < count; ++j) {
      reg b[Vectors];
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) b[v] = V::load(panel + v * k_width);
      panel += Vectors * k_width;
#pragma GCC unroll 12
      for (int r = 0; r < Rows; ++r) {
        const reg x = V::set1(probability[r * k_ld_scores + j]);
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) acc[r][v] = V::fma(x, b[v], acc[r][v]);
      }
    }
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) V::store(o + r * k_ld + v * k_width, acc[r][v]);
  }

  template <uint32_t OutType>
  void write_output(int64_t rows) const {
    const int64_t total_q = p.cu_seqlens_q[p.batch];
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t at = task.row_begin + row, token = begin_q + at / group, head = task.head_kv * group + at % group;
      const int64_t o = token * p.o_token_stride + head * p.o_head_stride;
      const float total = V::reduce_add(V::load(sums + row * k_width));
      const bool empty = maxima[row] == k_minus_infinity;
      const reg divisor = V::set1(empty ? 1 : total);  // outputs of an empty row are still zero
      for (int d = 0; d < dim; d += k_width) {
        const reg x = V::div(V::load(outputs + row * k_ld + d), divisor);
        if (dim - d >= k_width)
          V::template store_as<OutType>(pointers[k_attention_o], o + d, x);
        else
          V::template store_as_first<OutType>(pointers[k_attention_o], o + d, x, dim - d);
      }
      if (pointers[k_attention_lse] != nullptr)
        static_cast<float *>(pointers[k_attention_lse])[head * total_q + token] =
            empty ? k_minus_infinity : float(double(maxima[row]) * 0.6931471805599453 + __builtin_log(double(total)));
    }
  }
};

template <class V, uint32_t Type, class F>
void with_max_dim(const gk_attention &p, F &&f) {
  if (p.head_dim <= 64) return f.template operator()<attention_kernel<V, Type, 64>>();
  if (p.head_dim <= 128) return f.template operator()<attention_kernel<V, Type, 128>>();
  return f.template operator()<attention_kernel<V, Type, k_attention_max_head_dim>>();
}

template <class V>
uint64_t scratch_bytes(const gk_attention &p, const attention_plan &plan) {
  uint64_t floats = 0;
  with_max_dim<V, GK_F32>(p, [&]<class Kernel>() { floats = Kernel::scratch_floats(p, plan); });
  return floats * sizeof(float);
}

template <class V>
void run_task(const gk_attention &p, void *const *pointers, const attention_plan &plan, const attention_task &task,
              void *scratch) {
  const auto run = [&]<class Kernel>() { Kernel(p, pointers, plan, task, static_cast<float *>(scratch)).run(); };
  switch (p.qkv_type) {
    case GK_F32:
      return with_max_dim<V, GK_F32>(p, run);
    case GK_F16:
      return with_max_dim<V, GK_F16>(p, run);
    default:
      return with_max_dim<V, GK_BF16>(p, run);
  }
}

}  // namespace
}  // namespace gonka::cpu
