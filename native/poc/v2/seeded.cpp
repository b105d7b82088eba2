#include "seeded.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "number.hpp"
#include "sha256.hpp"

namespace gonka::poc_v2 {
namespace {

std::string nonce_prefix(std::string_view block_hash, std::string_view public_key, std::string_view word) {
  std::string text(block_hash);
  text += '_';
  text += public_key;
  text += word;
  return text;
}

double norm(std::span<const float> x) {
  double sum = 0;
  for (const float v : x) sum += double(v) * v;
  return std::sqrt(sum);
}

// x - 2 (x . v) v.
void reflect(std::span<float> x, std::span<const float> v) {
  double dot = 0;
  for (size_t i = 0; i < x.size(); ++i) dot += double(x[i]) * v[i];
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(x[i] - 2 * dot * v[i]);
}

}  // namespace

std::array<uint32_t, 8> seeds_from_string(std::string_view text) {
  const sha256_digest digest = sha256_of(text);
  std::array<uint32_t, 8> words;
  for (size_t i = 0; i < 8; ++i)
    words[i] = uint32_t(digest[4 * i]) << 24 | uint32_t(digest[4 * i + 1]) << 16 | uint32_t(digest[4 * i + 2]) << 8 |
               digest[4 * i + 3];
  return words;
}

uint32_t seed_from_string(std::string_view text) {
  return seeds_from_string(text)[0];
}

void fill_normal(uint32_t seed, std::span<float> out) {
  constexpr float two_pi = 6.28318530717958647692f;
  const size_t pairs = (out.size() + 1) / 2;
  for (size_t i = 0; i < pairs; ++i) {
    const float u1 = std::max(uniform(murmur3(uint32_t(i), seed)), 1e-10f);
    const float u2 = uniform(murmur3(uint32_t(pairs + i), seed));
    // At u1 = 1 the radius is -0, as in the reference: -2 * log(1) = -0.
    const float radius = std::sqrt(-2.f * static_cast<float>(std::log(double(u1))));
    const float angle = two_pi * u2;
    out[i] = radius * static_cast<float>(std::cos(double(angle)));
    if (pairs + i < out.size()) out[pairs + i] = radius * static_cast<float>(std::sin(double(angle)));
  }
}

std::vector<uint32_t> input_seeds(generator which, std::string_view block_hash, std::string_view public_key,
                                  uint64_t nonce) {
  const std::string text = nonce_prefix(block_hash, public_key, "_nonce") + std::to_string(nonce);
  const std::array<uint32_t, 8> words = seeds_from_string(text);
  return std::vector<uint32_t>(words.begin(), which == generator::murmur ? words.begin() + 1 : words.end());
}

void fill_inputs(std::span<const uint32_t> seeds, std::span<float> out) {
  const size_t segment = (out.size() + seeds.size() - 1) / seeds.size();
  for (size_t i = 0; i < seeds.size() && i * segment < out.size(); ++i)
    fill_normal(seeds[i], out.subspan(i * segment, std::min(segment, out.size() - i * segment)));
}

std::vector<uint32_t> pseudo_input_ids(std::string_view block_hash, std::string_view public_key, uint64_t nonce,
                                       int64_t seq_len, uint32_t vocabulary) {
  const uint32_t seed =
      seed_from_string(nonce_prefix(block_hash, public_key, "_nonce") + std::to_string(nonce) + "_input_ids");
  std::vector<uint32_t> ids(static_cast<size_t>(seq_len));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = murmur3(uint32_t(i), seed) % vocabulary;
  return ids;
}

std::vector<float> unit_normal(std::string_view seed_text, int64_t dim) {
  std::vector<float> v(static_cast<size_t>(dim));
  fill_normal(seed_from_string(seed_text), v);
  const float length = static_cast<float>(norm(v));
  for (float &x : v) x /= length;
  return v;
}

std::string layer_reflection_seed(std::string_view block_hash, int64_t layer) {
  return std::string(block_hash) + "_layer_" + std::to_string(layer) + "_householder";
}

std::string target_seed(std::string_view block_hash, std::string_view public_key) {
  return nonce_prefix(block_hash, public_key, "_target");
}

std::vector<int32_t> pick_indices(uint32_t seed, int64_t dim, int64_t k) {
  std::vector<int32_t> order(static_cast<size_t>(dim));
  std::iota(order.begin(), order.end(), 0);
  const auto score = [&](int32_t index) { return murmur3(uint32_t(index), seed); };
  // Scores never tie: murmur3 is a bijection of the index.
  const auto last = order.begin() + (k - 1);
  std::nth_element(order.begin(), last, order.end(), [&](int32_t a, int32_t b) { return score(a) < score(b); });
  std::sort(order.begin(), last);
  order.resize(static_cast<size_t>(k));
  return order;
}

std::string pick_seed(std::string_view block_hash, std::string_view public_key, uint64_t nonce, int64_t k) {
  return nonce_prefix(block_hash, public_key, "_nonce_") + std::to_string(nonce) + "_pick_" + std::to_string(k);
}

void haar_rotate(std::string_view block_hash, std::string_view public_key, uint64_t nonce, std::span<float> x) {
  const std::string prefix = nonce_prefix(block_hash, public_key, "_nonce_") + std::to_string(nonce) + "_haar_hh_" +
                             std::to_string(x.size()) + '_';
  std::vector<float> v(x.size());
  for (size_t j = 0; j + 1 < x.size(); ++j) {
    fill_normal(seed_from_string(prefix + std::to_string(j)), v);
    const float length = static_cast<float>(norm(v)) + 1e-30f;
    for (float &value : v) value /= length;
    reflect(x, v);
  }
}

void normalise(std::span<float> x) {
  const float length = static_cast<float>(norm(x)) + 1e-8f;
  for (float &value : x) value /= length;
}

std::vector<float> artifact_vector(std::span<const float> last_hidden, std::span<const int32_t> picks,
                                   std::string_view block_hash, std::string_view public_key, uint64_t nonce) {
  std::vector<float> hidden(last_hidden.begin(), last_hidden.end());
  normalise(hidden);
  std::vector<float> out;
  for (const int32_t index : picks) out.push_back(hidden[static_cast<size_t>(index)]);
  haar_rotate(block_hash, public_key, nonce, out);
  normalise(out);
  return out;
}

std::vector<uint8_t> encode_vector(std::span<const float> values) {
  std::vector<uint8_t> bytes;
  for (const float value : values) {
    const uint16_t half = f32_to_f16(value);
    bytes.push_back(uint8_t(half & 0xff));
    bytes.push_back(uint8_t(half >> 8));
  }
  return bytes;
}

}  // namespace gonka::poc_v2
