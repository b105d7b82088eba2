// Standard normals by the 256-strip ziggurat exactly as NumPy's Generator.standard_normal draws them from PCG64.
// Source: Marsaglia and Tsang, J. Stat. Soft. 5(8), 2000, in Doornik's variant.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "pcg64.hpp"

namespace gonka {

// A draw holds strip (bits 0..7), sign (bit 8) and magnitude m (bits 9..60): x = m * width[strip], taken at once if
// m < inside[strip]. height[i] = exp(-x_i^2 / 2). Strip 0 is the base strip with the tail.
struct ziggurat_tables {
  std::array<uint64_t, 256> inside;
  std::array<double, 256> width;
  std::array<double, 256> height;
};

extern const ziggurat_tables k_ziggurat;

inline constexpr double k_ziggurat_r = 3.6541528853610088;                 // where the tail begins
inline constexpr double k_ziggurat_inverse_r = 0.27366123732975828;        // 1 / r
inline constexpr uint64_t k_ziggurat_magnitude_mask = 0x000fffffffffffff;  // 52 bits

// How often each path was taken.
struct ziggurat_counts {
  uint64_t inside = 0, tail = 0, tail_loops = 0, wedge_accepted = 0, wedge_rejected = 0;
};

// Reads normals off a generator's output, looking ahead in blocks. Bit-exact, given a correctly rounded or glibc-like
// log1p and exp on the rare paths (tail 0.025 %, wedge 1.5 % of the draws). One thread.
class normal_reader {
 public:
  explicit normal_reader(const pcg64 &rng, ziggurat_counts *counts = nullptr) : ahead_(rng), counts_(counts) {}

  double next();

  // Writes normals until `count` are written or the next one would begin at or after draw `draw_limit`. Returns how
  // many were written.
  size_t read(double *out, size_t count, uint64_t draw_limit = ~uint64_t(0));

  // Draws consumed so far; the next normal begins there.
  uint64_t position() const { return loaded_ - (end_ - at_); }

 private:
  uint64_t draw();
  bool resolve(uint64_t r, double *out);  // the rare paths; false: rejected, start anew
  void refill();

  pcg64 ahead_;
  ziggurat_counts *counts_;
  uint64_t loaded_ = 0;  // draws ever put into block_
  uint32_t at_ = 0, end_ = 0;
  uint32_t next_size_ = 64;  // blocks grow, so that a short read does not compute many unused draws
  std::array<uint64_t, 1024> block_;
};

// Writes `count` normals and advances rng past the draws they took.
void fill_normals(pcg64 &rng, double *out, size_t count);

}  // namespace gonka
