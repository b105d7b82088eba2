// Malformed model files: every corruption gives an error that names the file, the tensor or field, and the cause.
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "checkpoint.hpp"
#include "description.hpp"
#include "device.hpp"

using namespace gonka;

namespace {

const std::filesystem::path g_directory =
    std::filesystem::temp_directory_path() / ("gonka-hostile-" + std::to_string(::getpid()));
int g_corruptions = 0;

void write(const std::string &name, const std::string &bytes) {
  std::filesystem::create_directories(g_directory);
  std::ofstream(g_directory / name, std::ios::binary | std::ios::trunc) << bytes;
}

std::string length_prefix(uint64_t length) {
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out;
}

std::string safetensors(const std::string &header, size_t data_bytes) {
  return length_prefix(header.size()) + header + std::string(data_bytes, '\x3c');
}

// Runs body and checks that it throws a status_error whose message holds every one of the words.
void refused(const std::string &what, const std::function<void()> &body, const std::vector<std::string> &words) {
  ++g_corruptions;
  try {
    body();
    check_report(false, __FILE__, __LINE__, what + ": accepted");
  } catch (const status_error &error) {
    const std::string message = error.what();
    for (const std::string &word : words)
      check_report(message.find(word) != std::string::npos, __FILE__, __LINE__,
                   what + ": \"" + message + "\" does not name \"" + word + "\"");
  }
}

struct corruption {
  const char *what;
  std::string bytes;
  std::vector<std::string> words;
};

const std::string k_two =
    R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]}})";

void replace(std::string &text, const std::string &from, const std::string &to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) std::abort();
  text.replace(at, from.size(), to);
}

// The two-tensor file with one piece of its header changed.
std::string edited(const std::string &from, const std::string &to, size_t data_bytes = 24) {
  std::string header = k_two;
  replace(header, from, to);
  return safetensors(header, data_bytes);
}

void safetensors_files() {
  const std::vector<corruption> all = {
      {"empty file", "", {"header", "at least 8 bytes"}},
      {"shorter than the length", std::string(7, '\0'), {"header", "at least 8 bytes"}},
      {"zero header", length_prefix(0), {"header", "'{'"}},
      {"header longer than the file", length_prefix(1000) + k_two, {"header", "1000"}},
      {"header length 2^64-1", length_prefix(~uint64_t(0)) + k_two, {"header", "18446744073709551615"}},
      {"header length just over the limit", length_prefix(100'000'001) + k_two, {"header", "100000001"}},
      {"header cut short", safetensors(k_two.substr(0, k_two.size() - 1), 24), {"header", "line 1"}},
      {"header is an array", safetensors("[]", 0), {"header", "'{'"}},
      {"header begins with a space", safetensors(" {}", 0), {"header", "'{'"}},
      {"header with text after it", safetensors("{}x", 0), {"header", "after the end"}},
      {"header with a NUL after it", safetensors(std::string("{}\0", 3), 0), {"header", "after the end"}},
      {"duplicate tensor", edited("\"b\"", "\"a\""), {"header", "\"a\" twice"}},
      {"duplicate tensor through an escape", edited("\"b\"", "\"\\u0061\""), {"header", "\"a\" twice"}},
      {"duplicate field", edited("\"shape\":[2,2]", "\"dtype\":\"F32\""), {"\"dtype\" twice"}},
      {"empty name", edited("\"b\"", "\"\""), {"tensor \"\"", "empty"}},
      {"entry is a number",
       edited(R"({"dtype":"BF16","shape":[4],"data_offsets":[16,24]})", "3"),
       {"tensor \"b\"", "expected an object"}},
      {"unknown field", edited("\"shape\":[2,2]", "\"shape\":[2,2],\"strides\":[1,2]"), {"tensor \"a\"", "strides"}},
      {"missing dtype", edited("\"dtype\":\"F32\",", ""), {"tensor \"a\"", "dtype"}},
      {"missing shape", edited("\"shape\":[2,2],", ""), {"tensor \"a\"", "shape"}},
      {"missing offsets", edited(",\"data_offsets\":[0,16]", ""), {"tensor \"a\"", "data_offsets"}},
      {"unknown dtype", edited("F32", "F33"), {"tensor \"a\"", "F33"}},
      {"lower-case dtype", edited("BF16", "bf16"), {"tensor \"b\"", "bf16"}},
      {"dtype is a number", edited("\"BF16\"", "16"), {"tensor \"b\"", "dtype is 16"}},
      {"shape is a number", edited("[4]", "4"), {"tensor \"b\"", "shape is 4"}},
      {"negative extent", edited("[4]", "[-4]"), {"tensor \"b\"", "-4"}},
      {"fractional extent", edited("[4]", "[4.0]"), {"tensor \"b\"", "shape holds 4"}},
      {"extent as a string", edited("[4]", "[\"4\"]"), {"tensor \"b\"", "shape holds"}},
      {"extent 2^63", edited("[4]", "[9223372036854775808]"), {"header", "64 bits"}},
      {"shape product overflows 64 bits", edited("[4]", "[4294967296,4294967296]"), {"tensor \"b\"", "overflows"}},
      {"shape bytes overflow", edited("[4]", "[9223372036854775807]"), {"tensor \"b\"", "overflows"}},
      {"product that wraps to the right size", edited("[4]", "[4,4611686018427387905]"), {"tensor \"b\"", "overflows"}},
      {"overflow hidden behind a zero",
       edited("[4]", "[9223372036854775807,9223372036854775807,0]"),
       {"tensor \"b\"", "overflows"}},
      {"nine dimensions", edited("[4]", "[1,1,1,1,1,1,1,1,4]"), {"tensor \"b\"", "9 dimensions"}},
      {"one offset", edited("[16,24]", "[16]"), {"tensor \"b\"", "two integers"}},
      {"three offsets", edited("[16,24]", "[16,24,32]"), {"tensor \"b\"", "two integers"}},
      {"negative offset", edited("[16,24]", "[-8,24]"), {"tensor \"b\"", "-8"}},
      {"fractional offset", edited("[16,24]", "[16,24.5]"), {"tensor \"b\"", "24.5"}},
      {"offsets reversed", edited("[16,24]", "[24,16]"), {"tensor \"b\"", "after their end"}},
      {"end past the file", edited("[16,24]", "[16,25]"), {"tensor \"b\"", "end at 25"}},
      {"end at 2^63-1", edited("[16,24]", "[16,9223372036854775807]"), {"tensor \"b\"", "9223372036854775807"}},
      {"data cut short", safetensors(k_two, 23), {"tensor \"b\"", "23 bytes"}},
      {"bytes after the last tensor", safetensors(k_two, 25), {"1 bytes follow", "\"b\""}},
      {"overlap", edited("[16,24]", "[8,16]", 16), {"tensor \"b\"", "overlaps"}},
      {"whole overlap",
       edited("\"shape\":[4],\"data_offsets\":[16,24]", "\"shape\":[8],\"data_offsets\":[0,16]", 16),
       {"tensor \"b\"", "overlaps"}},
      {"gap", edited("[16,24]", "[20,28]", 28), {"tensor \"b\"", "gap"}},
      {"gap at the start",
       safetensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8),
       {"tensor \"a\"", "gap"}},
      {"length does not match the shape", edited("[2,2]", "[2,3]"), {"tensor \"a\"", "[2, 3] takes 24"}},
      {"length does not match the type", edited("F32", "F64"), {"tensor \"a\"", "F64"}},
      {"metadata is a list", edited("{\"a\"", "{\"__metadata__\":[],\"a\""), {"__metadata__"}},
      {"metadata holds a number", edited("{\"a\"", "{\"__metadata__\":{\"n\":1},\"a\""), {"__metadata__"}},
      {"invalid UTF-8 in a name", edited("\"b\"", "\"\xc3\x28\""), {"header", "UTF-8"}},
      {"overlong UTF-8 in a name", edited("\"b\"", "\"\xc0\xaf\""), {"header", "UTF-8"}},
      {"unpaired surrogate", edited("\"b\"", "\"\\ud800\""), {"header", "surrogate"}},
      {"control character", edited("\"b\"", "\"\n\""), {"header", "control character"}},
      {"deep nesting",
       safetensors("{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}", 0),
       {"header", "nested deeper"}},
      {"trailing comma", edited("\"shape\":[4]", "\"shape\":[4,]"), {"header", "expected a value"}},
      {"NaN", edited("[4]", "[NaN]"), {"header", "expected a value"}},
      {"leading zero", edited("[4]", "[04]"), {"header", "begins with 0"}},
      {"number out of range", edited("[4]", "[1e999]"), {"header", "range"}},
  };
  const std::string path = (g_directory / "model.safetensors").string();
  for (const corruption &c : all) {
    write("model.safetensors", c.bytes);
    std::vector<std::string> words = c.words;
    words.push_back(path);
    refused(c.what, [&] { checkpoint opened(g_directory.string()); }, words);
  }
  // The unharmed file, and one whose empty tensors lie anywhere.
  write("model.safetensors", safetensors(k_two, 24));
  const checkpoint good(g_directory.string());
  CHECK_EQ(good.tensors().size(), size_t(2));
  CHECK_EQ(good.require("b", {4}).info->bytes, uint64_t(8));
  CHECK_EQ(int(good.require("a", {2, 2}).data()[15]), 0x3c);
  refused("missing tensor", [&] { good.require("c", {4}); }, {path, "\"c\"", "missing"});
  refused("other shape", [&] { good.require("a", {4}); }, {path, "\"a\"", "[2, 2]", "[4]"});
  write("model.safetensors", safetensors(R"({"e":{"dtype":"F32","shape":[0,9],"data_offsets":[4,4]},)"
                                         R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                         R"("f":{"dtype":"BOOL","shape":[0],"data_offsets":[0,0]},)"
                                         R"("s":{"dtype":"I64","shape":[],"data_offsets":[4,12]}}   )",
                                         12));
  CHECK_EQ(checkpoint(g_directory.string()).tensors().size(), size_t(4));
  std::filesystem::remove_all(g_directory);
}

void sharded_files() {
  const auto one = [](const std::string &name) {
    return safetensors("{\"" + name + R"(":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", 4);
  };
  const auto open = [] { checkpoint opened(g_directory.string()); };
  const std::string index = "model.safetensors.index.json";
  const auto index_of = [&](const std::string &map) { write(index, "{\"metadata\":{},\"weight_map\":" + map + "}"); };

  std::filesystem::create_directories(g_directory);
  refused("no weights at all", open, {g_directory.string(), "neither"});
  write("1.safetensors", one("a"));
  write("2.safetensors", one("b"));
  index_of(R"({"a":"1.safetensors","b":"2.safetensors"})");
  CHECK_EQ(checkpoint(g_directory.string()).tensors().size(), size_t(2));

  write(index, "[]");
  refused("index is a list", open, {index, "expected an object"});
  write(index, "{}");
  refused("no weight_map", open, {index, "weight_map"});
  index_of("[]");
  refused("weight_map is a list", open, {index, "weight_map"});
  index_of("{}");
  refused("weight_map is empty", open, {index, "weight_map", "empty"});
  index_of(R"({"a":"1.safetensors","a":"2.safetensors"})");
  refused("tensor twice in the index", open, {index, "\"a\" twice"});
  for (const char *shard : {"\"../1.safetensors\"", "\"/etc/1.safetensors\"", "\"x/1.safetensors\"", "\".safetensors\"",
                            "\"..\"", "\"1.bin\"", "\"\"", "7", "\"a\\u0000.safetensors\"", "\"x\\\\1.safetensors\""}) {
    index_of(std::string("{\"a\":") + shard + "}");
    refused(std::string("shard ") + shard, open, {index, "\"a\"", "plain file name"});
  }
  index_of(R"({"a":"3.safetensors"})");
  refused("shard is missing", open, {"3.safetensors", "cannot be opened"});
  std::filesystem::create_directories(g_directory / "4.safetensors");
  index_of(R"({"a":"4.safetensors"})");
  refused("shard is a directory", open, {"4.safetensors", "regular file"});
  index_of(R"({"a":"1.safetensors","b":"1.safetensors"})");
  refused("tensor in another shard than the index says", open, {index, "\"b\"", "1.safetensors"});
  index_of(R"({"a":"1.safetensors"})");
  write("1.safetensors", safetensors(k_two, 24));
  refused("tensor that the index does not list", open, {"1.safetensors", "\"b\"", "not listed"});
  index_of(R"({"a":"1.safetensors","b":"2.safetensors"})");
  refused("tensor in two shards", open, {"1.safetensors", "\"b\"", "2.safetensors"});
  write("model.safetensors", one("a"));
  refused("single file beside an index", open, {g_directory.string(), "both"});
  std::filesystem::remove_all(g_directory);
}

const std::string k_config = R"({
 "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 96, "num_hidden_layers": 3,
 "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "intermediate_size": 192, "vocab_size": 256,
 "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "rope_scaling": null, "hidden_act": "silu", "attention_bias": false,
 "tie_word_embeddings": true, "max_position_embeddings": 2048, "use_sliding_window": false, "sliding_window": null,
 "torch_dtype": "float16"})";

void configurations() {
  struct edit {
    std::string from, to;
    std::vector<std::string> words;
  };
  const std::vector<edit> all = {
      {"\"Qwen3ForCausalLM\"", "\"GPT2LMHeadModel\"", {"architectures", "GPT2LMHeadModel"}},
      {"[\"Qwen3ForCausalLM\"]", "[]", {"architectures"}},
      {"[\"Qwen3ForCausalLM\"]", "\"Qwen3ForCausalLM\"", {"architectures"}},
      {"\"qwen3\"", "\"llama\"", {"model_type", "llama"}},
      {"\"hidden_size\": 96", "\"hidden_size\": 0", {"hidden_size", "0"}},
      {"\"hidden_size\": 96", "\"hidden_size\": -96", {"hidden_size", "-96"}},
      {"\"hidden_size\": 96", "\"hidden_size\": 96.0", {"hidden_size"}},
      {"\"hidden_size\": 96", "\"hidden_size\": \"96\"", {"hidden_size"}},
      {"\"hidden_size\": 96", "\"hidden_size\": 4611686018427387904", {"hidden_size", "4611686018427387904"}},
      {"\"hidden_size\": 96,", "", {"hidden_size", "missing"}},
      {"\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1000000000", {"num_hidden_layers"}},
      {"\"num_attention_heads\": 4", "\"num_attention_heads\": 0", {"num_attention_heads"}},
      {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", {"num_key_value_heads", "3"}},
      {"\"head_dim\": 32", "\"head_dim\": 31", {"head_dim", "31"}},
      {"\"head_dim\": 32", "\"head_dim\": 512", {"head_dim", "512"}},
      {"\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": NaN", {"line 4"}},
      {"\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": Infinity", {"line 4"}},
      {"\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": 1e400", {"line 4", "range"}},
      {"\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": 0", {"rms_norm_eps", "0"}},
      {"\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": -1e-6", {"rms_norm_eps"}},
      {"\"rms_norm_eps\": 1e-06,", "", {"rms_norm_eps", "missing"}},
      {"\"rope_theta\": 1000000.0", "\"rope_theta\": 0", {"rope_theta"}},
      {"\"rope_theta\": 1000000.0", "\"rope_theta\": 1e300", {"rope_theta"}},
      {"\"rope_scaling\": null",
       "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4}",
       {"rope_scaling.rope_type", "yarn"}},
      {"\"rope_scaling\": null", "\"rope_scaling\": {\"factor\": 4}", {"rope_scaling.type", "missing"}},
      {"\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"linear\"}", {"rope_scaling.factor", "missing"}},
      {"\"rope_scaling\": null",
       "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 0}",
       {"rope_scaling.factor"}},
      {"\"rope_scaling\": null",
       "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2, \"x\": 1}",
       {"rope_scaling.x"}},
      {"\"rope_scaling\": null",
       "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
       "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192}",
       {"rope_scaling.high_freq_factor"}},
      {"\"rope_scaling\": null", "\"rope_scaling\": []", {"rope_scaling", "object"}},
      {"\"rope_scaling\": null",
       "\"rope_parameters\": {\"rope_theta\": 5, \"rope_type\": \"default\"}",
       {"rope_theta"}},
      {"\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", {"hidden_act", "gelu"}},
      {"\"attention_bias\": false", "\"attention_bias\": true", {"attention_bias", "true"}},
      {"\"attention_bias\": false", "\"attention_bias\": 0", {"attention_bias", "0"}},
      {"\"use_sliding_window\": false", "\"use_sliding_window\": true", {"sliding_window", "missing"}},
      {"\"sliding_window\": null", "\"layer_types\": [\"full_attention\"]", {"layer_types", "1 entries"}},
      {"\"sliding_window\": null",
       "\"layer_types\": [\"full_attention\",\"full_attention\",\"mamba\"]",
       {"layer_types", "mamba"}},
      {"\"float16\"", "\"int8\"", {"torch_dtype", "int8"}},
      {"\"torch_dtype\": \"float16\"",
       "\"torch_dtype\": \"float16\", \"dtype\": \"bfloat16\"",
       {"torch_dtype", "bfloat16"}},
      {"\"vocab_size\": 256", "\"vocab_size\": 256, \"attn_logit_softcapping\": 50.0", {"attn_logit_softcapping"}},
      {"\"vocab_size\": 256", "\"vocab_size\": 256, \"vocab_size\": 256", {"vocab_size", "twice"}},
      {"\"vocab_size\": 256", "\"vocab_size\": 256, \"partial_rotary_factor\": 0.5", {"partial_rotary_factor", "0.5"}},
      {"\"vocab_size\": 256",
       "\"vocab_size\": 256, \"quantization_config\": {\"quant_method\": \"awq\"}",
       {"quantization_config.quant_method", "awq"}},
      {"\"vocab_size\": 256",
       "\"vocab_size\": 256, \"quantization_config\": {\"quant_method\": \"fp8\", "
       "\"activation_scheme\": \"dynamic\", \"weight_block_size\": [128]}",
       {"quantization_config.weight_block_size"}},
  };
  CHECK_EQ(parse_description(k_config, "good.json").layers.size(), size_t(3));
  for (const edit &e : all) {
    std::string text = k_config;
    replace(text, e.from, e.to);
    std::vector<std::string> words = e.words;
    words.push_back("bad.json");
    refused(e.to, [&] { parse_description(text, "bad.json"); }, words);
  }
}

void accepted_configurations() {
  // Llama 3.1: rope scaling.
  const model_description llama = parse_description(R"({"architectures":["LlamaForCausalLM"],"model_type":"llama",
    "attention_bias":false,"attention_dropout":0.0,"bos_token_id":128000,"eos_token_id":[128001,128008],
    "hidden_act":"silu","hidden_size":4096,"initializer_range":0.02,"intermediate_size":14336,"mlp_bias":false,
    "max_position_embeddings":131072,"num_attention_heads":32,"num_hidden_layers":32,"num_key_value_heads":8,
    "pretraining_tp":1,"rms_norm_eps":1e-05,"rope_scaling":{"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
    "original_max_position_embeddings":8192,"rope_type":"llama3"},"rope_theta":500000.0,"tie_word_embeddings":false,
    "torch_dtype":"bfloat16","transformers_version":"4.42.3","use_cache":true,"vocab_size":128256})",
                                                    "llama");
  CHECK(llama.rope.scaling == rope_scaling::llama3);
  CHECK_EQ(llama.layers[31].attention.head_dim, 128);
  const std::vector<float> frequencies = inverse_frequencies(llama.rope);
  CHECK_EQ(frequencies.size(), size_t(64));
  CHECK_EQ(frequencies[0], 1.f);
  // Computed apart from this project by the published formula: kept, on the ramp, divided by the factor.
  const std::pair<size_t, double> known[] = {
      {1, 0.8146172165870667},     {20, 0.016560440883040428},  {28, 0.0032114461064338684},
      {29, 0.0021665704517852013}, {32, 0.0005248460551919039}, {34, 0.00017850780240757209},
      {35, 9.556212899042293e-05}, {36, 7.784655463183299e-05}, {63, 3.068925877869333e-07}};
  for (const auto &[i, want] : known) CHECK(std::abs(frequencies[i] / want - 1) < 5e-7);

  // Mistral 0.1: every layer has the window. Qwen3-MoE: every second layer dense.
  const model_description mistral = parse_description(R"({"architectures":["MistralForCausalLM"],"hidden_act":"silu",
    "hidden_size":64,"intermediate_size":128,"max_position_embeddings":32768,"model_type":"mistral",
    "num_attention_heads":4,"num_hidden_layers":2,"num_key_value_heads":2,"rms_norm_eps":1e-05,"rope_theta":10000.0,
    "sliding_window":4096,"tie_word_embeddings":false,"torch_dtype":"bfloat16","vocab_size":32000})",
                                                      "mistral");
  CHECK_EQ(mistral.layers[1].attention.window, int64_t(4096));
  const model_description moe = parse_description(R"({"architectures":["Qwen3MoeForCausalLM"],"hidden_act":"silu",
    "hidden_size":64,"intermediate_size":128,"max_position_embeddings":32768,"model_type":"qwen3_moe",
    "num_attention_heads":4,"num_hidden_layers":4,"num_key_value_heads":2,"rms_norm_eps":1e-06,"rope_theta":1000000.0,
    "rope_scaling":null,"sliding_window":null,"use_sliding_window":false,"max_window_layers":4,"head_dim":32,
    "tie_word_embeddings":false,"torch_dtype":"bfloat16","vocab_size":512,"attention_bias":false,"num_experts":8,
    "num_experts_per_tok":2,"norm_topk_prob":true,"moe_intermediate_size":32,"decoder_sparse_step":2,
    "mlp_only_layers":[3],"router_aux_loss_coef":0.001,"output_router_logits":false})",
                                                  "moe");
  CHECK_EQ(moe.layers[0].mlp.experts, 0);
  CHECK_EQ(moe.layers[1].mlp.experts, 8);
  CHECK_EQ(moe.layers[1].mlp.intermediate, int64_t(32));
  CHECK_EQ(moe.layers[3].mlp.experts, 0);
}

}  // namespace

int main() {
  safetensors_files();
  sharded_files();
  configurations();
  accepted_configurations();
  std::printf("%d corruptions\n", g_corruptions);
  CHECK(g_corruptions >= 60);
  return check_summary();
}
