// What a transformer computes, layer by layer, as read from a Hugging Face config.json.
//
// Every field of the file is either used, checked to have the value that this engine computes, or known not to matter
// to the hidden states. A field that is none of these is refused by name: a configuration is never guessed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gonka {

enum class architecture { llama, mistral, qwen2, qwen3, qwen3_moe };

const char *architecture_name(architecture which) noexcept;  // as config.json names it: "LlamaForCausalLM"

enum class rope_scaling {
  none,
  linear,  // positions divided by factor
  llama3,  // long wavelengths divided by factor, short ones kept, a ramp between
};

struct rope_description {
  double theta = 10000;
  int32_t rotary_dim = 0;  // of each head, from its start; even
  rope_scaling scaling = rope_scaling::none;
  double factor = 1;
  // Of llama3 only.
  double low_frequency_factor = 1, high_frequency_factor = 4;
  int64_t original_max_positions = 0;
};

// RMS norm of queries and keys before rope.
enum class qk_norm {
  none,
  per_head,  // weights [head_dim]
};

struct attention_description {
  int32_t heads = 0, heads_kv = 0, head_dim = 0;
  bool qkv_bias = false, o_bias = false;
  qk_norm norm = qk_norm::none;
  int64_t window = 0;  // tokens a query sees at most, itself included; 0: all before it
};

// Scores of the experts from the router's logits.
enum class router_scoring { softmax };

// down(silu(gate x) * up x): one, or the weighted sum of the experts_per_token best of `experts`.
struct mlp_description {
  int64_t intermediate = 0;  // of each expert
  int32_t experts = 0;       // 0: dense
  int32_t experts_per_token = 0;
  router_scoring scoring = router_scoring::softmax;
  bool normalise_weights = false;  // the chosen experts' scores are divided by their sum
};

struct layer_description {
  attention_description attention;
  mlp_description mlp;
};

struct model_description {
  architecture which = architecture::llama;
  int64_t hidden = 0;
  int64_t vocabulary = 0;
  int64_t max_positions = 0;
  float norm_eps = 0;
  bool tied_embeddings = false;
  uint32_t dtype = 0;  // gk_dtype the model computes in: F32, F16 or BF16
  rope_description rope;
  std::vector<layer_description> layers;
  // Block-scaled F8_E4M3 weights with one F32 scale per block of [n, k]; 0: none.
  int64_t scale_block_n = 0, scale_block_k = 0;
};

// Throws status_error(GK_INVALID_ARGUMENT or, for what this engine does not compute, GK_UNSUPPORTED) naming `name`, the
// field and the cause. All counts are within fixed limits, so that products of two of them do not overflow.
model_description parse_description(std::string_view config_json, std::string_view name);

// Inverse frequencies [rotary_dim / 2] of rope, scaled; in F32, as the reference computes them.
std::vector<float> inverse_frequencies(const rope_description &rope);

}  // namespace gonka
