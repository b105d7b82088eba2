// The error bound of gk_gemm, and the data patterns its cases are made of.
#pragma once

#include "cases.hpp"
#include "gemm.hpp"

namespace gonka {

// What the operands of a case hold.
enum class gemm_pattern {
  uniform,        // floats uniform in [-1, 1), integers over their whole range
  ones,           // every product 1: a narrow accumulator stops counting
  large_first,    // one product of 2^10 (i8: 127 * 127 throughout), then small ones that a narrow accumulator drops
  large_last,     // small products, one large one at the end of k
  alternating,    // neighbouring products cancel (i8: -128 * 127 and 127 * 127)
  all_max,        // i8: 127 * 127, partial sums beyond 2^24
  all_min,        // i8: -128 * -128, the largest product; wraps past k = 131071
  max_times_min,  // i8: 127 * -128
  subnormal       // A subnormal in its type, B large enough that the products are not
};

struct gemm_case {
  uint32_t a_type, b_type, d_type;
  int64_t m, n, k;
  int64_t pad_a = 0, pad_b = 0, pad_c = 0, pad_d = 0;  // added to the smallest leading dimension
  float alpha = 1, beta = 0;
  uint32_t epilogue = GK_EPILOGUE_NONE;
  gemm_pattern pattern = gemm_pattern::uniform;
  bool c_is_d = false;      // C lies where D lies
  bool c_unread = false;    // beta is 0 and C is there, full of NaN
  int64_t scale_block = 0;  // f8: block of the scales along n and k; 0 = no scales
  uint32_t accumulation = GK_ACCUMULATE_F32;
};

const char *gemm_pattern_name(gemm_pattern pattern) noexcept;

// Elementwise: the bound in gonka_backend.h plus one rounding of D on either side. Aggregate: 2 eps32 of the
// conditioned norm for random data (rounding errors add up like a random walk), the elementwise bound's growth with k
// otherwise.
comparison gemm_compare(const gemm_case &c, const gk_gemm &p, const std::vector<std::vector<std::byte>> &got,
                        const std::vector<std::vector<std::byte>> &want);

}  // namespace gonka
