#include "v1/seed.hpp"

#include "sha256.hpp"

namespace gonka::poc_v1 {
namespace {

constexpr uint32_t k_init_a = 0x43b0d7e5, k_mult_a = 0x931e8875;
constexpr uint32_t k_init_b = 0x8b51f9dd, k_mult_b = 0x58f38ded;
constexpr uint32_t k_mix_left = 0xca01f9dd, k_mix_right = 0x4973f715;

uint32_t hash_mix(uint32_t value, uint32_t &constant) {
  value ^= constant;
  constant *= k_mult_a;
  value *= constant;
  return value ^ (value >> 16);
}

uint32_t mix(uint32_t x, uint32_t y) {
  const uint32_t r = k_mix_left * x - k_mix_right * y;
  return r ^ (r >> 16);
}

}  // namespace

std::vector<uint32_t> seed_words(std::string_view seed, uint32_t hashes) {
  std::vector<uint32_t> words;
  words.reserve(size_t(hashes) * 8);
  for (uint32_t i = 0; i < hashes; ++i) {
    sha256 hash;
    hash.update(seed);
    hash.update("_");
    hash.update(std::to_string(i));
    const sha256_digest d = hash.finish();
    for (size_t w = 0; w < 32; w += 4)
      words.push_back(uint32_t(d[w]) | uint32_t(d[w + 1]) << 8 | uint32_t(d[w + 2]) << 16 | uint32_t(d[w + 3]) << 24);
  }
  return words;
}

std::array<uint32_t, 4> seed_sequence_pool(std::span<const uint32_t> entropy) {
  std::array<uint32_t, 4> pool;
  uint32_t constant = k_init_a;
  for (size_t i = 0; i < 4; ++i) pool[i] = hash_mix(i < entropy.size() ? entropy[i] : 0, constant);
  for (size_t from = 0; from < 4; ++from)
    for (size_t to = 0; to < 4; ++to)
      if (from != to) pool[to] = mix(pool[to], hash_mix(pool[from], constant));
  for (size_t i = 4; i < entropy.size(); ++i)
    for (uint32_t &word : pool) word = mix(word, hash_mix(entropy[i], constant));
  return pool;
}

std::array<uint64_t, 4> seed_sequence_state(const std::array<uint32_t, 4> &pool) {
  std::array<uint64_t, 4> state{};
  uint32_t constant = k_init_b;
  for (size_t i = 0; i < 8; ++i) {
    uint32_t value = pool[i % 4] ^ constant;
    constant *= k_mult_b;
    value *= constant;
    value ^= value >> 16;
    state[i / 2] |= uint64_t(value) << (i % 2 * 32);
  }
  return state;
}

pcg64 generator(std::string_view seed, uint32_t hashes) {
  const auto s = seed_sequence_state(seed_sequence_pool(seed_words(seed, hashes)));
  return pcg64::seeded(s[0], s[1], s[2], s[3]);
}

std::string permutation_seed(std::string_view block_hash, std::string_view public_key, uint64_t nonce) {
  return std::string(block_hash) + "_" + std::string(public_key) + "_nonce_" + std::to_string(nonce) + "_permutations";
}

std::string input_seed(std::string_view block_hash, std::string_view public_key, uint64_t nonce) {
  return std::string(block_hash) + "_" + std::string(public_key) + "_nonce" + std::to_string(nonce);
}

std::string target_seed(std::string_view block_hash) {
  return std::string(block_hash) + "_target";
}

}  // namespace gonka::poc_v1
