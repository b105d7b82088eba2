// From seed strings to generators, as NumPy does it from SHA-256 words. All of PoC v1's randomness begins here.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "normal_fill/pcg64.hpp"

namespace gonka::poc_v1 {

// Entropy words of a seed string: SHA-256 of `seed_i` for i = 0 .. hashes-1 (an underscore and the decimal index
// appended), every digest read as eight little-endian words.
std::vector<uint32_t> seed_words(std::string_view seed, uint32_t hashes);

// NumPy's SeedSequence without a spawn key: the pool of four words, and the words it hands to a bit generator.
// Source: numpy.random.SeedSequence, after O'Neill's seed_seq_fe.
std::array<uint32_t, 4> seed_sequence_pool(std::span<const uint32_t> entropy);
std::array<uint64_t, 4> seed_sequence_state(const std::array<uint32_t, 4> &pool);

// np.random.Generator(PCG64(SeedSequence(seed_words(seed, hashes)))), before its first draw.
pcg64 generator(std::string_view seed, uint32_t hashes);

// The seed strings of the protocol. Strings are UTF-8; nonces are printed in decimal.
std::string permutation_seed(std::string_view block_hash, std::string_view public_key, uint64_t nonce);
std::string input_seed(std::string_view block_hash, std::string_view public_key, uint64_t nonce);
std::string target_seed(std::string_view block_hash);

}  // namespace gonka::poc_v1
