#include <cmath>

#include "case_data.hpp"
#include "normal_fill/normal_fill.hpp"
#include "normal_fill/ziggurat.hpp"

namespace gonka {
namespace {

float uniform(uint32_t key, uint32_t seed) {
  return float(murmur3_word(key, seed)) * 0x1p-32f;
}

// Elementary functions are evaluated in F64 and rounded once, which is as good as correctly rounded.
void murmur_segment(uint32_t seed, const normal_segment &segment, float sigma, uint32_t type, void *row) {
  const int64_t pairs = (segment.count + 1) / 2;
  for (int64_t i = 0; i < pairs; ++i) {
    const float u1 = std::max(uniform(uint32_t(i), seed), k_smallest_u1);
    const float u2 = uniform(uint32_t(pairs + i), seed);
    const float radius = float(std::sqrt(double(-2 * float(std::log(double(u1))))));
    const float angle = k_two_pi * u2;
    const float cosine = float(std::cos(double(angle))), sine = float(std::sin(double(angle)));
    write_element(type, row, uint64_t(segment.begin + i), double(radius * cosine * sigma));
    if (pairs + i < segment.count)
      write_element(type, row, uint64_t(segment.begin + pairs + i), double(radius * sine * sigma));
  }
}

// One draw after the other, as the definition reads.
double ziggurat_normal(pcg64 &rng) {
  for (;;) {
    const uint64_t r = rng.next();
    const uint32_t strip = uint32_t(r & 0xff);
    const uint64_t magnitude = r >> 9 & k_ziggurat_magnitude_mask;
    double x = double(magnitude) * k_ziggurat.width[strip];
    if (r >> 8 & 1) x = -x;
    if (magnitude < k_ziggurat.inside[strip]) return x;
    if (strip == 0) {
      double beyond, y;
      do {
        beyond = -k_ziggurat_inverse_r * std::log1p(-pcg64_uniform(rng.next()));
        y = -std::log1p(-pcg64_uniform(rng.next()));
      } while (!(y + y > beyond * beyond));
      return magnitude >> 8 & 1 ? -(k_ziggurat_r + beyond) : k_ziggurat_r + beyond;
    }
    const double lower = k_ziggurat.height[strip], upper = k_ziggurat.height[strip - 1];
    if ((upper - lower) * pcg64_uniform(rng.next()) + lower < std::exp(-0.5 * x * x)) return x;
  }
}

}  // namespace

void normal_fill_reference(void *problem, operand_pointers pointers) {
  const auto &p = *static_cast<const gk_normal_fill *>(problem);
  for (int64_t r = 0; r < p.rows; ++r) {
    void *row = static_cast<char *>(pointers[0]) + r * p.ldo * dtype_size(p.out_type);
    if (p.generator == GK_NORMAL_MURMUR3) {
      for (uint32_t s = 0; s < p.segments && normal_segment_of(p, s).count > 0; ++s)
        murmur_segment(p.seeds_u32[r * p.segments + s], normal_segment_of(p, s), float(p.sigma), p.out_type, row);
      continue;
    }
    const uint64_t *seed = p.seeds_u64 + 4 * r;
    pcg64 rng{uint128(seed[0]) << 64 | seed[1], uint128(seed[2]) << 64 | seed[3]};
    for (int64_t c = 0; c < p.columns; ++c) write_element(p.out_type, row, uint64_t(c), p.sigma * ziggurat_normal(rng));
  }
}

}  // namespace gonka
