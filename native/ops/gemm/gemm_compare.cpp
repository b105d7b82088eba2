#include "gemm_compare.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "number.hpp"

namespace gonka {
namespace {

using bytes = std::vector<std::byte>;

double element(const bytes &data, uint32_t type, int64_t index) {
  const auto at = [&]<class T>(T value) {
    std::memcpy(&value, data.data() + size_t(index) * sizeof value, sizeof value);
    return value;
  };
  switch (type) {
    case GK_F32:
      return at(float());
    case GK_F16:
      return f16_to_f32(at(uint16_t()));
    case GK_BF16:
      return bf16_to_f32(at(uint16_t()));
    case GK_F8_E4M3:
      return e4m3_to_f32(at(uint8_t()));
    case GK_F8_E5M2:
      return e5m2_to_f32(at(uint8_t()));
    case GK_I32:
      return at(int32_t());
    default:
      return at(int8_t());
  }
}

// Distance to the next number of the type at this magnitude.
double spacing(uint32_t type, double magnitude) {
  const int digits = type == GK_F32 ? 23 : type == GK_F16 ? 10 : 7;
  const int lowest = type == GK_F16 ? -14 : -126;
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  return std::ldexp(1.0, std::max(exponent - 1, lowest) - digits);
}

constexpr double k_eps32 = 0x1p-23;
// Of random data in short sums: about 130 cuts of at most 2^-13 of a term or sum, neither above an eighth of sum|a||b|,
// add up like a random walk: 12 2^-13 / 8.
constexpr double k_short_rms = 1.5 * 0x1p-13;

bool is_f8(uint32_t type) {
  return type == GK_F8_E4M3 || type == GK_F8_E5M2;
}

struct magnitudes {
  double sum = 0;   // sum |a||b|
  double lost = 0;  // of it, what an implementation may drop: bf16 pairs with a subnormal member
};

// A or B widened once, with its scales.
struct widened {
  std::vector<double> values;
  std::vector<bool> subnormal_row;

  widened(const bytes &data, uint32_t type, int64_t rows, int64_t k, int64_t ld, const bytes &scale, int64_t block_rows,
          int64_t block_k)
      : values(size_t(rows * k)), subnormal_row(size_t(rows)) {
    const int64_t k_blocks = scale.empty() ? 0 : (k + block_k - 1) / block_k;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t x = 0; x < k; ++x) {
        double v = element(data, type, r * ld + x);
        if (type == GK_BF16 && v != 0 && std::abs(v) < 0x1p-126) subnormal_row[size_t(r)] = true;
        if (!scale.empty()) v *= element(scale, GK_F32, r / block_rows * k_blocks + x / block_k);
        values[size_t(r * k + x)] = v;
      }
  }
};

magnitudes accumulate(const widened &a, int64_t i, const widened &b, int64_t j, int64_t k, bool may_flush) {
  magnitudes m;
  const double *x = a.values.data() + i * k, *y = b.values.data() + j * k;
  for (int64_t t = 0; t < k; ++t) m.sum += std::abs(x[t] * y[t]);
  if (!may_flush) return m;
  m.lost = double(k) * 0x1p-126;
  if (a.subnormal_row[size_t(i)] || b.subnormal_row[size_t(j)])
    for (int64_t t = 0; t < k; ++t)
      if (std::abs(x[t]) < 0x1p-126 || std::abs(y[t]) < 0x1p-126) m.lost += std::abs(x[t] * y[t]);
  return m;
}

double dot(const widened &a, int64_t i, const widened &b, int64_t j, int64_t k) {
  double sum = 0;
  for (int64_t x = 0; x < k; ++x) sum += a.values[size_t(i * k + x)] * b.values[size_t(j * k + x)];
  return sum;
}

void judge(comparison &out, double got, double want, double bound, int64_t index) {
  double ratio;
  if (got == want || (std::isnan(got) && std::isnan(want)))
    ratio = 0;
  else if (!std::isfinite(got) || !std::isfinite(want))
    ratio = std::numeric_limits<double>::infinity();
  else
    ratio = bound > 0 ? std::abs(got - want) / bound : std::numeric_limits<double>::infinity();
  if (ratio > out.worst || out.worst_index < 0) {
    out.worst = ratio;
    out.worst_index = index;
    out.got = got;
    out.want = want;
  }
}

}  // namespace

const char *gemm_pattern_name(gemm_pattern pattern) noexcept {
  constexpr const char *k_names[] = {"uniform", "ones",    "large_first",   "large_last", "alternating",
                                     "all_max", "all_min", "max_times_min", "subnormal"};
  return k_names[int(pattern)];
}

comparison gemm_compare(const gemm_case &c, const gk_gemm &p, const std::vector<bytes> &got,
                        const std::vector<bytes> &want) {
  comparison out;
  out.operand = "d";
  const bool exact = p.a_type == GK_I8, pair = p.epilogue == GK_EPILOGUE_SWIGLU;
  const auto measure = [&](gemm_operand which, gemm_operand scale, int64_t rows, int64_t ld, int64_t block_rows,
                           uint32_t type) {
    return widened(want[which], type, exact ? 0 : rows, p.k, ld, want[scale], block_rows, p.scale_block_k);
  };
  const auto a = measure(k_gemm_a, k_gemm_a_scale, p.m, p.lda, 1, p.a_type);
  const auto b = measure(k_gemm_b, k_gemm_b_scale, p.n, p.ldb, p.scale_block_n, p.b_type);
  const auto b2 = measure(k_gemm_b2, k_gemm_b2_scale, pair ? p.n : 0, p.ldb, p.scale_block_n, p.b_type);
  const bool may_flush = p.a_type == GK_BF16 && p.b_type == GK_BF16;
  // Products of 1 add up exactly in short sums too, so that a missing one shows.
  const bool shortened = p.accumulation == GK_ACCUMULATE_SHORT && is_f8(p.a_type) && c.pattern != gemm_pattern::ones;
  const double growth = 2 * double(p.k + 2) * k_eps32 + (shortened ? 17 * 0x1p-10 : 0);
  const double alpha = std::abs(double(p.alpha));

  double error2 = 0, want2 = 0, conditioned2 = 0;
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) {
      const int64_t at = i * p.ldd + j, index = i * p.n + j;
      const double g = element(got[k_gemm_d], p.d_type, at), w = element(want[k_gemm_d], p.d_type, at);
      if (exact) {
        judge(out, g, w, 0, index);
        continue;
      }
      const magnitudes first = accumulate(a, i, b, j, p.k, may_flush);
      double bound = alpha * (growth * first.sum + first.lost), size = alpha * first.sum;
      if (pair) {
        // silu is 1.1-Lipschitz and |silu(x)| <= |x|; 8 eps32 for its own evaluation.
        const magnitudes second = accumulate(a, i, b2, j, p.k, may_flush);
        const double gate_error = bound, up_error = alpha * (growth * second.sum + second.lost);
        const double gate = p.alpha * dot(a, i, b, j, p.k), up = p.alpha * dot(a, i, b2, j, p.k);
        const double silu = std::abs(gate / (1 + std::exp(-gate)));
        bound =
            1.1 * gate_error * std::abs(up) + (silu + 1.1 * gate_error) * up_error + 8 * k_eps32 * silu * std::abs(up);
        size = 1.1 * (size * std::abs(up) + std::abs(gate) * alpha * second.sum);
      }
      if (p.beta != 0) {
        // |beta c| <= |d| + |alpha| sum|a||b|; C itself is gone where it is D.
        const double product = std::abs(w) + alpha * first.sum;
        bound += k_eps32 * product;
        size += product;
      }
      bound += spacing(p.d_type, std::max(std::abs(g), std::abs(w)));
      judge(out, g, w, bound, index);
      if (std::isfinite(g) && std::isfinite(w)) {
        error2 += (g - w) * (g - w);
        want2 += w * w;
        const double rounding = spacing(p.d_type, std::abs(w));
        const double factor = c.pattern != gemm_pattern::uniform ? growth : shortened ? k_short_rms : 2 * k_eps32;
        const double allowed = factor * size + rounding + alpha * first.lost;
        conditioned2 += allowed * allowed;
      }
    }
  if (want2 > 0) {
    out.aggregate = std::sqrt(error2 / want2);
    out.aggregate_limit = std::sqrt(conditioned2 / want2);
  } else {
    out.aggregate = std::sqrt(error2);
    out.aggregate_limit = std::sqrt(conditioned2);
  }
  return out;
}

}  // namespace gonka
