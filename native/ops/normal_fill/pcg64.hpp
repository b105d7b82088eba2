// PCG XSL-RR 128/64, the generator behind NumPy's default_rng. O'Neill, HMC-CS-2014-0905.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace gonka {

__extension__ typedef unsigned __int128 uint128;

inline constexpr uint128 k_pcg64_multiplier = uint128(0x2360ED051FC65DA4) << 64 | 0x4385DF649FCCF645;

// The state advances first, the output is taken from the new state. increment is odd.
struct pcg64 {
  uint128 state;
  uint128 increment;

  // Seeding as NumPy does it from four words of a SeedSequence: (initial state, stream), high word first.
  static pcg64 seeded(uint64_t state_high, uint64_t state_low, uint64_t stream_high, uint64_t stream_low) {
    pcg64 rng{0, (uint128(stream_high) << 64 | stream_low) << 1 | 1};
    rng.step();
    rng.state += uint128(state_high) << 64 | state_low;
    rng.step();
    return rng;
  }

  uint64_t next() {
    step();
    return output(state);
  }

  // As if next() had been called `draws` times. O(log draws).
  void advance(uint64_t draws) {
    const jump j = jump_of(draws);
    state = state * j.multiplier + j.addend;
  }

  // The affine map that `draws` steps amount to: state -> state * multiplier + addend.
  struct jump {
    uint128 multiplier, addend;
  };
  jump jump_of(uint64_t draws) const {
    jump total{1, 0}, power{k_pcg64_multiplier, increment};
    for (; draws != 0; draws >>= 1) {
      if (draws & 1) total = {total.multiplier * power.multiplier, total.addend * power.multiplier + power.addend};
      power = {power.multiplier * power.multiplier, power.addend * power.multiplier + power.addend};
    }
    return total;
  }

  static uint64_t output(uint128 state) {
    return std::rotr(uint64_t(state >> 64) ^ uint64_t(state), int(uint64_t(state >> 122)));
  }

 private:
  void step() { state = state * k_pcg64_multiplier + increment; }
};

// Writes the next `count` outputs and advances past them. Four interleaved sequences hide the multiplication's latency.
void pcg64_fill(pcg64 &rng, uint64_t *out, size_t count) noexcept;

// A double in [0, 1) from the upper 53 bits of an output.
inline double pcg64_uniform(uint64_t draw) {
  return double(draw >> 11) * 0x1p-53;
}

}  // namespace gonka
