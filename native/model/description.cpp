#include "description.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <set>

#include "device.hpp"
#include "json_document.hpp"

namespace gonka {
namespace {

constexpr int64_t k_max_hidden = 1 << 18, k_max_layers = 4096, k_max_heads = 4096, k_max_head_dim = 256;
constexpr int64_t k_max_vocabulary = 1 << 24, k_max_positions = int64_t(1) << 31, k_max_experts = 4096;

// Fields without influence on hidden states at inference: tokens' ids, training, output options, bookkeeping.
constexpr const char *k_harmless[] = {"_name_or_path",        "attention_dropout",
                                      "bos_token_id",         "eos_token_id",
                                      "finetuning_task",      "id2label",
                                      "initializer_range",    "label2id",
                                      "output_attentions",    "output_hidden_states",
                                      "output_router_logits", "pad_token_id",
                                      "problem_type",         "return_dict",
                                      "router_aux_loss_coef", "sep_token_id",
                                      "task_specific_params", "transformers_version",
                                      "unk_token_id",         "use_cache"};

// Typed access to an object's fields. Remembers which were asked for; finish() refuses the others.
class field_reader {
 public:
  field_reader(std::string name, std::string prefix, const json::object &fields)
      : name_(std::move(name)), prefix_(std::move(prefix)), fields_(fields) {}

  [[noreturn]] void refuse(const char *field, const std::string &what, gk_status status = GK_INVALID_ARGUMENT) const {
    throw status_error(status, name_ + ": \"" + prefix_ + field + "\": " + what);
  }

  // Null if the field is absent or null.
  const json::value *get(const char *field) {
    asked_.insert(field);
    const json::value *found = json::find(fields_, field);
    return found == nullptr || found->is_null() ? nullptr : found;
  }

  const json::value &require(const char *field) {
    const json::value *found = get(field);
    if (found == nullptr) refuse(field, "is missing");
    return *found;
  }

  int64_t integer(const char *field, const json::value &held, int64_t least, int64_t most) const {
    const json::number *number = held.as_number();
    if (number == nullptr || !number->is_integer || number->integer < least || number->integer > most)
      refuse(field, "is " + held.describe() + "; expected an integer in [" + std::to_string(least) + ", " +
                        std::to_string(most) + "]");
    return number->integer;
  }

  int64_t integer(const char *field, int64_t least, int64_t most) {
    return integer(field, require(field), least, most);
  }

  int64_t integer_or(const char *field, int64_t least, int64_t most, int64_t otherwise) {
    const json::value *held = get(field);
    return held == nullptr ? otherwise : integer(field, *held, least, most);
  }

  // A finite number in (above, most].
  double real(const char *field, const json::value &held, double above, double most) const {
    const json::number *number = held.as_number();
    if (number == nullptr || !(number->real > above && number->real <= most))
      refuse(field, "is " + held.describe() + "; expected a number above " +
                        json::value(json::number{above}).describe() + " and at most " +
                        json::value(json::number{most}).describe());
    return number->real;
  }

  double real(const char *field, double above, double most) { return real(field, require(field), above, most); }

  double real_or(const char *field, double above, double most, double otherwise) {
    const json::value *held = get(field);
    return held == nullptr ? otherwise : real(field, *held, above, most);
  }

  bool boolean_or(const char *field, bool otherwise) {
    const json::value *held = get(field);
    if (held == nullptr) return otherwise;
    if (held->as_boolean() == nullptr) refuse(field, "is " + held->describe() + "; expected true or false");
    return *held->as_boolean();
  }

  const std::string &text(const char *field, const json::value &held) const {
    if (held.as_string() == nullptr) refuse(field, "is " + held.describe() + "; expected a string");
    return *held.as_string();
  }

  const json::object &object(const char *field, const json::value &held) const {
    if (held.as_object() == nullptr) refuse(field, "is " + held.describe() + "; expected an object");
    return *held.as_object();
  }

  const json::array &array(const char *field, const json::value &held) const {
    if (held.as_array() == nullptr) refuse(field, "is " + held.describe() + "; expected an array");
    return *held.as_array();
  }

  // The field may be absent or null; if it is there it has this value.
  void only(const char *field, bool value) {
    if (boolean_or(field, value) != value)
      refuse(
          field,
          std::string("is ") + (value ? "false" : "true") + "; this engine computes only " + (value ? "true" : "false"),
          GK_UNSUPPORTED);
  }

  void only(const char *field, double value) {
    const json::value *held = get(field);
    if (held == nullptr) return;
    const json::number *number = held->as_number();
    if (number == nullptr || number->real != value)
      refuse(field,
             "is " + held->describe() + "; this engine computes only " + json::value(json::number{value}).describe(),
             GK_UNSUPPORTED);
  }

  // Refuses any field that nobody asked for.
  void finish() const {
    for (const json::member &field : fields_)
      if (!asked_.contains(field.key) && std::ranges::find(k_harmless, field.key) == std::end(k_harmless))
        throw status_error(GK_UNSUPPORTED, name_ + ": field \"" + prefix_ + json::printable(field.key) +
                                               "\" is not known to this engine and may change the mathematics");
  }

 private:
  const std::string name_, prefix_;
  const json::object &fields_;
  std::set<std::string, std::less<>> asked_;
};

struct known_architecture {
  const char *class_name;
  const char *model_type;
  architecture which;
};

constexpr known_architecture k_architectures[] = {
    {"LlamaForCausalLM", "llama", architecture::llama},
    {"MistralForCausalLM", "mistral", architecture::mistral},
    {"Qwen2ForCausalLM", "qwen2", architecture::qwen2},
    {"Qwen3ForCausalLM", "qwen3", architecture::qwen3},
    {"Qwen3MoeForCausalLM", "qwen3_moe", architecture::qwen3_moe},
};

architecture read_architecture(field_reader &config) {
  const json::array &names = config.array("architectures", config.require("architectures"));
  if (names.size() != 1) config.refuse("architectures", "holds " + std::to_string(names.size()) + " names; expected 1");
  const std::string &name = config.text("architectures", names[0]);
  const auto known =
      std::ranges::find_if(k_architectures, [&](const known_architecture &a) { return name == a.class_name; });
  if (known == std::end(k_architectures)) {
    std::string all;
    for (const known_architecture &a : k_architectures) all += std::string(all.empty() ? "" : ", ") + a.class_name;
    config.refuse("architectures", "names " + names[0].describe() + "; this engine computes " + all, GK_UNSUPPORTED);
  }
  if (const json::value *type = config.get("model_type"); type && config.text("model_type", *type) != known->model_type)
    config.refuse("model_type", "is " + type->describe() + ", which does not go with architecture " + name);
  return known->which;
}

uint32_t read_dtype(field_reader &config) {
  // Newer files say dtype, older ones torch_dtype.
  const char *field = config.get("dtype") != nullptr ? "dtype" : "torch_dtype";
  const json::value &held = config.require(field);
  if (const json::value *other = config.get("torch_dtype");
      other != nullptr && config.text("torch_dtype", *other) != config.text(field, held))
    config.refuse("torch_dtype", "is " + other->describe() + ", but \"dtype\" is " + held.describe());
  const std::string &name = config.text(field, held);
  if (name == "float32") return GK_F32;
  if (name == "float16") return GK_F16;
  if (name == "bfloat16") return GK_BF16;
  config.refuse(field, "is " + held.describe() + "; expected \"float32\", \"float16\" or \"bfloat16\"", GK_UNSUPPORTED);
}

void read_rope_scaling(field_reader &fields, rope_description &rope) {
  const json::value *type = fields.get("rope_type");
  const char *field = type != nullptr ? "rope_type" : "type";
  if (type == nullptr) type = fields.get("type");
  if (type == nullptr) fields.refuse(field, "is missing");
  if (const json::value *old = fields.get("type"); old && fields.text("type", *old) != fields.text(field, *type))
    fields.refuse("type", "is " + old->describe() + ", but \"rope_type\" is " + type->describe());
  const std::string &name = fields.text(field, *type);
  if (name == "default") return;
  if (name == "linear") {
    rope.scaling = rope_scaling::linear;
    rope.factor = fields.real("factor", 0, 1e6);
    return;
  }
  if (name != "llama3")
    fields.refuse(field, "is " + type->describe() + "; this engine computes \"default\", \"linear\" and \"llama3\"",
                  GK_UNSUPPORTED);
  rope.scaling = rope_scaling::llama3;
  rope.factor = fields.real("factor", 0, 1e6);
  rope.low_frequency_factor = fields.real("low_freq_factor", 0, 1e6);
  rope.high_frequency_factor = fields.real("high_freq_factor", 0, 1e6);
  if (rope.high_frequency_factor <= rope.low_frequency_factor)
    fields.refuse("high_freq_factor", "is not above low_freq_factor");
  rope.original_max_positions = fields.integer("original_max_position_embeddings", 1, k_max_positions);
}

rope_description read_rope(field_reader &config, const std::string &name, int32_t head_dim) {
  constexpr double k_max_theta = 1e15;
  rope_description rope;
  rope.rotary_dim = head_dim;
  const json::value *theta = config.get("rope_theta");
  if (theta != nullptr) rope.theta = config.real("rope_theta", *theta, 0, k_max_theta);
  // Newer files keep everything in rope_parameters, older ones rope_theta beside rope_scaling.
  const json::value *scaling = config.get("rope_scaling"), *parameters = config.get("rope_parameters");
  if (scaling != nullptr && parameters != nullptr)
    config.refuse("rope_scaling", "and \"rope_parameters\" are both there; expected one of them");
  const json::value *held = parameters != nullptr ? parameters : scaling;
  if (held == nullptr) return rope;
  const char *field = parameters != nullptr ? "rope_parameters" : "rope_scaling";
  field_reader fields(name, std::string(field) + '.', config.object(field, *held));
  if (parameters != nullptr) {
    const double inner = fields.real("rope_theta", 0, k_max_theta);
    if (theta != nullptr && inner != rope.theta) config.refuse("rope_theta", "differs from the one in rope_parameters");
    rope.theta = inner;
    fields.only("partial_rotary_factor", 1.);
  }
  read_rope_scaling(fields, rope);
  fields.finish();
  return rope;
}

// The window of each layer. Hugging Face says it in up to four fields.
std::vector<int64_t> read_windows(field_reader &config, architecture which, int64_t layers) {
  const json::value *held = config.get("sliding_window");
  const int64_t window = held == nullptr ? 0 : config.integer("sliding_window", *held, 1, k_max_positions);
  bool used = which == architecture::mistral && window != 0;
  int64_t first = 0;
  if (which != architecture::llama && which != architecture::mistral) {
    used = config.boolean_or("use_sliding_window", false);
    first = config.integer_or("max_window_layers", 0, k_max_layers, 0);
    if (used && window == 0) config.refuse("sliding_window", "is missing, but use_sliding_window is true");
  } else if (which == architecture::llama && window != 0) {
    config.refuse("sliding_window", "is not a field of this architecture", GK_UNSUPPORTED);
  }
  std::vector<int64_t> windows(static_cast<size_t>(layers), 0);
  for (int64_t i = used ? first : layers; i < layers; ++i) windows[static_cast<size_t>(i)] = window;
  const json::value *types = config.get("layer_types");
  if (types == nullptr) return windows;
  const json::array &names = config.array("layer_types", *types);
  if (static_cast<int64_t>(names.size()) != layers)
    config.refuse("layer_types", "has " + std::to_string(names.size()) + " entries; expected num_hidden_layers");
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string &type = config.text("layer_types", names[i]);
    if (type == "full_attention") {
      windows[i] = 0;
    } else if (type == "sliding_attention" && window != 0) {
      windows[i] = window;
    } else {
      config.refuse("layer_types",
                    "holds " + names[i].describe() + "; expected \"full_attention\", or with a " +
                        "sliding_window \"sliding_attention\"",
                    GK_UNSUPPORTED);
    }
  }
  return windows;
}

void read_quantization(field_reader &config, const std::string &name, model_description &model) {
  const json::value *held = config.get("quantization_config");
  if (held == nullptr) return;
  field_reader fields(name, "quantization_config.", config.object("quantization_config", *held));
  const json::value &method = fields.require("quant_method");
  if (fields.text("quant_method", method) != "fp8")
    fields.refuse("quant_method", "is " + method.describe() + "; this engine computes \"fp8\"", GK_UNSUPPORTED);
  if (const json::value *format = fields.get("fmt"); format && fields.text("fmt", *format) != "e4m3")
    fields.refuse("fmt", "is " + format->describe() + "; this engine computes \"e4m3\"", GK_UNSUPPORTED);
  const json::value &scheme = fields.require("activation_scheme");
  if (fields.text("activation_scheme", scheme) != "dynamic")
    fields.refuse("activation_scheme", "is " + scheme.describe() + "; this engine computes \"dynamic\"",
                  GK_UNSUPPORTED);
  const json::array &block = fields.array("weight_block_size", fields.require("weight_block_size"));
  if (block.size() != 2) fields.refuse("weight_block_size", "is not an array of two integers");
  model.scale_block_n = fields.integer("weight_block_size", block[0], 1, k_max_hidden);
  model.scale_block_k = fields.integer("weight_block_size", block[1], 1, k_max_hidden);
  // Names of layers left in the model's own type; the tensors' types say the same.
  fields.get("modules_to_not_convert");
  fields.finish();
}

// Which layers hold experts, in Qwen3-MoE's three fields.
void read_experts(field_reader &config, model_description &model) {
  mlp_description moe;
  moe.intermediate = config.integer("moe_intermediate_size", 1, k_max_hidden);
  moe.experts = static_cast<int32_t>(config.integer("num_experts", 1, k_max_experts));
  moe.experts_per_token = static_cast<int32_t>(config.integer("num_experts_per_tok", 1, moe.experts));
  const json::value &normalise = config.require("norm_topk_prob");
  if (normalise.as_boolean() == nullptr) config.refuse("norm_topk_prob", "expected true or false");
  moe.normalise_weights = *normalise.as_boolean();
  const int64_t step = config.integer("decoder_sparse_step", 1, k_max_layers);
  std::set<int64_t> dense;
  if (const json::value *held = config.get("mlp_only_layers"))
    for (const json::value &layer : config.array("mlp_only_layers", *held))
      dense.insert(config.integer("mlp_only_layers", layer, 0, static_cast<int64_t>(model.layers.size()) - 1));
  for (size_t i = 0; i < model.layers.size(); ++i)
    if (!dense.contains(static_cast<int64_t>(i)) && (static_cast<int64_t>(i) + 1) % step == 0)
      model.layers[i].mlp = moe;
}

attention_description read_attention(field_reader &config, architecture which, int64_t hidden) {
  attention_description a;
  a.heads = static_cast<int32_t>(config.integer("num_attention_heads", 1, k_max_heads));
  a.heads_kv = static_cast<int32_t>(config.integer_or("num_key_value_heads", 1, k_max_heads, a.heads));
  if (a.heads % a.heads_kv != 0)
    config.refuse("num_key_value_heads", "is " + std::to_string(a.heads_kv) + ", which does not divide the " +
                                             std::to_string(a.heads) + " attention heads");
  if (config.get("head_dim") == nullptr && hidden % a.heads != 0)
    config.refuse("num_attention_heads", "does not divide hidden_size, and there is no head_dim");
  a.head_dim = static_cast<int32_t>(config.integer_or("head_dim", 1, k_max_head_dim, hidden / a.heads));
  if (a.head_dim % 2 != 0 || a.head_dim > k_max_head_dim)
    config.refuse("head_dim", "is " + std::to_string(a.head_dim) + "; expected an even number up to " +
                                  std::to_string(k_max_head_dim));
  switch (which) {
    case architecture::llama:
      a.qkv_bias = a.o_bias = config.boolean_or("attention_bias", false);
      config.only("mlp_bias", false);
      config.only("pretraining_tp", 1.);
      break;
    case architecture::mistral:
      break;
    case architecture::qwen2:
      a.qkv_bias = true;
      break;
    case architecture::qwen3:
    case architecture::qwen3_moe:
      config.only("attention_bias", false);
      a.norm = qk_norm::per_head;
      break;
  }
  config.only("partial_rotary_factor", 1.);
  return a;
}

}  // namespace

const char *architecture_name(architecture which) noexcept {
  for (const known_architecture &a : k_architectures)
    if (a.which == which) return a.class_name;
  return "?";
}

model_description parse_description(std::string_view config_json, std::string_view name) {
  json::limits limit;
  limit.bytes = 1 << 20;
  const json::value document = json::parse(config_json, name, limit);
  if (document.as_object() == nullptr)
    throw status_error(GK_INVALID_ARGUMENT, std::string(name) + ": expected an object, got " + document.describe());
  const std::string file(name);
  field_reader config(file, "", *document.as_object());

  model_description model;
  model.which = read_architecture(config);
  model.dtype = read_dtype(config);
  model.hidden = config.integer("hidden_size", 1, k_max_hidden);
  model.vocabulary = config.integer("vocab_size", 1, k_max_vocabulary);
  model.max_positions = config.integer("max_position_embeddings", 1, k_max_positions);
  model.norm_eps = static_cast<float>(config.real("rms_norm_eps", 0, 1));
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  if (const json::value &act = config.require("hidden_act"); config.text("hidden_act", act) != "silu")
    config.refuse("hidden_act", "is " + act.describe() + "; this engine computes \"silu\"", GK_UNSUPPORTED);

  layer_description layer;
  layer.attention = read_attention(config, model.which, model.hidden);
  layer.mlp.intermediate = config.integer("intermediate_size", 1, k_max_hidden);
  const int64_t layers = config.integer("num_hidden_layers", 1, k_max_layers);
  model.layers.assign(static_cast<size_t>(layers), layer);
  const std::vector<int64_t> windows = read_windows(config, model.which, layers);
  for (size_t i = 0; i < windows.size(); ++i) model.layers[i].attention.window = windows[i];
  if (model.which == architecture::qwen3_moe) read_experts(config, model);
  model.rope = read_rope(config, file, layer.attention.head_dim);
  read_quantization(config, file, model);
  config.finish();
  return model;
}

std::vector<float> inverse_frequencies(const rope_description &rope) {
  constexpr double pi = 3.14159265358979323846;
  std::vector<float> out;
  for (int32_t i = 0; i < rope.rotary_dim; i += 2) {
    // In F32 throughout, as transformers computes them.
    const float exponent = static_cast<float>(i) / static_cast<float>(rope.rotary_dim);
    const float power = static_cast<float>(std::pow(static_cast<float>(rope.theta), exponent));
    float frequency = 1.f / power;
    if (rope.scaling == rope_scaling::linear) frequency /= static_cast<float>(rope.factor);
    if (rope.scaling == rope_scaling::llama3) {
      const double old = static_cast<double>(rope.original_max_positions);
      const double wavelength = 2 * pi / frequency;
      if (wavelength > old / rope.low_frequency_factor) {
        frequency /= static_cast<float>(rope.factor);
      } else if (wavelength >= old / rope.high_frequency_factor) {
        const double smooth =
            (old / wavelength - rope.low_frequency_factor) / (rope.high_frequency_factor - rope.low_frequency_factor);
        frequency = static_cast<float>((1 - smooth) * frequency / rope.factor + smooth * frequency);
      }
    }
    out.push_back(frequency);
  }
  return out;
}

}  // namespace gonka
