#include "ziggurat.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "ziggurat_tables.hpp"

namespace gonka {

constinit const ziggurat_tables k_ziggurat = make_ziggurat_tables();

void pcg64_fill(pcg64 &rng, uint64_t *out, size_t count) noexcept {
  const pcg64::jump four = rng.jump_of(4);
  uint128 lane[4];
  pcg64 start = rng;
  for (uint128 &state : lane) {
    start.next();
    state = start.state;
  }
  size_t i = 0;
  for (; i + 4 <= count; i += 4)
    for (int l = 0; l < 4; ++l) {
      out[i + l] = pcg64::output(lane[l]);
      rng.state = lane[l];
      lane[l] = lane[l] * four.multiplier + four.addend;
    }
  for (; i < count; ++i) out[i] = rng.next();
}

void normal_reader::refill() {
  pcg64_fill(ahead_, block_.data(), next_size_);
  at_ = 0;
  end_ = next_size_;
  loaded_ += next_size_;
  next_size_ = std::min<uint32_t>(next_size_ * 4, uint32_t(block_.size()));
}

uint64_t normal_reader::draw() {
  if (at_ == end_) refill();
  return block_[at_++];
}

bool normal_reader::resolve(uint64_t r, double *out) {
  const uint32_t strip = r & 0xff;
  const bool negative = r & 0x100;
  const uint64_t magnitude = (r >> 9) & k_ziggurat_magnitude_mask;
  if (strip == 0) {
    for (;;) {
      if (counts_ != nullptr) ++counts_->tail_loops;
      const double xx = -k_ziggurat_inverse_r * std::log1p(-pcg64_uniform(draw()));
      const double yy = -std::log1p(-pcg64_uniform(draw()));
      if (yy + yy > xx * xx) {
        // The tail takes its sign from bit 8 of the magnitude, not from the sign bit.
        *out = (magnitude >> 8) & 1 ? -(k_ziggurat_r + xx) : k_ziggurat_r + xx;
        if (counts_ != nullptr) ++counts_->tail;
        return true;
      }
    }
  }
  const double x = double(magnitude) * k_ziggurat.width[strip];
  const double upper = k_ziggurat.height[strip - 1], lower = k_ziggurat.height[strip];
  const bool accepted = (upper - lower) * pcg64_uniform(draw()) + lower < std::exp(-0.5 * x * x);
  if (counts_ != nullptr) ++(accepted ? counts_->wedge_accepted : counts_->wedge_rejected);
  *out = negative ? -x : x;
  return accepted;
}

size_t normal_reader::read(double *out, size_t count, uint64_t draw_limit) {
  size_t written = 0;
  while (written < count && position() < draw_limit) {
    if (at_ == end_) refill();
    const size_t run =
        size_t(std::min<uint64_t>({uint64_t(count - written), uint64_t(end_ - at_), draw_limit - position()}));
    const uint64_t *draws = block_.data() + at_;
    size_t i = 0;
    for (; i < run; ++i) {
      const uint64_t r = draws[i];
      const uint32_t strip = r & 0xff;
      const uint64_t magnitude = (r >> 9) & k_ziggurat_magnitude_mask;
      const double x = double(int64_t(magnitude)) * k_ziggurat.width[strip];
      out[written + i] = std::bit_cast<double>(std::bit_cast<uint64_t>(x) | (r & 0x100) << 55);
      if (magnitude >= k_ziggurat.inside[strip]) break;
    }
    written += i;
    at_ += uint32_t(i);
    if (counts_ != nullptr) counts_->inside += i;
    if (i < run && resolve(draw(), out + written)) ++written;
  }
  return written;
}

double normal_reader::next() {
  double value;
  while (read(&value, 1) == 0) {
  }
  return value;
}

void fill_normals(pcg64 &rng, double *out, size_t count) {
  normal_reader reader(rng);
  reader.read(out, count);
  rng.advance(reader.position());
}

}  // namespace gonka
