// PCG XSL-RR 128/64 in kernels: see ops/normal_fill/pcg64.hpp.
#pragma once

#include "normal_fill/pcg64.hpp"
#include "ptx.cuh"

namespace gonka::cuda {

using namespace gonka::ptx;

// Some number of draws at a time: state -> state * multiplier + sum * increment.
struct pcg_jump {
  uint64_t multiplier_high, multiplier_low, sum_high, sum_low;
};

// Host: the jump over `draws` draws of any generator.
inline pcg_jump pcg_jump_over(uint64_t draws) {
  const pcg64 unit{0, 1};  // with increment 1 the addend of a jump is the sum that multiplies any increment
  const pcg64::jump j = unit.jump_of(draws);
  return {uint64_t(j.multiplier >> 64), uint64_t(j.multiplier), uint64_t(j.addend >> 64), uint64_t(j.addend)};
}

struct pcg_state {
  uint128 state, increment;
};

GK_DEVICE uint128 wide(uint64_t high, uint64_t low) {
  return uint128(high) << 64 | low;
}

// Four words: state high, state low, increment high, increment low.
GK_DEVICE pcg_state pcg_load(gptr<const uint64_t> seed) {
  return {wide(ld_global(seed), ld_global(seed + 1)), wide(ld_global(seed + 2), ld_global(seed + 3))};
}

GK_DEVICE uint64_t pcg_output(const pcg_state &g) {
  const uint64_t high = uint64_t(g.state >> 64), x = high ^ uint64_t(g.state);
  const uint32_t turn = uint32_t(high >> 58);
  return x >> turn | x << ((64 - turn) & 63);
}

GK_DEVICE uint64_t pcg_next(pcg_state &g) {
  g.state = g.state * wide(0x2360ED051FC65DA4, 0x4385DF649FCCF645) + g.increment;
  return pcg_output(g);
}

GK_DEVICE void pcg_take(pcg_state &g, const pcg_jump &jump) {
  g.state = g.state * wide(jump.multiplier_high, jump.multiplier_low) + wide(jump.sum_high, jump.sum_low) * g.increment;
}

// jumps[i] is that over 2^i draws; draws < 2^count.
GK_DEVICE void pcg_advance(pcg_state &g, const pcg_jump *jumps, uint32_t count, uint32_t draws) {
  GK_NO_UNROLL
  for (uint32_t i = 0; i < count; ++i)
    if (draws >> i & 1) pcg_take(g, jumps[i]);
}

}  // namespace gonka::cuda
