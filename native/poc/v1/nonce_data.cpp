#include "v1/nonce_data.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "normal_fill/ziggurat.hpp"
#include "v1/seed.hpp"

namespace gonka::poc_v1 {
namespace {

// NumPy's pairwise sum: blocks of up to 128 in eight running sums, halves split at multiples of eight.
double pairwise_sum_of_squares(const double *v, size_t count) {
  if (count < 8) {
    double sum = 0;
    for (size_t i = 0; i < count; ++i) sum += v[i] * v[i];
    return sum;
  }
  if (count <= 128) {
    double part[8];
    for (size_t l = 0; l < 8; ++l) part[l] = v[l] * v[l];
    size_t i = 8;
    for (; i + 8 <= count; i += 8)
      for (size_t l = 0; l < 8; ++l) part[l] += v[i + l] * v[i + l];
    double sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    for (; i < count; ++i) sum += v[i] * v[i];
    return sum;
  }
  const size_t half = count / 2 / 8 * 8;
  return pairwise_sum_of_squares(v, half) + pairwise_sum_of_squares(v + half, count - half);
}

void write_words(const pcg64 &rng, std::span<uint64_t, 4> words) {
  words[0] = uint64_t(rng.state >> 64);
  words[1] = uint64_t(rng.state);
  words[2] = uint64_t(rng.increment >> 64);
  words[3] = uint64_t(rng.increment);
}

}  // namespace

double l2_norm(std::span<const double> v) {
  return std::sqrt(pairwise_sum_of_squares(v.data(), v.size()));
}

void make_target(std::string_view block_hash, std::span<double> target) {
  pcg64 rng = generator(target_seed(block_hash), 1);
  fill_normals(rng, target.data(), target.size());
  const double norm = l2_norm(target);
  for (double &value : target) value /= norm;
}

void round_to_f16(const double *values, size_t count, double sigma, uint16_t *out) {
  // Without branches, so that the compiler can use vectors. Normals never reach F16's infinity at sigma <= 1, but other
  // sigmas may; both ends are handled by selects.
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(float(sigma * values[i]));
    const uint32_t magnitude = bits & 0x7fffffff;
    const uint32_t normal = (magnitude + 0xfff + ((magnitude >> 13) & 1) - 0x38000000) >> 13;
    const uint32_t subnormal = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000;
    uint32_t half = magnitude < 0x38800000 ? subnormal : normal;
    half = magnitude >= 0x477ff000 ? 0x7c00 : half;
    half = magnitude > 0x7f800000 ? 0x7e00 : half;
    out[i] = uint16_t(half | (bits >> 16 & 0x8000));
  }
}

void input_generator(std::string_view block_hash, std::string_view public_key, uint64_t nonce,
                     std::span<uint64_t, 4> words) {
  write_words(generator(input_seed(block_hash, public_key, nonce), 4), words);
}

void permutation_generator(std::string_view block_hash, std::string_view public_key, uint64_t nonce,
                           std::span<uint64_t, 4> words) {
  write_words(generator(permutation_seed(block_hash, public_key, nonce), 1), words);
}

void make_inputs(std::string_view block_hash, std::string_view public_key, uint64_t nonce, std::span<uint16_t> inputs) {
  normal_reader reader(generator(input_seed(block_hash, public_key, nonce), 4));
  std::array<double, 1024> block;
  for (size_t done = 0; done < inputs.size();) {
    const size_t count = std::min(block.size(), inputs.size() - done);
    reader.read(block.data(), count);
    round_to_f16(block.data(), count, 1, inputs.data() + done);
    done += count;
  }
}

void make_permutation(std::string_view block_hash, std::string_view public_key, uint64_t nonce,
                      std::span<int32_t> permutation) {
  const size_t size = permutation.size();
  for (size_t i = 0; i < size; ++i) permutation[i] = int32_t(i);
  if (size < 2) return;
  pcg64 rng = generator(permutation_seed(block_hash, public_key, nonce), 1);
  std::array<uint64_t, 512> draws;
  uint32_t i = uint32_t(size - 1);
  // A rejected draw swaps i with itself: no branch depends on the random bits.
  const auto take = [&](uint32_t draw, uint32_t mask) {
    const uint32_t j = draw & mask;
    const bool accepted = j <= i;
    const uint32_t other = accepted ? j : i;
    const int32_t a = permutation[i], b = permutation[other];
    permutation[i] = b;
    permutation[other] = a;
    i -= accepted;
  };
  while (i > 0) {
    pcg64_fill(rng, draws.data(), draws.size());
    for (const uint64_t draw : draws) {
      // Every draw is masked for the i it meets, so the mask is taken anew for each half.
      take(uint32_t(draw), ~uint32_t(0) >> std::countl_zero(i));
      if (i == 0) break;
      take(uint32_t(draw >> 32), ~uint32_t(0) >> std::countl_zero(i));
      if (i == 0) break;
    }
  }
}

}  // namespace gonka::poc_v1
