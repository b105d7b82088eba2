// Primitives of the decode scheme ("sphere_k"), in which every generated step snaps to one of 16 points on a sphere and
// the chosen point seeds the next step. The scheme itself is not computed here.
// Source: gonka-ai/gonka-vllm-plugins decode_random.py @be99299d, sphere.py @08dd39dd, decode_chain.py @a6a28429.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gonka::poc_v2 {

inline constexpr int64_t k_sphere_dim = 256;
inline constexpr int32_t k_sphere_points = 16;
// SHA-256 of the network's codebook: F32 little-endian [16, 256], row-major.
inline constexpr std::string_view k_codebook_sha256 =
    "2201d1093583f43f328dd4643ddf1f34737f6da8c1956395c43fd093e357e34f";

// What a step's seed is for.
enum class step_use : uint32_t { embedding = 0x0d, pick = 0x91, token_id = 0x57 };

uint32_t decode_base_seed(std::string_view block_hash, std::string_view public_key, uint64_t nonce);
// previous: the point the step before snapped to, -1 for none. Only the low 32 bits of previous and step count.
uint32_t step_seed(uint32_t base, int64_t previous, uint64_t step, step_use use);

// Seed text of the step's picks in the string-seeded variant. previous: as in step_seed; absent for the first step.
std::string decode_pick_seed(std::string_view block_hash, std::string_view public_key, uint64_t nonce, int64_t k,
                             uint64_t step, std::optional<int64_t> previous);

// The experts that a token of the step is sent to, best first: top_k neighbours modulo n_experts. Independent of the
// public key. 1 <= top_k <= n_experts.
uint32_t routing_base_seed(std::string_view block_hash, uint64_t nonce, int64_t layer);
std::vector<int32_t> forced_experts(uint32_t base, uint64_t step, int32_t n_experts, int32_t top_k);
// Their weights: softmax over logits 100 + top_k, ..., 101.
std::vector<float> forced_expert_weights(int32_t top_k);

// 16 unit points.
class codebook {
 public:
  // Reads F32 [16, 256] from a .npy file or 16384 raw bytes and checks its SHA-256. Throws status_error.
  static codebook load(const std::string &path, std::string_view expected_sha256 = k_codebook_sha256);

  // Scores of a query [256], projected to the sphere: |q| + 1e-8 below it. A query with a value that is not finite gets
  // index -1 and scores 0; an all-zero one gets index 0.
  struct result {
    int32_t index = -1;
    std::vector<float> scores;  // [16]
  };
  result snap(std::span<const float> query) const;
  // The query that snap compares with the points: query / (|query| + 1e-8). Not finite where the query is not.
  static std::vector<float> project(std::span<const float> query);

 private:
  std::vector<float> points_;
};

// How far the claimed point is from the best one: best score - its score; 2 where the claim is no point.
float claimed_margin(std::span<const float> scores, int64_t claimed);

// The point that seeds the next step: the step's own, or the reference's where a reference is followed (a validator
// that replays another node's steps).
int64_t next_previous(int64_t index, std::optional<int64_t> reference);

// 1 where a step counts as a mismatch: another point than the reference's, a point at all, and by tau or more.
bool step_mismatch(int64_t index, int64_t reference, float margin, float tau);

}  // namespace gonka::poc_v2
