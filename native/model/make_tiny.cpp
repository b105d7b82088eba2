#include "make_tiny.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "description.hpp"
#include "device.hpp"
#include "number.hpp"
#include "safetensors_writer.hpp"
#include "sha256.hpp"

namespace gonka {
namespace {

struct shape {
  const char *family;
  const char *preset;
  const char *class_name;
  const char *model_type;
  int64_t hidden, layers, heads, heads_kv, head_dim, intermediate, vocabulary;
  bool tied;
  double eps, theta;
  int64_t positions;
  int64_t experts, experts_per_token, expert_intermediate;
};

constexpr shape k_shapes[] = {
    {"llama", "", "LlamaForCausalLM", "llama", 64, 3, 4, 2, 16, 160, 128, false, 1e-5, 5e5, 8192, 0, 0, 0},
    {"mistral", "", "MistralForCausalLM", "mistral", 64, 3, 4, 2, 16, 160, 128, false, 1e-5, 1e6, 8192, 0, 0, 0},
    {"qwen2", "", "Qwen2ForCausalLM", "qwen2", 64, 3, 4, 2, 16, 160, 128, false, 1e-6, 1e6, 8192, 0, 0, 0},
    {"qwen3", "", "Qwen3ForCausalLM", "qwen3", 64, 3, 4, 2, 32, 160, 128, true, 1e-6, 1e6, 8192, 0, 0, 0},
    {"qwen3-moe", "", "Qwen3MoeForCausalLM", "qwen3_moe", 64, 3, 4, 2, 32, 160, 128, false, 1e-6, 1e6, 8192, 8, 2, 48},
    // Shapes of the published models of these names.
    {"qwen3", "qwen3-0.6b", "Qwen3ForCausalLM", "qwen3", 1024, 28, 16, 8, 128, 3072, 151936, true, 1e-6, 1e6, 40960, 0,
     0, 0},
    {"llama", "llama-3.2-1b", "LlamaForCausalLM", "llama", 2048, 16, 32, 8, 64, 8192, 128256, true, 1e-5, 5e5, 131072,
     0, 0, 0},
};

const shape &find_shape(const tiny_model &request) {
  for (const shape &s : k_shapes)
    if ((request.family == s.family || (request.family.empty() && !request.preset.empty())) &&
        request.preset == s.preset)
      return s;
  std::string known;
  for (const shape &s : k_shapes)
    known += (known.empty() ? "" : ", ") + std::string(s.family) + (s.preset[0] ? std::string("/") + s.preset : "");
  throw status_error(GK_INVALID_ARGUMENT, "no model of family \"" + request.family + "\" and preset \"" +
                                              request.preset + "\"; expected one of " + known);
}

std::string config_of(const shape &s) {
  const auto integer = [](const char *name, int64_t value) {
    return std::string("  \"") + name + "\": " + std::to_string(value) + ",\n";
  };
  const auto real = [](const char *name, double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.17g", value);
    return std::string("  \"") + name + "\": " + text + ",\n";
  };
  std::string out = "{\n  \"architectures\": [\"" + std::string(s.class_name) + "\"],\n  \"model_type\": \"" +
                    s.model_type + "\",\n  \"torch_dtype\": \"bfloat16\",\n  \"hidden_act\": \"silu\",\n";
  out += integer("hidden_size", s.hidden) + integer("num_hidden_layers", s.layers) +
         integer("num_attention_heads", s.heads) + integer("num_key_value_heads", s.heads_kv) +
         integer("head_dim", s.head_dim) + integer("intermediate_size", s.intermediate) +
         integer("vocab_size", s.vocabulary) + integer("max_position_embeddings", s.positions) +
         real("rms_norm_eps", s.eps) + real("rope_theta", s.theta);
  if (std::string_view(s.family) == "llama")
    out +=
        "  \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0,\n"
        "    \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 1024},\n";
  if (s.experts != 0)
    out += integer("num_experts", s.experts) + integer("num_experts_per_tok", s.experts_per_token) +
           integer("moe_intermediate_size", s.expert_intermediate) + integer("decoder_sparse_step", 1) +
           "  \"norm_topk_prob\": true,\n  \"mlp_only_layers\": [],\n";
  return out + "  \"tie_word_embeddings\": " + (s.tied ? "true" : "false") + "\n}\n";
}

// SplitMix64 at a position: any piece of a tensor can be made by itself.
uint64_t random_at(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

class tensor_list {
 public:
  explicit tensor_list(uint64_t seed) : seed_(seed) {}

  // Uniform around `centre` with the given standard deviation.
  void add(const std::string &name, std::vector<int64_t> extents, float deviation, float centre = 0) {
    const sha256_digest digest = sha256_of(std::to_string(seed_) + "_" + name);
    uint64_t tensor_seed;
    std::memcpy(&tensor_seed, digest.data(), sizeof tensor_seed);
    const float scale = deviation * 1.7320508f * 0x1p-31f;
    tensors_.push_back({name, "BF16", std::move(extents), 2,
                        [tensor_seed, scale, centre](uint64_t offset, std::span<std::byte> bytes) {
                          for (size_t i = 0; i < bytes.size() / 2; ++i) {
                            const auto bits = int32_t(random_at(tensor_seed, offset / 2 + i) >> 32);
                            const uint16_t value = f32_to_bf16(centre + scale * float(bits));
                            std::memcpy(&bytes[2 * i], &value, 2);
                          }
                        }});
  }

  void matrix(const std::string &name, int64_t n, int64_t k) { add(name, {n, k}, 1 / std::sqrt(float(k))); }
  void norm(const std::string &name, int64_t n) { add(name, {n}, 0.1f, 1); }
  void bias(const std::string &name, int64_t n) { add(name, {n}, 0.3f); }

  void mlp(const std::string &prefix, int64_t hidden, int64_t intermediate) {
    matrix(prefix + "down_proj.weight", hidden, intermediate);
    matrix(prefix + "gate_proj.weight", intermediate, hidden);
    matrix(prefix + "up_proj.weight", intermediate, hidden);
  }

  std::vector<tensor_source> take() { return std::move(tensors_); }

 private:
  const uint64_t seed_;
  std::vector<tensor_source> tensors_;
};

std::vector<tensor_source> tensors_of(const shape &s, uint64_t seed) {
  tensor_list list(seed);
  const std::string_view family = s.family;
  const int64_t q = s.heads * s.head_dim, kv = s.heads_kv * s.head_dim;
  if (!s.tied) list.matrix("lm_head.weight", s.vocabulary, s.hidden);
  list.add("model.embed_tokens.weight", {s.vocabulary, s.hidden}, 1);
  for (int64_t i = 0; i < s.layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".", attention = layer + "self_attn.";
    list.norm(layer + "input_layernorm.weight", s.hidden);
    list.norm(layer + "post_attention_layernorm.weight", s.hidden);
    list.matrix(attention + "q_proj.weight", q, s.hidden);
    list.matrix(attention + "k_proj.weight", kv, s.hidden);
    list.matrix(attention + "v_proj.weight", kv, s.hidden);
    list.matrix(attention + "o_proj.weight", s.hidden, q);
    if (family == "qwen2") {
      list.bias(attention + "q_proj.bias", q);
      list.bias(attention + "k_proj.bias", kv);
      list.bias(attention + "v_proj.bias", kv);
    }
    if (family == "qwen3" || family == "qwen3-moe") {
      list.norm(attention + "q_norm.weight", s.head_dim);
      list.norm(attention + "k_norm.weight", s.head_dim);
    }
    if (s.experts == 0) {
      list.mlp(layer + "mlp.", s.hidden, s.intermediate);
      continue;
    }
    list.matrix(layer + "mlp.gate.weight", s.experts, s.hidden);
    for (int64_t e = 0; e < s.experts; ++e)
      list.mlp(layer + "mlp.experts." + std::to_string(e) + ".", s.hidden, s.expert_intermediate);
  }
  list.norm("model.norm.weight", s.hidden);
  return list.take();
}

}  // namespace

const std::vector<std::string> &tiny_family_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const shape &s : k_shapes)
      if (s.preset[0] == '\0') list.push_back(s.family);
    return list;
  }();
  return names;
}

const std::vector<std::string> &tiny_preset_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const shape &s : k_shapes)
      if (s.preset[0] != '\0') list.push_back(s.preset);
    return list;
  }();
  return names;
}

tiny_model_files make_tiny_model(const std::string &directory, const tiny_model &request) {
  const shape &s = find_shape(request);
  tiny_model_files out{directory + "/config.json", directory + "/model.safetensors"};
  for (const std::string &path : {out.config_path, out.weights_path}) {
    struct stat status;
    if (::stat(path.c_str(), &status) == 0)
      throw status_error(GK_INVALID_ARGUMENT, path + ": exists already; expected a directory without a model");
  }
  const std::vector<tensor_source> tensors = tensors_of(s, request.seed);
  for (const tensor_source &tensor : tensors) {
    uint64_t count = 1;
    for (const int64_t extent : tensor.shape) count *= uint64_t(extent);
    out.parameters += count;
    out.bytes += count * tensor.element_bytes;
  }
  write_safetensors(out.weights_path, tensors);
  write_whole_file(out.config_path, config_of(s));
  return out;
}

}  // namespace gonka
