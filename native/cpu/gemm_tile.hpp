// The register-tile loop, packing and epilogue of gemm, written once over a lane type (simd_*.hpp) and a product
// (Product, below). Include from ISA files only; everything is local to the including file.
//
// Product: how one step multiplies. It names
//   lanes, max_rows, b_unit, group, accumulator (lanes::f32 or lanes::i32),
//   load_b(p): one vector of B units;  broadcast(a): one A unit to all lanes;  multiply_add(accumulator, a, b);
//   leave(accumulator, finish, row): what goes to D.
#pragma once

#include <cstring>

#include "gemm_kernel.hpp"

namespace gonka::cpu {
namespace {

template <class Product, int Rows>
void gemm_tile(int64_t steps, const uint32_t *a, const void *b, void *tile, bool accumulate, const gemm_ahead &ahead,
               const gemm_finish *leave) {
  using lanes = typename Product::lanes;
  using accumulator = typename Product::accumulator;
  constexpr int width = lanes::width, step_bytes = 2 * width * Product::b_unit;
  accumulator sum[Rows][2];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) sum[r][0] = sum[r][1] = Product::zero();
  const auto *next = static_cast<const uint8_t *>(b);
  const auto *soon = static_cast<const uint8_t *>(ahead.stream);
  const int64_t soon_step = ahead.stream_step;
  const auto multiply = [&] {
    lanes::prefetch(soon);
    if constexpr (step_bytes > 64) lanes::prefetch(soon + 64);
    const auto left = Product::load_b(next), right = Product::load_b(next + width * Product::b_unit);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const auto x = Product::broadcast(a + r);
      sum[r][0] = Product::multiply_add(sum[r][0], x, left);
      sum[r][1] = Product::multiply_add(sum[r][1], x, right);
    }
    a += Rows;
    next += step_bytes;
    soon += soon_step;
  };
  int64_t step = 0;
  const auto *row = static_cast<const uint8_t *>(ahead.rows);
  for (const int64_t first = steps < Rows ? steps : Rows; step < first; ++step, row += ahead.row_step) {
    lanes::prefetch(row);
    if constexpr (2 * width * 4 > 64) lanes::prefetch(row + 64);
    multiply();
  }
  for (; step < steps; ++step) multiply();
  auto *out = static_cast<uint8_t *>(tile);
  const auto whole = [&](int r, int v) {
    return accumulate ? Product::add(sum[r][v], Product::load(out + (2 * r + v) * width * 4)) : sum[r][v];
  };
  if (leave != nullptr) {
    auto *to = static_cast<uint8_t *>(leave->d);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r, to += leave->ldd * 4) {
      Product::store(to, Product::leave(whole(r, 0), *leave, r));
      Product::store(to + width * 4, Product::leave(whole(r, 1), *leave, r));
    }
    return;
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) Product::store(out + (2 * r + v) * width * 4, whole(r, v));
}

// Accumulators in F32.
template <class Lanes>
struct f32_accumulator {
  using lanes = Lanes;
  using accumulator = typename Lanes::f32;
  static accumulator zero() { return Lanes::zero(); }
  static accumulator load(const void *p) { return Lanes::load(static_cast<const float *>(p)); }
  static void store(void *p, accumulator v) { Lanes::store(static_cast<float *>(p), v); }
  static accumulator add(accumulator a, accumulator b) { return Lanes::add(a, b); }
  static accumulator leave(accumulator v, const gemm_finish &out, int) { return Lanes::mul(Lanes::set1(out.alpha), v); }
};

// Accumulators in I32. OffsetB: B is stored as B + 128, which the sums of A's rows take off again.
template <class Lanes, bool OffsetB = false>
struct i32_accumulator {
  using lanes = Lanes;
  using accumulator = typename Lanes::i32;
  static accumulator zero() { return Lanes::zero_i(); }
  static accumulator load(const void *p) { return Lanes::load_i(p); }
  static void store(void *p, accumulator v) { Lanes::store_i(p, v); }
  static accumulator add(accumulator a, accumulator b) { return Lanes::add_i(a, b); }
  static accumulator leave(accumulator v, const gemm_finish &out, int row) {
    if constexpr (OffsetB) return Lanes::sub_i(v, Lanes::set1_i(int32_t(uint32_t(out.row_sums[row]) * 128u)));
    return v;
  }
};

// One f32 of A times one element of B widened to f32.
template <class Lanes, uint32_t BType>
struct widening : f32_accumulator<Lanes> {
  static constexpr int group = 1, b_unit = BType == GK_F32 ? 4 : 2;
  static typename Lanes::f32 load_b(const uint8_t *p) {
    if constexpr (BType == GK_F32)
      return Lanes::load(reinterpret_cast<const float *>(p));
    else if constexpr (BType == GK_F16)
      return Lanes::load_f16(p);
    else
      return Lanes::load_bf16(p);
  }
  static typename Lanes::f32 broadcast(const uint32_t *a) {
    float v;
    std::memcpy(&v, a, sizeof v);
    return Lanes::set1(v);
  }
  static typename Lanes::f32 multiply_add(typename Lanes::f32 sum, typename Lanes::f32 a, typename Lanes::f32 b) {
    return Lanes::fma(a, b, sum);
  }
};

template <class Product>
void widen_panel(const void *panel, int64_t steps, void *wide) {
  const auto *from = static_cast<const uint8_t *>(panel);
  auto *to = static_cast<uint8_t *>(wide);
  for (int64_t vector = 0; vector < 2 * steps; ++vector) {
    Product::store(to, Product::load_b(from));
    from += Product::lanes::width * Product::b_unit;
    to += Product::lanes::width * 4;
  }
}

// ------------------------------------------------------------------------------------------------------- packing

// How far ahead of itself packing asks for each of its rows: too many streams for the hardware to follow.
constexpr int64_t k_pack_ahead = 512;

// The bytes of a row from `at` on, of which `left` are there.
template <class Lanes>
typename Lanes::i32 load_row(const uint8_t *at, int64_t left) {
  Lanes::prefetch(at + k_pack_ahead);
  return Lanes::load_bytes(at, left);
}

// width rows of `steps` units (of 4 bytes) to [steps][stride] units. unit(r, s): the units s .. s + width - 1 of row r.
template <class Lanes, class Units, class Store>
void transpose_rows(int rows, int64_t steps, Units &&units, Store &&store) {
  for (int64_t s = 0; s < steps; s += Lanes::width) {
    typename Lanes::i32 r[Lanes::width];
#pragma GCC unroll 16
    for (int i = 0; i < Lanes::width; ++i) r[i] = i < rows ? units(i, s) : Lanes::zero_i();
    Lanes::transpose(r);
    const int64_t left = steps - s;
    if (left >= Lanes::width) {
#pragma GCC unroll 16
      for (int i = 0; i < Lanes::width; ++i) store(s + i, r[i]);
    } else {
      for (int i = 0; i < left; ++i) store(s + i, r[i]);
    }
  }
}

// An A panel of `rows` rows from vectors of units, as transpose_rows takes them. Rows in groups of a vector's width;
// where the last group is not full its lanes would land on the next step's first rows, which are there already.
template <class Lanes, class Units>
void pack_a_rows(int rows, int64_t steps, uint32_t *panel, Units &&units) {
  for (int first = 0; first < rows; first += Lanes::width) {
    const int count = rows - first < Lanes::width ? rows - first : Lanes::width;
    transpose_rows<Lanes>(
        count, steps, [&](int r, int64_t s) { return units(first + r, s); },
        [&](int64_t s, typename Lanes::i32 v) {
          uint32_t *at = panel + s * rows + first;
          first > 0 && count < Lanes::width ? Lanes::store_i32(at, v, count) : Lanes::store_i(at, v);
        });
  }
}

// A rows whose units are their own bytes (f32, bf16 pairs, i8 quads). The same bytes of the rows that the next panel
// takes are asked for meanwhile: rows are too short for the hardware to find out by itself.
template <class Lanes>
void pack_a_raw(const void *a, int64_t row_bytes, int64_t used_bytes, int rows, uint32_t *panel) {
  const auto *base = static_cast<const uint8_t *>(a);
  pack_a_rows<Lanes>(rows, (used_bytes + 3) / 4, panel, [&](int r, int64_t s) {
    __builtin_prefetch(base + (r + rows) * row_bytes + 4 * s, 0, 2);
    return load_row<Lanes>(base + r * row_bytes + 4 * s, used_bytes - 4 * s);
  });
}

// A rows to f32 units.
template <class Lanes>
void pack_a_f32(const void *a, uint32_t a_type, int64_t lda, int rows, int64_t k, uint32_t *panel, int32_t *) {
  if (a_type == GK_F32) return pack_a_raw<Lanes>(a, lda * 4, k * 4, rows, panel);
  const auto *base = static_cast<const uint16_t *>(a);
  const auto there = [&](int64_t s) { return int(k - s < Lanes::width ? k - s : Lanes::width); };
  if (a_type == GK_F16)
    pack_a_rows<Lanes>(rows, k, panel,
                       [&](int r, int64_t s) { return Lanes::as_i32(Lanes::load_f16(base + r * lda + s, there(s))); });
  else
    pack_a_rows<Lanes>(rows, k, panel,
                       [&](int r, int64_t s) { return Lanes::as_i32(Lanes::load_bf16(base + r * lda + s, there(s))); });
}

// One half of a B panel with units of 4 bytes; every byte is xored with `flip`.
template <class Lanes>
void pack_b_units4(const void *b, int64_t row_bytes, int64_t used_bytes, int count, int half, void *panel,
                   uint32_t flip) {
  const auto *base = static_cast<const uint8_t *>(b);
  auto *out = static_cast<uint8_t *>(panel) + half * Lanes::width * 4;
  const auto mask = Lanes::set1_i(int32_t(flip));
  transpose_rows<Lanes>(
      count, (used_bytes + 3) / 4,
      [&](int r, int64_t s) { return load_row<Lanes>(base + r * row_bytes + 4 * s, used_bytes - 4 * s); },
      [&](int64_t s, typename Lanes::i32 v) { Lanes::store_i(out + s * Lanes::width * 8, Lanes::xor_i(v, mask)); });
}

// One half of a B panel with units of 2 bytes. Pairs of units travel through the transposition together.
template <class Lanes>
void pack_b_units2(const void *b, int64_t row_bytes, int64_t used_bytes, int count, int half, void *panel) {
  const auto *base = static_cast<const uint8_t *>(b);
  auto *out = static_cast<uint8_t *>(panel) + half * Lanes::width * 2;
  const int64_t steps = (used_bytes + 1) / 2;
  transpose_rows<Lanes>(
      count, (steps + 1) / 2,
      [&](int r, int64_t s) { return load_row<Lanes>(base + r * row_bytes + 4 * s, used_bytes - 4 * s); },
      [&](int64_t s, typename Lanes::i32 v) {
        Lanes::store_low16(out + 2 * s * Lanes::width * 4, v);
        if (2 * s + 1 < steps) Lanes::store_high16(out + (2 * s + 1) * Lanes::width * 4, v);
      });
}

// ------------------------------------------------------------------------------------------------------ epilogue

// e^x within 2 ulp for x in [-87, 88]: x = n ln2 + r, |r| <= ln2 / 2, Taylor to r^7 (remainder below 2^-27).
template <class Lanes>
typename Lanes::f32 exponential(typename Lanes::f32 x) {
  const auto n = Lanes::round(Lanes::mul(x, Lanes::set1(1.44269504f)));
  // ln2 in two parts, the first with few enough bits that n times it is exact (Cody and Waite).
  auto r = Lanes::fnma(n, Lanes::set1(0.693359375f), x);
  r = Lanes::fnma(n, Lanes::set1(-2.12194440e-4f), r);
  auto p = Lanes::set1(1.f / 5040);
  constexpr float k_coefficients[] = {1.f / 720, 1.f / 120, 1.f / 24, 1.f / 6, 0.5f, 1.f, 1.f};
  for (const float c : k_coefficients) p = Lanes::fma(p, r, Lanes::set1(c));
  return Lanes::scale2(p, n);
}

template <class Lanes>
typename Lanes::f32 silu(typename Lanes::f32 x) {
  const auto negative = Lanes::sub(Lanes::zero(), x);
  const auto bounded = Lanes::min(Lanes::set1(88.f), Lanes::max(Lanes::set1(-87.f), negative));
  return Lanes::div(x, Lanes::add(Lanes::set1(1.f), exponential<Lanes>(bounded)));
}

template <class Lanes, uint32_t Type>
typename Lanes::f32 load_elements(const void *base, int64_t index, int n) {
  if constexpr (Type == GK_F32)
    return Lanes::load_f32(static_cast<const float *>(base) + index, n);
  else if constexpr (Type == GK_F16)
    return Lanes::load_f16(static_cast<const uint16_t *>(base) + index, n);
  else
    return Lanes::load_bf16(static_cast<const uint16_t *>(base) + index, n);
}

template <class Lanes, uint32_t Type>
void store_elements(void *base, int64_t index, typename Lanes::f32 v, int n) {
  if constexpr (Type == GK_F32) {
    float *at = static_cast<float *>(base) + index;
    n == Lanes::width ? Lanes::store(at, v) : Lanes::store_f32(at, v, n);
  } else if constexpr (Type == GK_F16)
    Lanes::store_f16(static_cast<uint16_t *>(base) + index, v, n);
  else
    Lanes::store_bf16(static_cast<uint16_t *>(base) + index, v, n);
}

template <uint32_t Type>
constexpr int dtype_bytes = Type == GK_F32 ? 4 : 2;

template <class Lanes, uint32_t Type>
void finish_as(const float *tile, const gemm_finish &out) {
  constexpr int width = Lanes::width;
  const auto alpha = Lanes::set1(out.alpha), beta = Lanes::set1(out.beta);
  for (int r = 0; r < out.rows; ++r) {
    const float *row = tile + r * 2 * width;
    if (out.pair) {
      const auto gate = Lanes::mul(alpha, Lanes::load(row)), up = Lanes::mul(alpha, Lanes::load(row + width));
      store_elements<Lanes, Type>(out.d, r * out.ldd, Lanes::mul(silu<Lanes>(gate), up), out.columns);
      continue;
    }
    for (int begin = 0; begin < out.columns; begin += width) {
      const int n = out.columns - begin < width ? out.columns - begin : width;
      auto v = Lanes::mul(alpha, Lanes::load(row + begin));
      if (out.c != nullptr) v = Lanes::fma(beta, load_elements<Lanes, Type>(out.c, r * out.ldc + begin, n), v);
      store_elements<Lanes, Type>(out.d, r * out.ldd + begin, v, n);
    }
  }
}

template <class Lanes>
void finish_f32(const void *tile, const gemm_finish &out) {
  const auto *values = static_cast<const float *>(tile);
  if (out.d_type == GK_F32)
    finish_as<Lanes, GK_F32>(values, out);
  else if (out.d_type == GK_F16)
    finish_as<Lanes, GK_F16>(values, out);
  else
    finish_as<Lanes, GK_BF16>(values, out);
}

template <class Lanes>
void finish_i32(const void *tile, const gemm_finish &out) {
  constexpr int width = Lanes::width;
  const auto *values = static_cast<const int32_t *>(tile);
  for (int r = 0; r < out.rows; ++r) {
    const uint32_t offset = out.row_sums == nullptr ? 0 : uint32_t(out.row_sums[r]) * 128u;
    for (int begin = 0; begin < out.columns; begin += width) {
      const int n = out.columns - begin < width ? out.columns - begin : width;
      auto v = Lanes::sub_i(Lanes::load_i(values + r * 2 * width + begin), Lanes::set1_i(int32_t(offset)));
      if (out.c != nullptr)
        v = Lanes::add_i(v, Lanes::load_i32(static_cast<const int32_t *>(out.c) + r * out.ldc + begin, n));
      int32_t *at = static_cast<int32_t *>(out.d) + r * out.ldd + begin;
      n == width ? Lanes::store_i(at, v) : Lanes::store_i32(at, v, n);
    }
  }
}

}  // namespace
}  // namespace gonka::cpu
