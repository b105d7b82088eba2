#include "decode.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "device.hpp"
#include "mapped_file.hpp"
#include "seeded.hpp"
#include "sha256.hpp"

namespace gonka::poc_v2 {

uint32_t decode_base_seed(std::string_view block_hash, std::string_view public_key, uint64_t nonce) {
  return seed_from_string(std::string(block_hash) + '_' + std::string(public_key) + "_nonce" + std::to_string(nonce));
}

uint32_t step_seed(uint32_t base, int64_t previous, uint64_t step, step_use use) {
  const uint32_t key =
      uint32_t(uint64_t(previous)) * 0x9e3779b1u + uint32_t(step) * 0x85ebca77u + static_cast<uint32_t>(use);
  return murmur3(key, base);
}

std::string decode_pick_seed(std::string_view block_hash, std::string_view public_key, uint64_t nonce, int64_t k,
                             uint64_t step, std::optional<int64_t> previous) {
  std::string text = pick_seed(block_hash, public_key, nonce, k) + "_decode" + std::to_string(step);
  if (previous) text += "_k_" + std::to_string(*previous);
  return text;
}

uint32_t routing_base_seed(std::string_view block_hash, uint64_t nonce, int64_t layer) {
  return seed_from_string(std::string(block_hash) + "_n" + std::to_string(nonce) + "_route_layer_" +
                          std::to_string(layer));
}

std::vector<int32_t> forced_experts(uint32_t base, uint64_t step, int32_t n_experts, int32_t top_k) {
  const uint32_t count = uint32_t(n_experts);
  const uint32_t first = murmur3(uint32_t(step), base) % count;
  std::vector<int32_t> experts;
  for (uint32_t i = 0; i < uint32_t(top_k); ++i) experts.push_back(int32_t((first + i) % count));
  return experts;
}

std::vector<float> forced_expert_weights(int32_t top_k) {
  std::vector<float> weights;
  float sum = 0;
  for (int32_t i = 0; i < top_k; ++i) {
    weights.push_back(std::exp(-float(i)));
    sum += weights.back();
  }
  for (float &weight : weights) weight /= sum;
  return weights;
}

codebook codebook::load(const std::string &path, std::string_view expected_sha256) {
  constexpr size_t k_bytes = k_sphere_points * k_sphere_dim * sizeof(float);
  const mapped_file file(path);
  // A .npy file ends with the array's bytes; what comes before cannot matter, since the digest is over the array alone.
  const bool npy = file.size() > k_bytes && file.text().starts_with("\x93NUMPY");
  if (file.size() != k_bytes && !npy)
    throw status_error(GK_INVALID_ARGUMENT, path + ": " + std::to_string(file.size()) +
                                                " bytes; expected a codebook of 16 x 256 F32 values, raw or .npy");
  const std::string_view values = file.text().substr(file.size() - k_bytes);
  if (const std::string found = to_hex(sha256_of(values)); found != expected_sha256)
    throw status_error(GK_INVALID_ARGUMENT, path + ": the codebook has SHA-256 " + found + "; the network uses " +
                                                std::string(expected_sha256));
  codebook out;
  out.points_.resize(size_t(k_sphere_points) * k_sphere_dim);
  std::memcpy(out.points_.data(), values.data(), k_bytes);
  return out;
}

std::vector<float> codebook::project(std::span<const float> query) {
  double sum = 0;
  for (const float x : query) sum += double(x) * x;
  const float length = static_cast<float>(std::sqrt(sum)) + 1e-8f;
  std::vector<float> projected(query.begin(), query.end());
  for (float &x : projected) x /= length;
  return projected;
}

codebook::result codebook::snap(std::span<const float> query) const {
  result out;
  out.scores.assign(k_sphere_points, 0.f);
  if (!std::ranges::all_of(query, [](float x) { return std::isfinite(x); })) return out;
  const std::vector<float> projected = project(query);
  for (size_t p = 0; p < size_t(k_sphere_points); ++p) {
    double dot = 0;
    for (size_t i = 0; i < size_t(k_sphere_dim); ++i) dot += double(projected[i]) * points_[p * k_sphere_dim + i];
    out.scores[p] = static_cast<float>(dot);
  }
  out.index = int32_t(std::max_element(out.scores.begin(), out.scores.end()) - out.scores.begin());
  return out;
}

float claimed_margin(std::span<const float> scores, int64_t claimed) {
  if (claimed < 0 || claimed >= int64_t(scores.size())) return 2.f;
  return *std::max_element(scores.begin(), scores.end()) - scores[size_t(claimed)];
}

int64_t next_previous(int64_t index, std::optional<int64_t> reference) {
  return reference.value_or(index);
}

bool step_mismatch(int64_t index, int64_t reference, float margin, float tau) {
  return index != reference && index >= 0 && margin >= tau;
}

}  // namespace gonka::poc_v2
