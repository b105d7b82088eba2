// PoC v1's artifact: how far a nonce's permuted, normalised logits are from the round's target.
#pragma once

#include <cstdint>
#include <span>

namespace gonka::poc_v1 {

// | permuted / |permuted|_2  -  target |_2 with permuted[j] = logits[permutation[j]]. The first norm is F32, summed
// pairwise as NumPy does it; the difference and the second norm are F64. All three spans have vocab_size elements;
// scratch is overwritten. NaN where the logits are not finite or all zero.
double distance(std::span<const float> logits, std::span<const int32_t> permutation, std::span<const double> target,
                std::span<double> scratch);

}  // namespace gonka::poc_v1
