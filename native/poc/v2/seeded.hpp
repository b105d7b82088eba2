// What PoC v2 derives from texts: seeds, normals, inputs, reflections, picks and rotations.
//
// Plain C++ on the host. Integers are exact. Normals evaluate every elementary function in F64 and round it to F32, so
// each step is correctly rounded but for cases too rare to matter; other implementations differ by up to 3 ulp.
// Source: gonka-ai/vllm vllm/poc/gpu_random.py (blob 7c3daf5f5).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gonka::poc_v2 {

// The first four bytes of SHA-256 of the text, big-endian.
uint32_t seed_from_string(std::string_view text);
// The eight big-endian words of SHA-256 of the text.
std::array<uint32_t, 8> seeds_from_string(std::string_view text);

// Murmur3 of one 32-bit key, without the usual last step that folds in the length. For a fixed seed a bijection of
// keys.
constexpr uint32_t murmur3(uint32_t key, uint32_t seed) {
  uint32_t k = key * 0xcc9e2d51u;
  k = (k << 15) | (k >> 17);
  uint32_t h = seed ^ (k * 0x1b873593u);
  h = (h << 13) | (h >> 19);
  h = h * 5 + 0xe6546b64u;
  h ^= h >> 16;
  h *= 0x85ebca6bu;
  h ^= h >> 13;
  h *= 0xc2b2ae35u;
  return h ^ (h >> 16);
}

// word / 2^32 with the word rounded to F32 first: in [0, 1], both ends included.
constexpr float uniform(uint32_t word) {
  return static_cast<float>(word) * 0x1p-32f;
}

// out.size() standard normals by Box-Muller: with p = ceil(n / 2) pairs, cosines first, then sines.
void fill_normal(uint32_t seed, std::span<float> out);

enum class generator {
  murmur,         // one seed
  concat_murmur,  // eight seeds, each filling a segment of ceil(n / 8): the "stronger rng"
};

// The seeds of a nonce's inputs: 1 or 8, what gk_normal_fill takes for one row.
std::vector<uint32_t> input_seeds(generator which, std::string_view block_hash, std::string_view public_key,
                                  uint64_t nonce);
// Inputs in F32, row-major [seq_len, hidden] flat; unrounded. The reference for the normal_fill op.
void fill_inputs(std::span<const uint32_t> seeds, std::span<float> out);

// Token ids for models that want them beside embeddings. 1 <= vocabulary.
std::vector<uint32_t> pseudo_input_ids(std::string_view block_hash, std::string_view public_key, uint64_t nonce,
                                       int64_t seq_len, uint32_t vocabulary);

// Unit vector of normals: divided by its norm, without an epsilon.
std::vector<float> unit_normal(std::string_view seed_text, int64_t dim);
std::string layer_reflection_seed(std::string_view block_hash, int64_t layer);
std::string target_seed(std::string_view block_hash, std::string_view public_key);

// The k of 0..dim-1 with the smallest murmur3 scores, in the order an NVIDIA GPU's top-k returns them: all but the
// largest of the chosen scores in ascending index, that one last. The order matters: it feeds the rotation.
// 1 <= k <= dim < 2^31.
std::vector<int32_t> pick_indices(uint32_t seed, int64_t dim, int64_t k);
std::string pick_seed(std::string_view block_hash, std::string_view public_key, uint64_t nonce, int64_t k);

// k-1 Householder reflections, j = 0 .. k-2, of a vector of k.
void haar_rotate(std::string_view block_hash, std::string_view public_key, uint64_t nonce, std::span<float> x);

// x / (|x| + 1e-8).
void normalise(std::span<float> x);

// From the last hidden state (after the final norm) to the artifact: normalise, take the picks in their order, rotate,
// normalise. In F32.
std::vector<float> artifact_vector(std::span<const float> last_hidden, std::span<const int32_t> picks,
                                   std::string_view block_hash, std::string_view public_key, uint64_t nonce);

// F16 little-endian, as the network carries it: 2 bytes per value.
std::vector<uint8_t> encode_vector(std::span<const float> values);

}  // namespace gonka::poc_v2
