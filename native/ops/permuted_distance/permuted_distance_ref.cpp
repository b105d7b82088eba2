#include <cmath>
#include <numeric>
#include <utility>

#include "case_data.hpp"
#include "normal_fill/pcg64.hpp"
#include "permuted_distance.hpp"

namespace gonka {
namespace {

// Halves of 64-bit outputs, the low one first.
class half_draws {
 public:
  explicit half_draws(const pcg64 &rng) : rng_(rng) {}
  uint32_t next() {
    if (have_high_) {
      have_high_ = false;
      return high_;
    }
    const uint64_t both = rng_.next();
    high_ = uint32_t(both >> 32);
    have_high_ = true;
    return uint32_t(both);
  }

 private:
  pcg64 rng_;
  uint32_t high_ = 0;
  bool have_high_ = false;
};

std::vector<uint32_t> shuffled(uint32_t count, const uint64_t *seed) {
  half_draws draws(pcg64{uint128(seed[0]) << 64 | seed[1], uint128(seed[2]) << 64 | seed[3]});
  std::vector<uint32_t> out(count);
  std::iota(out.begin(), out.end(), 0u);
  for (uint32_t i = count; i-- > 1;) {
    uint32_t mask = 1;
    while (mask < i) mask = mask << 1 | 1;
    uint32_t j;
    do j = draws.next() & mask;
    while (j > i);
    std::swap(out[i], out[j]);
  }
  return out;
}

template <class T>
T pairwise_sum(const T *terms, size_t count) {
  if (count > 128) {
    const size_t half = count / 2 / 8 * 8;
    return pairwise_sum(terms, half) + pairwise_sum(terms + half, count - half);
  }
  T sum = 0;
  size_t i = 0;
  if (count >= 8) {
    T running[8] = {};
    for (; i + 8 <= count; i += 8)
      for (size_t j = 0; j < 8; ++j) running[j] += terms[i + j];
    sum = ((running[0] + running[1]) + (running[2] + running[3])) +
          ((running[4] + running[5]) + (running[6] + running[7]));
  }
  for (; i < count; ++i) sum += terms[i];
  return sum;
}

}  // namespace

void permuted_distance_reference(void *problem, operand_pointers pointers) {
  const auto &p = *static_cast<const gk_permuted_distance *>(problem);
  const auto *target = static_cast<const double *>(pointers[k_distance_target]);
  std::vector<float> values(size_t(p.columns)), squares(size_t(p.columns));
  std::vector<double> differences(size_t(p.columns));
  for (int64_t r = 0; r < p.rows; ++r) {
    const std::vector<uint32_t> permutation = shuffled(uint32_t(p.columns), p.seeds + 4 * r);
    for (size_t j = 0; j < values.size(); ++j) {
      values[j] = float(read_element(p.x_type, pointers[k_distance_x], uint64_t(r * p.ldx + permutation[j])));
      squares[j] = values[j] * values[j];
    }
    const float norm = std::sqrt(pairwise_sum(squares.data(), squares.size()));
    for (size_t j = 0; j < values.size(); ++j) {
      const double difference = double(values[j] / norm) - target[j];
      differences[j] = difference * difference;
    }
    static_cast<double *>(pointers[k_distance_out])[r] =
        std::sqrt(pairwise_sum(differences.data(), differences.size()));
  }
}

}  // namespace gonka
