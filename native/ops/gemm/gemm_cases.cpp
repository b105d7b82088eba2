// Shapes, layouts and data for gemm: every type, tails around all vector and tile sizes in use (6, 8, 14, 16, 32, 64),
// strides, aliasing, adversarial accumulator operands, and the shapes of transformers for timing.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>

#include "gemm_compare.hpp"
#include "number.hpp"

namespace gonka {

extern const op_spec gemm_op;

namespace {

using bytes = std::vector<std::byte>;

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct generator {
  uint64_t state;
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  float uniform() { return float(int64_t(next() >> 40) - (1 << 23)) * 0x1p-23f; }
};

uint8_t f32_to_f8(float value, uint32_t type) {
  // By search among the finite patterns of one sign: rounding to nearest is all a test input needs.
  const auto widen = [type](uint8_t v) { return type == GK_F8_E4M3 ? e4m3_to_f32(v) : e5m2_to_f32(v); };
  const uint8_t last = type == GK_F8_E4M3 ? 0x7e : 0x7b;
  uint8_t low = 0, high = last;
  while (high - low > 1) {
    const uint8_t middle = uint8_t((low + high) / 2);
    (widen(middle) <= std::abs(value) ? low : high) = middle;
  }
  const uint8_t best = std::abs(value) - widen(low) <= widen(high) - std::abs(value) ? low : high;
  return uint8_t(best | (value < 0 ? 0x80 : 0));
}

void put(bytes &data, uint32_t type, int64_t index, float value) {
  const auto write = [&](auto v) { std::memcpy(data.data() + size_t(index) * sizeof v, &v, sizeof v); };
  switch (type) {
    case GK_F32:
      return write(value);
    case GK_F16:
      return write(f32_to_f16(value));
    case GK_BF16:
      return write(f32_to_bf16(value));
    case GK_I32:
      return write(int32_t(value));
    case GK_I8:
      return write(int8_t(value));
    default:
      return write(f32_to_f8(value, type));
  }
}

// Element x of a row of A (or of B) under a pattern.
float pattern_value(gemm_pattern pattern, uint32_t type, bool is_a, int64_t x, int64_t k, generator &random) {
  const bool integer = type == GK_I8;
  switch (pattern) {
    case gemm_pattern::uniform:
      return integer ? float(int8_t(random.next() >> 56)) : random.uniform();
    case gemm_pattern::ones:
      return 1;
    case gemm_pattern::large_first:
      if (integer) return x + 1 < k ? 127.f : 1.f;
      return x == 0 ? 32.f : is_a ? 0x1p-3f : 0x1p-4f;
    case gemm_pattern::large_last:
      if (integer) return x + 1 < k ? 1.f : 127.f;
      return x + 1 == k ? 32.f : is_a ? 0x1p-3f : 0x1p-4f;
    case gemm_pattern::alternating:
      if (integer) return !is_a ? 127.f : x % 2 == 0 ? -128.f : 127.f;
      return !is_a ? 1.f : x % 2 == 0 ? 24.f : -23.f;
    case gemm_pattern::all_max:
      return 127;
    case gemm_pattern::all_min:
      return -128;
    case gemm_pattern::max_times_min:
      return is_a ? 127.f : -128.f;
    case gemm_pattern::subnormal:
      if (type == GK_F16) return is_a ? 0x1p-20f * random.uniform() : random.uniform();
      return is_a ? 0x1p-128f * random.uniform() : 0x1p60f * random.uniform();
  }
  return 0;
}

// rows x columns at leading dimension ld; every byte between the rows is 0xff: NaN for floats.
template <class F>
bytes matrix(uint32_t type, int64_t rows, int64_t columns, int64_t ld, F &&value) {
  if (rows == 0 || columns == 0) return {};
  bytes data(size_t((rows - 1) * ld + columns) * dtype_size(type), std::byte{0xff});
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t x = 0; x < columns; ++x) put(data, type, r * ld + x, value(x));
  return data;
}

built_case build(const op_case &self) {
  const auto &c = *static_cast<const gemm_case *>(self.parameters.get());
  const auto problem = std::make_shared<gk_gemm>();
  gk_gemm &p = *problem;
  p.struct_size = sizeof p;
  p.a_type = c.a_type, p.b_type = c.b_type, p.d_type = c.d_type;
  p.m = c.m, p.n = c.n, p.k = c.k;
  p.lda = c.k + c.pad_a, p.ldb = c.k + c.pad_b, p.ldc = c.n + (c.c_is_d ? c.pad_d : c.pad_c), p.ldd = c.n + c.pad_d;
  p.alpha = c.alpha, p.beta = c.beta, p.epilogue = c.epilogue, p.accumulation = c.accumulation;
  p.scale_block_n = p.scale_block_k = c.scale_block;

  built_case out;
  out.problem = problem;
  const bool pair = c.epilogue == GK_EPILOGUE_SWIGLU, scaled = c.scale_block != 0;
  out.present = {true, true, c.beta != 0 || c.c_unread || c.c_is_d, true, pair, scaled, scaled, scaled && pair};
  generator random{self.seed};
  const auto operand_values = [&](bool is_a) {
    return [&, is_a](int64_t x) { return pattern_value(c.pattern, is_a ? c.a_type : c.b_type, is_a, x, c.k, random); };
  };
  const auto scale_values = [&](int64_t) { return 0.5f + std::abs(random.uniform()); };
  const auto nothing = [&](int64_t) { return 0.f; };
  out.data.resize(8);
  out.data[k_gemm_a] = matrix(c.a_type, c.m, c.k, p.lda, operand_values(true));
  out.data[k_gemm_b] = matrix(c.b_type, c.n, c.k, p.ldb, operand_values(false));
  if (pair) out.data[k_gemm_b2] = matrix(c.b_type, c.n, c.k, p.ldb, operand_values(false));
  if (scaled) {
    const int64_t k_blocks = (c.k + c.scale_block - 1) / c.scale_block;
    const int64_t n_blocks = (c.n + c.scale_block - 1) / c.scale_block;
    out.data[k_gemm_a_scale] = matrix(GK_F32, c.m, k_blocks, k_blocks, scale_values);
    out.data[k_gemm_b_scale] = matrix(GK_F32, n_blocks, k_blocks, k_blocks, scale_values);
    if (pair) out.data[k_gemm_b2_scale] = matrix(GK_F32, n_blocks, k_blocks, k_blocks, scale_values);
  }
  out.data[k_gemm_d] = matrix(c.d_type, c.m, c.n, p.ldd, nothing);
  std::fill(out.data[k_gemm_d].begin(), out.data[k_gemm_d].end(), std::byte{0xff});
  if (out.present[k_gemm_c]) {
    bytes &data = out.data[k_gemm_c];
    // i8: values of the upper range of I32, so that the sum wraps.
    data = matrix(c.d_type, c.m, c.n, p.ldc,
                  [&](int64_t) { return c.d_type == GK_I32 ? 2147480000.f : random.uniform(); });
    if (c.beta == 0) std::fill(data.begin(), data.end(), std::byte{0xff});
  }
  if (c.c_is_d) {
    out.data[k_gemm_d] = out.data[k_gemm_c];
    out.same_place = {-1, -1, -1, k_gemm_c, -1, -1, -1, -1};
  }
  // A placeholder so that operands() describes a C that is there but unread; the runner places it for real.
  if (out.present[k_gemm_c]) p.c.buffer = reinterpret_cast<gk_buffer *>(&p);
  out.operands = gemm_op.operands(&p);
  p.c.buffer = nullptr;
  return out;
}

comparison compare(const op_case &self, const built_case &built, const std::vector<bytes> &got,
                   const std::vector<bytes> &want) {
  return gemm_compare(*static_cast<const gemm_case *>(self.parameters.get()),
                      *static_cast<const gk_gemm *>(built.problem.get()), got, want);
}

class case_list {
 public:
  void add(uint32_t uses, const gemm_case &c) {
    op_case out;
    out.name = name_of(c);
    if (const int seen = names_[out.name]++; seen > 0) out.name += " #" + std::to_string(seen + 1);
    out.uses = uses;
    out.seed = 0x67656d6d00000000u + cases_.size();
    out.build = build;
    out.parameters = std::make_shared<gemm_case>(c);
    out.compare = compare;
    cases_.push_back(std::move(out));
  }
  std::vector<op_case> take() { return std::move(cases_); }

 private:
  static std::string name_of(const gemm_case &c) {
    const auto number = [](float v) {
      char text[32];
      std::snprintf(text, sizeof text, "%g", double(v));
      return std::string(text);
    };
    const auto type = [](uint32_t t) { return std::string(dtype_name(t)); };
    std::string name = type(c.a_type) + "*" + type(c.b_type) + "->" + type(c.d_type) + " m=" + std::to_string(c.m) +
                       " n=" + std::to_string(c.n) + " k=" + std::to_string(c.k);
    const struct {
      const char *name;
      int64_t pad;
    } pads[] = {{" lda+", c.pad_a}, {" ldb+", c.pad_b}, {" ldc+", c.pad_c}, {" ldd+", c.pad_d}};
    for (const auto &pad : pads)
      if (pad.pad != 0) name += pad.name + std::to_string(pad.pad);
    if (c.alpha != 1) name += " alpha=" + number(c.alpha);
    if (c.beta != 0) name += " beta=" + number(c.beta);
    if (c.epilogue == GK_EPILOGUE_SWIGLU) name += " swiglu";
    if (c.c_is_d) name += " c=d";
    if (c.c_unread) name += " c=nan";
    if (c.scale_block != 0) name += " scales/" + std::to_string(c.scale_block);
    if (c.accumulation == GK_ACCUMULATE_SHORT) name += " short";
    if (c.pattern != gemm_pattern::uniform) name += std::string(" ") + gemm_pattern_name(c.pattern);
    return name;
  }
  std::vector<op_case> cases_;
  std::map<std::string, int> names_;
};

struct types {
  uint32_t a, b, d;
};

constexpr types k_float_types[] = {{GK_F32, GK_F32, GK_F32},   {GK_F32, GK_F16, GK_F32},   {GK_F16, GK_F16, GK_F32},
                                   {GK_BF16, GK_BF16, GK_F32}, {GK_F16, GK_F16, GK_F16},   {GK_BF16, GK_BF16, GK_BF16},
                                   {GK_F32, GK_BF16, GK_F32},  {GK_BF16, GK_F16, GK_BF16}, {GK_F16, GK_F32, GK_F16}};
constexpr types k_i8 = {GK_I8, GK_I8, GK_I32};

gemm_case shape(const types &t, int64_t m, int64_t n, int64_t k) {
  return {.a_type = t.a, .b_type = t.b, .d_type = t.d, .m = m, .n = n, .k = k};
}

void add_selftest(case_list &list) {
  constexpr uint32_t uses = use_selftest | use_conformance;
  for (const types &t : k_float_types) {
    gemm_case c = shape(t, 17, 37, 67);
    c.pad_a = 3, c.pad_b = 1, c.pad_d = 5, c.alpha = 0.5f;
    list.add(uses, c);
  }
  for (const types &t : {k_float_types[0], k_float_types[1], k_float_types[3]}) {
    gemm_case c = shape(t, 5, 35, 41);
    c.epilogue = GK_EPILOGUE_SWIGLU;
    list.add(uses, c);
    c = shape(t, 15, 33, 530);
    c.beta = 1, c.c_is_d = true, c.pad_d = 1;
    list.add(uses, c);
    c = shape(t, 3, 17, 2100);
    c.pattern = gemm_pattern::large_first;
    list.add(uses, c);
  }
  gemm_case c = shape(k_i8, 17, 37, 131);
  c.pad_a = 3, c.pad_b = 1, c.pad_d = 5;
  list.add(uses, c);
  for (const gemm_pattern pattern : {gemm_pattern::all_max, gemm_pattern::all_min, gemm_pattern::max_times_min,
                                     gemm_pattern::alternating, gemm_pattern::large_first}) {
    c = shape(k_i8, 2, 19, 1101);
    c.pattern = pattern;
    list.add(uses, c);
  }
  for (const uint32_t f8 : {uint32_t(GK_F8_E4M3), uint32_t(GK_F8_E5M2)}) {
    c = shape({f8, f8, GK_F32}, 9, 21, 70);
    c.scale_block = 32;
    list.add(uses, c);
  }
}

void add_tails(case_list &list) {
  constexpr int64_t m_tails[] = {1, 2, 5, 6, 7, 8, 9, 13, 14, 15, 27, 28, 29, 31};
  constexpr int64_t n_tails[] = {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65};
  constexpr int64_t k_tails[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 257};
  generator random{0x7461696c73};
  const auto one_of = [&](const auto &values) { return values[random.next() % (sizeof values / sizeof *values)]; };
  uint32_t turn = 0;
  const auto layouts = [&](gemm_case c) {
    c.pad_a = int64_t(random.next() % 4), c.pad_b = int64_t(random.next() % 4), c.pad_d = int64_t(random.next() % 4);
    const bool integer = c.a_type == GK_I8;
    switch (turn++ % 5) {
      case 1:
        c.beta = 1, c.pad_c = int64_t(random.next() % 4);
        break;
      case 2:
        c.c_unread = true;
        break;
      case 3:
        c.beta = integer ? 1.f : -0.75f, c.alpha = integer ? 1.f : 1.25f, c.c_is_d = true;
        break;
      case 4:
        if (!integer) c.epilogue = GK_EPILOGUE_SWIGLU;
        break;
    }
    list.add(use_conformance, c);
  };
  for (const types &t : k_float_types)
    for (int i = 0; i < 20; ++i) layouts(shape(t, one_of(m_tails), one_of(n_tails), one_of(k_tails)));
  for (int i = 0; i < 40; ++i) layouts(shape(k_i8, one_of(m_tails), one_of(n_tails), one_of(k_tails)));
  // Every value of each axis at least once.
  for (const int64_t m : m_tails) layouts(shape(k_float_types[turn % 4], m, 33, 17));
  for (const int64_t n : n_tails) layouts(shape(k_float_types[turn % 4], 15, n, 17));
  for (const int64_t k : k_tails) layouts(shape(k_float_types[turn % 4], 15, 33, k));
  for (const int64_t k : k_tails) layouts(shape(k_i8, 15, 33, k));
}

void add_types(case_list &list) {
  constexpr uint32_t floats[] = {GK_F32, GK_F16, GK_BF16};
  for (const uint32_t a : floats)
    for (const uint32_t b : floats)
      for (const uint32_t d : floats) {
        gemm_case c = shape({a, b, d}, 19, 43, 101);
        c.beta = 0.5f, c.pad_c = 2;
        list.add(use_conformance, c);
        c = shape({a, b, d}, 11, 37, 59);
        c.epilogue = GK_EPILOGUE_SWIGLU, c.alpha = 0.75f;
        list.add(use_conformance, c);
      }
  for (const uint32_t f8 : {uint32_t(GK_F8_E4M3), uint32_t(GK_F8_E5M2)})
    for (const uint32_t d : floats)
      for (const int64_t block : {0, 1, 16, 128}) {
        gemm_case c = shape({f8, f8, d}, 7, 33, 150);
        c.scale_block = block, c.pad_a = 1, c.pad_b = 2;
        list.add(use_conformance, c);
        c.epilogue = GK_EPILOGUE_SWIGLU;
        list.add(use_conformance, c);
      }
}

void add_empty(case_list &list) {
  for (const types &t : {k_float_types[0], k_float_types[3], k_i8})
    for (const float beta : {0.f, 1.f}) {
      const int64_t extents[][3] = {{0, 5, 3}, {5, 0, 3}, {5, 37, 0}, {0, 0, 0}};
      for (const auto &e : extents) {
        gemm_case c = shape(t, e[0], e[1], e[2]);
        c.beta = beta, c.pad_d = 1;
        list.add(use_conformance, c);
      }
    }
}

void add_adversarial(case_list &list) {
  for (const types &t : {k_float_types[0], k_float_types[1], k_float_types[2], k_float_types[3]}) {
    for (const gemm_pattern pattern : {gemm_pattern::ones, gemm_pattern::large_first, gemm_pattern::large_last,
                                       gemm_pattern::alternating, gemm_pattern::subnormal}) {
      gemm_case c = shape(t, 7, 33, 4099);
      c.pattern = pattern;
      list.add(use_conformance, c);
    }
  }
  for (const gemm_pattern pattern : {gemm_pattern::all_max, gemm_pattern::all_min, gemm_pattern::max_times_min,
                                     gemm_pattern::alternating, gemm_pattern::large_first, gemm_pattern::large_last}) {
    for (const int64_t k : {2049, 131201}) {  // past 2^24; past 2^31 for -128 * -128
      gemm_case c = shape(k_i8, 3, 17, k);
      c.pattern = pattern, c.beta = k == 2049 ? 1.f : 0.f;
      list.add(use_conformance, c);
    }
  }
}

void add_blocks(case_list &list) {
  // Larger than one block of every implementation along each axis in turn, with a tail.
  constexpr int64_t extents[][3] = {
      {1, 1031, 2053}, {601, 67, 523}, {67, 601, 1031}, {130, 131, 3001}, {257, 263, 269}};
  for (const auto &e : extents)
    for (const types &t : {k_float_types[0], k_float_types[1], k_float_types[3], k_i8}) {
      gemm_case c = shape(t, e[0], e[1], e[2]);
      c.pad_d = 3;
      list.add(use_conformance, c);
    }
  gemm_case c = shape(k_float_types[1], 257, 301, 1025);
  c.epilogue = GK_EPILOGUE_SWIGLU;
  list.add(use_conformance, c);
  for (const types &t : {k_float_types[0], k_float_types[2], k_float_types[3], k_i8})
    list.add(use_full, shape(t, 1031, 1033, 1039));
}

// Rows that begin at multiples of 16 bytes, which kernels with vector or bulk copies ask for; k with and without a
// tail.
void add_aligned_rows(case_list &list) {
  constexpr int64_t extents[][3] = {{1, 8, 16},     {64, 128, 64},  {129, 257, 200}, {300, 150, 320},
                                    {65, 40, 1000}, {128, 256, 93}, {257, 520, 136}};
  for (const types &t : {k_float_types[1], k_float_types[3], k_float_types[4], k_i8})
    for (const auto &e : extents)
      for (const int variant : {0, 1, 2}) {
        gemm_case c = shape(t, e[0], e[1], e[2]);
        c.pad_a = (16 - e[2] % 16) % 16;
        c.pad_b = c.pad_a + 16;
        c.pad_d = variant;
        if (variant == 1) c.beta = 1, c.c_is_d = true;
        if (variant == 2) {
          if (t.a == GK_I8) continue;
          c.epilogue = GK_EPILOGUE_SWIGLU;
        }
        list.add(use_conformance, c);
      }
  // F8 with the scale blocks of published models, 128 x 128, and without; k of several blocks with a tail.
  constexpr int64_t f8_extents[][3] = {{1, 24, 48}, {130, 70, 400}, {70, 272, 1040}, {257, 40, 144}, {9, 40, 2320}};
  for (const uint32_t f8 : {uint32_t(GK_F8_E4M3), uint32_t(GK_F8_E5M2)})
    for (const auto &e : f8_extents)
      for (const int64_t block : {0, 128}) {
        gemm_case c = shape({f8, f8, e[1] == 70 ? GK_F32 : GK_BF16}, e[0], e[1], e[2]);
        c.pad_a = 16, c.pad_d = e[0] % 3, c.scale_block = block;
        if (e[0] == 70) c.epilogue = GK_EPILOGUE_SWIGLU;
        if (e[0] == 257) c.beta = 0.5f, c.pad_c = 1;
        list.add(use_conformance, c);
        c.accumulation = GK_ACCUMULATE_SHORT;
        list.add(use_conformance, c);
        if (e[0] != 130) continue;
        c.pattern = gemm_pattern::ones;
        list.add(use_conformance, c);
      }
  gemm_case c = shape({GK_F8_E4M3, GK_F8_E4M3, GK_F32}, 20, 32, 272);
  c.scale_block = 128;
  list.add(use_selftest | use_conformance, c);
  c.accumulation = GK_ACCUMULATE_SHORT;
  list.add(use_selftest | use_conformance, c);
  c = shape(k_float_types[1], 33, 48, 80);
  list.add(use_selftest | use_conformance, c);
  list.add(use_selftest | use_conformance, shape(k_i8, 33, 48, 160));
  // One row of wide tiles; four, because what tests such tiles has a device of few multiprocessors every other time.
  for (const int64_t k : {48, 144, 272, 400}) list.add(use_conformance, shape(k_i8, 100, 520, k));
  // The pair for a few rows, as decoding has them.
  for (const uint32_t f8 : {uint32_t(GK_F8_E4M3), uint32_t(GK_F8_E5M2)}) {
    gemm_case few = shape({f8, f8, GK_BF16}, 3, 24, 272);
    few.epilogue = GK_EPILOGUE_SWIGLU, few.accumulation = GK_ACCUMULATE_SHORT, few.scale_block = 128;
    list.add(use_conformance, few);
  }
}

void add_bench(case_list &list) {
  constexpr types timed[] = {{GK_F32, GK_F32, GK_F32},
                             {GK_F32, GK_F16, GK_F32},
                             {GK_F16, GK_F16, GK_F32},
                             {GK_BF16, GK_BF16, GK_BF16},
                             {GK_I8, GK_I8, GK_I32}};
  struct layer {
    int64_t n, k;
  };
  // Square; then the projections of transformers of about 1, 8 and 70 G parameters, and PoC v1's (2048, 7168).
  constexpr layer layers[] = {{2048, 2048}, {8192, 2048},  {7168, 2048},  {2048, 7168},
                              {4096, 4096}, {14336, 4096}, {4096, 14336}, {11008, 4096}};
  constexpr layer large[] = {{8192, 8192}, {28672, 8192}, {8192, 28672}};
  for (const types &t : timed) {
    list.add(use_bench, shape(t, 1024, 1024, 1024));
    list.add(use_bench, shape(t, 2048, 2048, 2048));
    for (const int64_t m : {1, 16, 256, 512})
      for (const layer &l : layers) list.add(use_bench, shape(t, m, l.n, l.k));
    if (dtype_size(t.b) > 2) continue;
    for (const int64_t m : {1, 512})
      for (const layer &l : large) list.add(use_bench, shape(t, m, l.n, l.k));
  }
  for (const int64_t m : {256, 512}) {
    gemm_case c = shape(k_float_types[1], m, 7168, 2048);
    c.epilogue = GK_EPILOGUE_SWIGLU;
    list.add(use_bench, c);
    c = shape(k_float_types[1], m, 2048, 7168);
    c.beta = 1, c.c_is_d = true;
    list.add(use_bench, c);
  }
}

}  // namespace

std::vector<op_case> gemm_cases() {
  case_list list;
  add_selftest(list);
  add_tails(list);
  add_types(list);
  add_empty(list);
  add_adversarial(list);
  add_blocks(list);
  add_aligned_rows(list);
  add_bench(list);
  return list.take();
}

}  // namespace gonka
