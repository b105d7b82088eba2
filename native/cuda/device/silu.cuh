// silu(x) * up as the definition of silu_mul and of the SWIGLU epilogue has it.
#pragma once

#include "ptx.cuh"

namespace gonka::cuda {

using namespace gonka::ptx;

// Where exp(-x) would overflow, exp(x) is applied in two halves, of which neither is subnormal. Quick: relative error
// up to 3e-6 (the product with log2(e) rounds), for results that are rounded to two bytes.
template <bool Quick = false>
GK_DEVICE float silu_times(float x, float up) {
  if (x > -40.0f) {
    if constexpr (Quick) return x * rcp_approx(1 + ex2_approx(x * -1.4426950408889634f)) * up;
    return div_rn(x, 1 + exp_f32(-x)) * up;
  }
  const float half = exp_f32(0.5f * x);
  return x * half * up * half;
}

}  // namespace gonka::cuda
