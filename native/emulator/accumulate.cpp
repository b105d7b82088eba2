#include "accumulate.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

namespace gonka::emulator {
namespace {

constexpr uint32_t k_columns = 8;

float cut_to_f32(double exact) {
  const float nearest = float(exact);
  if (std::fabs(double(nearest)) <= std::fabs(exact)) return nearest;
  return std::nextafterf(nearest, 0.0f);
}

// One group of up to 32 products for 8 columns. b is [x][8].
void add_group(accumulator_model model, uint32_t terms, const float *a, const float *b, float *d) {
  double products[32][k_columns];
  double top[k_columns], total[k_columns];
  for (uint32_t j = 0; j < k_columns; ++j) {
    total[j] = d[j];
    top[j] = std::fabs(double(d[j]));
  }
  for (uint32_t x = 0; x < terms; ++x)
    for (uint32_t j = 0; j < k_columns; ++j) {
      const double p = double(a[x]) * double(b[x * k_columns + j]);
      products[x][j] = p;
      total[j] += p;
      const double magnitude = std::fabs(p);
      top[j] = magnitude > top[j] ? magnitude : top[j];
    }
  for (uint32_t j = 0; j < k_columns; ++j) {
    if (!(std::fabs(total[j]) < HUGE_VAL) || top[j] == 0) {  // infinities and NaN follow IEEE; all zero stays zero
      d[j] = float(total[j]);
      continue;
    }
    const uint64_t exponent = std::bit_cast<uint64_t>(top[j]) & 0x7ff0000000000000;
    const double quantum = std::bit_cast<double>(exponent - (uint64_t(model.fraction_bits) << 52));
    const double scale = std::bit_cast<double>((uint64_t(2046) << 52) - std::bit_cast<uint64_t>(quantum));
    int32_t sum = int32_t(double(d[j]) * scale);  // conversion cuts; |sum| < 33 * 2^26
    for (uint32_t x = 0; x < terms; ++x) sum += int32_t(products[x][j] * scale);
    d[j] = cut_to_f32(double(sum) * quantum);
  }
}

bool all_finite(const float *p, size_t count) {
  return std::all_of(p, p + count, [](float x) { return std::isfinite(x); });
}

}  // namespace

void accumulate(const options &how, product_type type, uint32_t m, uint32_t n, uint32_t k, const float *a,
                const float *b, float *d) {
  const accumulator_model model = tensor_core_model(how.compute_capability, type);
  std::vector<float> panel(size_t(k) * k_columns);
  // Rows of zeros, which pad tiles, add nothing: the sum is the accumulator, unless it is wider than what is kept of
  // it.
  std::vector<bool> adds(m, true);
  if (model.fraction_bits >= 24 && all_finite(b, size_t(n) * k))
    for (uint32_t i = 0; i < m; ++i)
      adds[i] = std::any_of(a + size_t(i) * k, a + size_t(i + 1) * k, [](float x) { return x != 0; });
  for (uint32_t j0 = 0; j0 < n; j0 += k_columns) {
    for (uint32_t x = 0; x < k; ++x)
      for (uint32_t j = 0; j < k_columns; ++j) panel[size_t(x) * k_columns + j] = b[size_t(j0 + j) * k + x];
    for (uint32_t i = 0; i < m; ++i) {
      if (!adds[i]) continue;
      float *row = d + size_t(i) * n + j0;
      if (how.sums == accumulation::tensor_core) {
        for (uint32_t x = 0; x < k; x += model.group)
          add_group(model, x + model.group <= k ? model.group : k - x, a + size_t(i) * k + x, &panel[size_t(x) * 8],
                    row);
      } else {
        for (uint32_t x = 0; x < k; ++x)
          for (uint32_t j = 0; j < k_columns; ++j) row[j] += a[size_t(i) * k + x] * panel[size_t(x) * k_columns + j];
      }
    }
  }
}

}  // namespace gonka::emulator
