// Judges results of attention.
#pragma once

#include "cases.hpp"

namespace gonka {

// Elementwise: a bound derived from the rounding errors that any evaluation in F32 makes (see the source), plus the
// rounding of the probabilities to the type of V. Aggregate: at most twice the error of a plain evaluation - scores and
// sums in F32, one term after the other, probabilities rounded to the type of V - plus 1e-6; the rule is that of the
// FlashAttention-3 test suite.
comparison compare_attention(const built_case &problem, const std::vector<std::vector<std::byte>> &got,
                             const std::vector<std::vector<std::byte>> &want);

}  // namespace gonka
