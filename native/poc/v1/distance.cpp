#include "v1/distance.hpp"

#include <cmath>

#include "v1/nonce_data.hpp"

namespace gonka::poc_v1 {
namespace {

// NumPy's pairwise summation (numpy/core/src/umath/loops_utils.h.src): eight accumulators up to 128 elements, halves
// rounded to multiples of eight above. value(i) gives the i-th term.
template <class F>
float pairwise_sum(const F &value, int64_t begin, int64_t n) {
  if (n < 8) {
    float sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += value(begin + i);
    return sum;
  }
  if (n <= 128) {
    float r[8];
    for (int j = 0; j < 8; ++j) r[j] = value(begin + j);
    int64_t i = 8;
    for (; i < n - n % 8; i += 8)
      for (int j = 0; j < 8; ++j) r[j] += value(begin + i + j);
    float sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; ++i) sum += value(begin + i);
    return sum;
  }
  int64_t half = n / 2;
  half -= half % 8;
  return pairwise_sum(value, begin, half) + pairwise_sum(value, begin + half, n - half);
}

}  // namespace

double distance(std::span<const float> logits, std::span<const int32_t> permutation, std::span<const double> target,
                std::span<double> scratch) {
  const auto permuted = [&](int64_t j) { return logits[size_t(permutation[size_t(j)])]; };
  const auto square = [&](int64_t j) {
    const float v = permuted(j);
    return v * v;
  };
  const int64_t n = int64_t(logits.size());
  const float norm = std::sqrt(pairwise_sum(square, 0, n));
  for (int64_t j = 0; j < n; ++j) scratch[size_t(j)] = double(permuted(j) / norm) - target[size_t(j)];
  return l2_norm(scratch);
}

}  // namespace gonka::poc_v1
