// How tensor cores multiply and add, as a model.
//
// A matrix instruction adds, for every element, the accumulator and `group` products at a time. Products are exact; all
// terms are aligned to the largest exponent among them, cut (not rounded) after `fraction_bits` bits below that
// exponent, added exactly, and the sum is cut to F32. Source of the scheme: Fasi, Higham, Mikaitis and Pranesh,
// "Numerical behavior of NVIDIA tensor cores", PeerJ Computer Science 7:e330, 2021, sections 3 and 4 (blocks of 4 on
// V100, 8 on A100; truncation; extra bits). Hopper's F8 width: DeepSeek-V3 technical report, arXiv 2412.19437, section
// 3.5.2 (about 14 bits). Widths of other generations are assumptions on the cautious side.
#pragma once

#include <cstdint>

#include "emulator.hpp"

namespace gonka::emulator {

enum class product_type : uint8_t { half, f8 };  // half: F16 and BF16

struct accumulator_model {
  uint32_t group;          // products added at once
  uint32_t fraction_bits;  // kept below the largest exponent
};

constexpr accumulator_model tensor_core_model(uint32_t compute_capability, product_type type) {
  const bool hopper = compute_capability == 90;
  const bool datacenter_blackwell = compute_capability >= 100 && compute_capability < 120;
  if (type == product_type::f8) {
    if (datacenter_blackwell) return {32, 25};
    return {hopper ? 32u : 16u, 13};
  }
  if (hopper || datacenter_blackwell) return {16, 25};
  return {8, 24};
}

// d[i][j] += sum over x of a[i][x] * b[j][x], k terms; a and b dense with k contiguous, d dense [m][n]; n a multiple
// of 8. Operands are short floats widened to F32.
void accumulate(const options &how, product_type type, uint32_t m, uint32_t n, uint32_t k, const float *a,
                const float *b, float *d);

}  // namespace gonka::emulator
