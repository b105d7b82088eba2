// What PoC v1 derives per round and per nonce: target, inputs and permutation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace gonka::poc_v1 {

// The round's target: target.size() = vocab_size normals divided by their L2 norm, in F64.
void make_target(std::string_view block_hash, std::span<double> target);

// One nonce's inputs: F16 bits [seq_len, dim] row-major, inputs.size() = seq_len * dim. Rounded F64 -> F32 -> F16.
void make_inputs(std::string_view block_hash, std::string_view public_key, uint64_t nonce, std::span<uint16_t> inputs);

// The generator of those inputs before its first draw, as gk_normal_fill takes it: state high, state low, increment
// high, increment low.
void input_generator(std::string_view block_hash, std::string_view public_key, uint64_t nonce,
                     std::span<uint64_t, 4> words);

// One nonce's permutation of 0 .. size-1; the logits are gathered by it: permuted[j] = logits[permutation[j]].
// size <= 2^31 - 1. Fisher-Yates with masked rejection on 32-bit draws, low half of each output first.
void make_permutation(std::string_view block_hash, std::string_view public_key, uint64_t nonce,
                      std::span<int32_t> permutation);

// The generator of that permutation before its first draw, as gk_permuted_distance takes it: words as above.
void permutation_generator(std::string_view block_hash, std::string_view public_key, uint64_t nonce,
                           std::span<uint64_t, 4> words);

// |v|_2 in F64 by NumPy's pairwise summation of squares.
double l2_norm(std::span<const double> v);

// sigma * value, rounded to F32 and then to F16 bits: the two roundings of the protocol.
void round_to_f16(const double *values, size_t count, double sigma, uint16_t *out);

}  // namespace gonka::poc_v1
