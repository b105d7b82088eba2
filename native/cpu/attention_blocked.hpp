// Blocked attention over a simd type, after FlashAttention (arXiv 2205.14135) and online softmax (arXiv 1805.02867).
//
// Lanes hold rows (see attention_plan.hpp): both products are computed transposed, S^T = K Q^T and O^T = V^T P^T. Q is
// transposed once per task; K and V are the broadcast operands and stay as they come (copied and widened block by
// block), and S^T is in the layout that the second product wants. Maxima and sums are vertical, none is ever taken
// across lanes.
//
// Where V::pairs holds, a product step takes two elements at once: a unit of 32 bits is two BF16 elements (of head_dim
// in the first product, of keys in the second), otherwise one F32. Rows go through in groups of up to k_rows; a group's
// scores and queries stay near in L1, the block of K and V and all groups' outputs in L2.
// Included by attention_<isa>.cpp only; in an unnamed namespace because of that.
#pragma once

#include "attention_plan.hpp"

namespace gonka::cpu {
namespace {

constexpr float k_minus_infinity = -__builtin_inff();
constexpr float k_lowest = -__FLT_MAX__;
// 2^-250 is zero in F32, and -infinity is no argument for exp2.
constexpr float k_exponent_floor = -250;

template <class V, uint32_t Type, int MaxDim>
struct attention_kernel {
  using reg = typename V::reg;
  static constexpr int k_width = V::width;
  // Accumulators are k_tile x k_vectors: with the vectors of the right operand and a broadcast they fill the registers.
  static constexpr int k_vectors = 3;
  static constexpr int k_tile = V::registers == 32 ? 8 : 4;
  static constexpr int k_rows = k_vectors * k_width;
  static constexpr int k_unit = V::pairs ? 2 : 1;  // elements per 32 bits
  // Row strides of the packed blocks, in units. Constants, so that a tile's rows are one base register and
  // displacements; the extra 16 keep rows off each other's cache sets.
  static constexpr int k_ld_keys = MaxDim / k_unit + 16;
  static constexpr int k_ld_values = MaxDim + 16;

  // Exponents (base 2) may exceed a row's reference maximum by this much before the row is rescaled: most blocks then
  // need no rescaling, and 2^8 times any number of keys is far from overflow. Not where probabilities are rounded to
  // BF16: relative to the true maximum the largest is exactly 1 and rows that are nearly one-hot lose nothing.
  static constexpr float k_slack = V::pairs ? 0 : 8;

  const gk_attention &p;
  void *const *pointers;
  const attention_task task;
  const int64_t head_group, begin_q, begin_k, seqlen_q, seqlen_k, block;
  const int dim;
  float factor;  // softmax_scale * log2(e): scores are exponents of 2
  int64_t head_kv = 0;
  int64_t group_rows;  // rows per group: all of nearly one size, whole vectors
  bool last_head = false;
  int64_t ahead = 0, ahead_end = 0;  // keys of the next block still to be asked for
  int ahead_step = 0;                // and how many with every tile of this one
  float *keys, *values, *scores, *queries, *outputs, *maxima, *sums;

  static int64_t rounded(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
  static int64_t padded_dim(int dim) { return rounded(dim, k_width); }

  static uint64_t scratch_floats(const gk_attention &p, const attention_plan &plan) {
    const int64_t rows = rounded(plan.rows, k_width) + k_rows;
    return uint64_t(plan.block_keys + k_tile) * (k_ld_keys + k_ld_values + k_rows) +
           uint64_t(rows) * uint64_t(2 * padded_dim(p.head_dim) + 2);
  }

  attention_kernel(const gk_attention &problem, void *const *operands, const attention_plan &plan,
                   const attention_task &t, float *scratch)
      : p(problem),
        pointers(operands),
        task(t),
        head_group(p.num_heads / p.num_heads_kv),
        begin_q(p.cu_seqlens_q[t.sequence]),
        begin_k(p.cu_seqlens_k[t.sequence]),
        seqlen_q(p.cu_seqlens_q[t.sequence + 1] - begin_q),
        seqlen_k(p.cu_seqlens_k[t.sequence + 1] - begin_k),
        block(plan.block_keys),
        dim(p.head_dim),
        factor(float(double(p.softmax_scale) * 1.4426950408889634)) {
    const int64_t count = t.row_end - t.row_begin, groups = (count + k_rows - 1) / k_rows;
    group_rows = rounded((count + groups - 1) / groups, k_width);
    const int64_t rows = rounded(plan.rows, k_width) + k_rows;
    keys = scratch;
    values = keys + (block + k_tile) * k_ld_keys;
    scores = values + (block + k_tile) * k_ld_values;
    queries = scores + (block + k_tile) * k_rows;
    outputs = queries + rows * padded_dim(dim);
    maxima = outputs + rows * padded_dim(dim);
    sums = maxima + rows;
  }

  int64_t visible(int64_t row) const { return visible_keys(p, row / head_group, seqlen_q, seqlen_k); }

  void run() {
    for (head_kv = task.head_begin; head_kv < task.head_end; ++head_kv) {
      last_head = head_kv + 1 == task.head_end;
      run_head();
    }
  }

  void run_head() {
    const int64_t rows = task.row_end - task.row_begin;
    for (int64_t row = 0; row < rows; row += group_rows) load_queries(row, size_of_group(row));
    const int64_t last = visible(task.row_end - 1);
    for (int64_t key = 0; key < last; key += block) {
      const int count = int(last - key < block ? last - key : block);
      pack_keys(key, count);
      pack_values(key, count);
      plan_ahead(key + count, last, rows, count);
      for (int64_t row = 0; row < rows; row += group_rows) {
        const int size = size_of_group(row);
        const int64_t seen = visible(task.row_begin + row + size - 1) - key;
        if (seen > 0) visit_group(row, size, key, int(seen < count ? seen : count));
      }
    }
    for (int64_t row = 0; row < rows; row += group_rows)
      p.o_type == GK_F32 ? write_output<GK_F32>(row, size_of_group(row)) : write_output<Type>(row, size_of_group(row));
  }

  int size_of_group(int64_t row) const {
    const int64_t left = task.row_end - task.row_begin - row;
    return int(left < group_rows ? left : group_rows);
  }

  // The rows of the next block of K and V come into the L2 while this one is multiplied, evenly over its tiles: packing
  // would wait for every one of them, as one head's part of a token is too short a run for the hardware's prefetchers.
  void plan_ahead(int64_t next, int64_t last, int64_t rows, int count) {
    ahead = next;
    ahead_end = last - next < block ? last : next + block;
    const int64_t tiles = rounded(rows, group_rows) / group_rows * (rounded(count, k_tile) / k_tile);
    ahead_step = int((ahead_end - ahead + tiles - 1) / tiles);
  }

  void fetch_ahead() {
    constexpr int size = Type == GK_F32 ? 4 : 2;
    for (int i = 0; i < ahead_step && ahead < ahead_end; ++i, ++ahead) {
      const auto *k = static_cast<const char *>(pointers[k_attention_k]) +
                      ((begin_k + ahead) * p.k_token_stride + head_kv * p.k_head_stride) * size;
      const auto *v = static_cast<const char *>(pointers[k_attention_v]) +
                      ((begin_k + ahead) * p.v_token_stride + head_kv * p.v_head_stride) * size;
      for (int byte = 0; byte < dim * size; byte += 64) {
        __builtin_prefetch(k + byte, 0, 2);
        __builtin_prefetch(v + byte, 0, 2);
      }
    }
  }

  // A task of several heads is a short one: its operands are read once, in pieces of one head of one token, which the
  // hardware's prefetchers do not follow. So while one head's piece is loaded, the next head's is asked for.
  void prefetch(const void *base, int64_t next) const {
    constexpr int size = Type == GK_F32 ? 4 : 2;
    const char *at = static_cast<const char *>(base) + next * size;
    for (int byte = 0; byte < dim * size; byte += 64) __builtin_prefetch(at + byte);
  }

  // Up to k_width units of a row of `left` elements, from element `at` on: F32, or raw pairs.
  static reg load_units(const void *base, int64_t at, int left) {
    if constexpr (V::pairs) return V::load_pairs(base, at, left < 2 * k_width ? left : 2 * k_width);
    return left >= k_width ? V::template load_as<Type>(base, at) : V::template load_as_first<Type>(base, at, left);
  }

  // queries of the group: [unit of head_dim][row], zero in the rows past size. F32 queries are scaled here.
  void load_queries(int64_t row, int size) {
    const int64_t ld = rounded(size, k_width);
    float *to = queries + row * padded_dim(dim);
    for (int lane = 0; lane < ld; lane += k_width)
      for (int d = 0; d < dim; d += k_width * k_unit) {
        reg r[k_width];
        for (int i = 0; i < k_width; ++i) {
          if (lane + i >= size) {
            r[i] = V::zero();
            continue;
          }
          const int64_t at = task.row_begin + row + lane + i;
          const int64_t q = (begin_q + at / head_group) * p.q_token_stride +
                            (head_kv * head_group + at % head_group) * p.q_head_stride;
          if (d == 0 && !last_head) prefetch(pointers[k_attention_q], q + head_group * p.q_head_stride);
          r[i] = load_units(pointers[k_attention_q], q + d, dim - d);
          if constexpr (!V::pairs) r[i] = V::mul(r[i], V::set1(factor));
        }
        V::transpose(r);
        const int units = (dim - d + k_unit - 1) / k_unit;
        for (int i = 0; i < k_width && i < units; ++i) V::store(to + int64_t(d / k_unit + i) * ld + lane, r[i]);
      }
    float *o = outputs + row * padded_dim(dim);
    for (int64_t i = 0; i < ld * padded_dim(dim); i += k_width) V::store(o + i, V::zero());
    for (int lane = 0; lane < ld; lane += k_width) {
      V::store(maxima + row + lane, V::set1(k_minus_infinity));
      V::store(sums + row + lane, V::zero());
    }
  }

  // keys[key][unit of head_dim], zero up to a whole tile of keys.
  void pack_keys(int64_t first, int count) {
    for (int key = 0; key < rounded(count, k_tile); ++key) {
      float *to = keys + int64_t(key) * k_ld_keys;
      const int64_t k = (begin_k + first + key) * p.k_token_stride + head_kv * p.k_head_stride;
      if (key < count && !last_head) prefetch(pointers[k_attention_k], k + p.k_head_stride);
      for (int d = 0; d < dim; d += k_width * k_unit) {
        prefetch_store(to + d / k_unit, k_ld_keys);
        V::store(to + d / k_unit, key < count ? load_units(pointers[k_attention_k], k + d, dim - d) : V::zero());
      }
    }
  }

  // values[unit of keys][d], zero up to whole vectors of d and a whole unit of keys.
  void pack_values(int64_t first, int count) {
    const auto row = [&](int key) { return (begin_k + first + key) * p.v_token_stride + head_kv * p.v_head_stride; };
    const auto load = [&](int key, int d) {
      if (key >= count) return V::zero();
      return dim - d >= k_width ? V::template load_as<Type>(pointers[k_attention_v], row(key) + d)
                                : V::template load_as_first<Type>(pointers[k_attention_v], row(key) + d, dim - d);
    };
    for (int key = 0; key < count; key += k_unit) {
      float *to = values + int64_t(key / k_unit) * k_ld_values;
      if (!last_head) prefetch(pointers[k_attention_v], row(key) + p.v_head_stride);
      for (int d = 0; d < dim; d += k_width) {
        prefetch_store(to + d, k_ld_values);
        if constexpr (V::pairs)
          V::store(to + d, V::pair_up(load(key, d), load(key + 1, d)));
        else
          V::store(to + d, load(key, d));
      }
    }
  }

  // Stores drain in order, and the packed block was pushed out of the L1 by the products: without this each line waits
  // for the L2 in turn (measured on Zen 4: 40 % of the packing time).
  static void prefetch_store(float *to, int ld) { __builtin_prefetch(to + 4 * ld, 1); }

  // Rows [row, row + size) against the first `count` packed keys, which begin at `key`.
  void visit_group(int64_t row, int size, int64_t key, int count) {
    if (size <= k_width) return visit<1>(row, size, key, count);
    if (size <= 2 * k_width) return visit<2>(row, size, key, count);
    return visit<3>(row, size, key, count);
  }

  template <int Vectors>
  void visit(int64_t row, int size, int64_t key, int count) {
    // Keys that all rows of the group see; the rest, and what fills the last tile, is masked lane by lane.
    const int64_t seen = visible(task.row_begin + row) - key;
    const int open = seen < 0 ? 0 : seen < count ? int(seen) : count;
    const float *q = queries + row * padded_dim(dim);
    reg largest[Vectors];
    for (int v = 0; v < Vectors; ++v) largest[v] = V::set1(k_minus_infinity);
    int j = 0;
    for (; j + k_tile <= open; j += k_tile) {
      fetch_ahead();
      multiply_keys<Vectors, false>(q, j, nullptr, largest);
    }
    if (j < count) {
      float limit[Vectors * k_width];
      for (int i = 0; i < Vectors * k_width; ++i) {
        const int64_t own = visible(task.row_begin + row + (i < size ? i : size - 1)) - key;
        limit[i] = float(own < count ? own : count);
      }
      for (; j < count; j += k_tile) multiply_keys<Vectors, true>(q, j, limit, largest);
    }
    reg rescale[Vectors];
    const bool rescaled = exponentiate<Vectors>(row, count, largest, rescale);
    float *o = outputs + row * padded_dim(dim);
    for (int d = 0; d < dim; d += k_tile) multiply_values<Vectors>(d, count, rescaled ? rescale : nullptr, o);
  }

  // Scores of keys [j, j + k_tile): scores[key][row]; takes them into `largest`. Masked: -infinity for keys from the
  // row's limit on.
  template <int Vectors, bool Masked>
  void multiply_keys(const float *q, int j, const float *limit, reg (&largest)[Vectors]) const {
    const float *k = keys + int64_t(j) * k_ld_keys;
    reg acc[k_tile][Vectors];
#pragma GCC unroll 8
    for (int r = 0; r < k_tile; ++r)
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) acc[r][v] = V::zero();
    const int units = (dim + k_unit - 1) / k_unit;
    for (int d = 0; d < units; ++d) {
      reg b[Vectors];
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) b[v] = V::load(q + v * k_width);
      q += Vectors * k_width;
#pragma GCC unroll 8
      for (int r = 0; r < k_tile; ++r) {
        const reg a = V::set1(k[r * k_ld_keys + d]);
#pragma GCC unroll 3
        for (int v = 0; v < Vectors; ++v) acc[r][v] = V::dot(a, b[v], acc[r][v]);
      }
    }
    float *s = scores + int64_t(j) * (Vectors * k_width);
#pragma GCC unroll 8
    for (int r = 0; r < k_tile; ++r)
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) {
        reg x = acc[r][v];
        if constexpr (V::pairs) x = V::mul(x, V::set1(factor));
        if constexpr (Masked)
          x = V::choose_less(V::set1(float(j + r)), V::load(limit + v * k_width), x, V::set1(k_minus_infinity));
        largest[v] = V::max(largest[v], x);
        V::store(s + r * (Vectors * k_width) + v * k_width, x);
      }
  }

  // Turns scores into probabilities relative to 2^maximum, in place, [unit of keys][row], and adds up their sum.
  // Returns whether the outputs have to be multiplied by `rescale` first.
  template <int Vectors>
  bool exponentiate(int64_t row, int count, const reg (&largest)[Vectors], reg (&rescale)[Vectors]) {
    const reg floor = V::set1(k_exponent_floor);
    reg maximum[Vectors], sum[Vectors];
    bool rescaled = false;
    for (int v = 0; v < Vectors; ++v) {
      const reg before = V::load(maxima + row + v * k_width), limit = V::add(before, V::set1(k_slack));
      // Each row decides for itself, so that its result does not depend on which rows share its group.
      const reg now = V::choose_less(limit, largest[v], largest[v], before);
      rescaled = rescaled || V::any_greater(largest[v], limit);
      V::store(maxima + row + v * k_width, now);
      // Rows that have seen nothing yet: any finite maximum makes their scores of -infinity zero.
      maximum[v] = V::max(now, V::set1(k_lowest));
      rescale[v] = V::exp2(V::max(floor, V::sub(V::max(before, V::set1(k_lowest)), maximum[v])));
      sum[v] = V::mul(V::load(sums + row + v * k_width), rescale[v]);
    }
    const auto exponential = [&](const float *s, int v) {
      return V::exp2(V::max(floor, V::sub(V::load(s + v * k_width), maximum[v])));
    };
    const float *s = scores;
    float *e = scores;
    for (int key = 0; key < count; key += k_unit) {
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) {
        reg x = exponential(s, v);
        sum[v] = V::add(sum[v], x);
        if constexpr (V::pairs) {
          reg y = V::zero();
          if (key + 1 < count) y = exponential(s + Vectors * k_width, v);
          sum[v] = V::add(sum[v], y);
          x = V::pair_up(x, y);
        }
        V::store(e + v * k_width, x);
      }
      s += k_unit * Vectors * k_width;
      e += Vectors * k_width;
    }
    for (int v = 0; v < Vectors; ++v) V::store(sums + row + v * k_width, sum[v]);
    return rescaled;
  }

  // outputs[d][row] of the group, for d to d + k_tile: += values^T times probabilities.
  template <int Vectors>
  void multiply_values(int d, int count, const reg *rescale, float *o) const {
    o += int64_t(d) * (Vectors * k_width);
    reg acc[k_tile][Vectors];
#pragma GCC unroll 8
    for (int r = 0; r < k_tile; ++r)
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) acc[r][v] = V::load(o + (r * Vectors + v) * k_width);
    if (rescale != nullptr)
#pragma GCC unroll 8
      for (int r = 0; r < k_tile; ++r)
#pragma GCC unroll 3
        for (int v = 0; v < Vectors; ++v) acc[r][v] = V::mul(acc[r][v], rescale[v]);
    const float *x = values + d, *e = scores;
    for (int key = 0; key < count; key += k_unit) {
      reg b[Vectors];
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) b[v] = V::load(e + v * k_width);
      e += Vectors * k_width;
#pragma GCC unroll 8
      for (int r = 0; r < k_tile; ++r) {
        const reg a = V::set1(x[r]);
#pragma GCC unroll 3
        for (int v = 0; v < Vectors; ++v) acc[r][v] = V::dot(a, b[v], acc[r][v]);
      }
      x += k_ld_values;
    }
#pragma GCC unroll 8
    for (int r = 0; r < k_tile; ++r)
#pragma GCC unroll 3
      for (int v = 0; v < Vectors; ++v) V::store(o + (r * Vectors + v) * k_width, acc[r][v]);
  }

  template <uint32_t OutType>
  void write_output(int64_t row, int size) const {
    const int64_t ld = rounded(size, k_width);
    const float *from = outputs + row * padded_dim(dim);
    for (int lane = 0; lane < ld; lane += k_width) {
      const reg total = V::load(sums + row + lane);
      // Outputs of a row that saw no key are zero and stay so.
      const reg divisor = V::choose_less(V::zero(), total, total, V::set1(1));
      const int rows = size - lane < k_width ? size - lane : k_width;
      for (int d = 0; d < dim; d += k_width) {
        reg r[k_width];
        for (int i = 0; i < k_width; ++i) r[i] = V::div(V::load(from + (d + i) * ld + lane), divisor);
        V::transpose(r);
        for (int i = 0; i < rows; ++i) {
          const int64_t at = task.row_begin + row + lane + i;
          const int64_t o = (begin_q + at / head_group) * p.o_token_stride +
                            (head_kv * head_group + at % head_group) * p.o_head_stride + d;
          if (dim - d >= k_width)
            V::template store_as<OutType>(pointers[k_attention_o], o, r[i]);
          else
            V::template store_as_first<OutType>(pointers[k_attention_o], o, r[i], dim - d);
        }
      }
    }
    if (pointers[k_attention_lse] == nullptr) return;
    for (int i = 0; i < size; ++i) {
      const int64_t at = task.row_begin + row + i, head = head_kv * head_group + at % head_group;
      const float maximum = maxima[row + i];
      static_cast<float *>(pointers[k_attention_lse])[head * p.cu_seqlens_q[p.batch] + begin_q + at / head_group] =
          maximum == k_minus_infinity
              ? k_minus_infinity
              : float(double(maximum) * 0.6931471805599453 + __builtin_log(double(sums[row + i])));
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
  with_max_dim<V, GK_BF16>(p, [&]<class Kernel>() { floats = Kernel::scratch_floats(p, plan); });
  return floats * sizeof(float);
}

template <class V, uint32_t Type>
void run_task(const gk_attention &p, void *const *pointers, const attention_plan &plan, const attention_task &task,
              void *scratch) {
  with_max_dim<V, Type>(p,
                        [&]<class Kernel>() { Kernel(p, pointers, plan, task, static_cast<float *>(scratch)).run(); });
}

}  // namespace
}  // namespace gonka::cpu
