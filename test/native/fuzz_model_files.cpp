// Fuzzes the readers of hostile model files: JSON documents, safetensors files, model configurations, shard indexes.
//
// Each input is a valid one, mutated. A reader may accept it or throw status_error; anything else - another exception,
// a crash, a read outside the input - is a finding. An accepted safetensors file must place every tensor inside its
// data, apart from the others.
//   GONKA_FUZZ_INPUTS  inputs per reader; 20,000 if absent (the full run is 1,000,000 under -DGONKA_SANITIZE=address)
//   GONKA_FUZZ_SEED    seed of the mutations; fixed if absent
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "check.hpp"
#include "checkpoint.hpp"
#include "description.hpp"
#include "device.hpp"
#include "json_document.hpp"
#include "safetensors.hpp"

using namespace gonka;

namespace {

uint64_t setting(const char *name, uint64_t fallback) {
  const char *text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

std::mt19937_64 g_random;

size_t below(size_t n) {
  return n == 0 ? 0 : size_t(g_random() % n);
}

constexpr std::string_view k_words[] = {"{",
                                        "}",
                                        "[",
                                        "]",
                                        ",",
                                        ":",
                                        "\"",
                                        "\\",
                                        "\\u0000",
                                        "\\ud800",
                                        "\\udc00",
                                        "null",
                                        "true",
                                        "false",
                                        "0",
                                        "-1",
                                        "-0",
                                        "1e999",
                                        "1e-999",
                                        "9223372036854775807",
                                        "9223372036854775808",
                                        "18446744073709551615",
                                        "4294967296",
                                        "2147483648",
                                        "0.5",
                                        "1e5",
                                        "NaN",
                                        "Infinity",
                                        "\"a\"",
                                        "\"dtype\"",
                                        "\"shape\"",
                                        "\"data_offsets\"",
                                        "\"__metadata__\"",
                                        "\"F32\"",
                                        "\"BF16\"",
                                        "\"F8_E4M3\"",
                                        "\"BOOL\"",
                                        "[0,0]",
                                        "[]",
                                        "{}",
                                        "\xff",
                                        "\xc0\x80",
                                        "\xed\xa0\x80",
                                        "\xf4\x90\x80\x80",
                                        "\"hidden_size\"",
                                        "\"head_dim\"",
                                        "\"rope_scaling\"",
                                        "\"llama3\"",
                                        "\"layer_types\"",
                                        "\"sliding_attention\"",
                                        "\"quantization_config\"",
                                        "\"weight_block_size\"",
                                        "\"num_experts\"",
                                        "\"Qwen3MoeForCausalLM\"",
                                        "\n",
                                        " "};

void mutate(std::string &text) {
  const size_t at = below(text.size() + 1);
  switch (below(9)) {
    case 0:
      if (!text.empty()) text[below(text.size())] = char(g_random());
      break;
    case 1:
      if (!text.empty()) text[below(text.size())] ^= char(1 << below(8));
      break;
    case 2:
      text.insert(at, k_words[below(std::size(k_words))]);
      break;
    case 3:  // a piece removed
      text.erase(at, below(16));
      break;
    case 4:  // a piece twice
      text.insert(below(text.size() + 1), text.substr(at, below(64)));
      break;
    case 5:  // cut short
      if (below(4) == 0) text.resize(at);
      break;
    case 6: {  // one number for another
      const size_t digit = text.find_first_of("0123456789", at);
      if (digit == std::string::npos) break;
      const size_t end = std::min(text.find_first_not_of("0123456789", digit), text.size());
      text.replace(digit, end - digit, std::to_string(below(2) ? below(64) : g_random()));
      break;
    }
    case 7: {  // one word for another
      const size_t quote = text.find('"', at);
      if (quote == std::string::npos) break;
      const size_t end = text.find('"', quote + 1);
      if (end != std::string::npos) text.replace(quote, end + 1 - quote, k_words[below(std::size(k_words))]);
      break;
    }
    default:
      text.insert(at, std::string(below(100), "[{,\"0 "[below(6)]));
  }
}

std::string mutated(std::string_view from) {
  std::string text(from);
  for (size_t n = 1 + below(4); n > 0; --n) mutate(text);
  return text;
}

// Exactly as long as its contents, so that a sanitizer sees the first byte read past the end.
struct exact_copy {
  explicit exact_copy(const std::string &text) : bytes(new char[text.size()]), size(text.size()) {
    std::memcpy(bytes.get(), text.data(), size);
  }
  std::string_view view() const { return {bytes.get(), size}; }
  std::unique_ptr<char[]> bytes;
  size_t size;
};

constexpr std::string_view k_header =
    R"({"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"e":{"dtype":"I64","shape":[0],"data_offsets":[32,32]},)"
    R"("\u00e9":{"dtype":"F8_E4M3","shape":[],"data_offsets":[32,33]}})";

constexpr std::string_view k_configs[] = {
    R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","attention_bias":false,"hidden_act":"silu",
"hidden_size":64,"intermediate_size":128,"mlp_bias":false,"max_position_embeddings":131072,"num_attention_heads":4,
"num_hidden_layers":3,"num_key_value_heads":2,"pretraining_tp":1,"rms_norm_eps":1e-05,"rope_scaling":{"factor":8.0,
"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192,"rope_type":"llama3"},
"rope_theta":500000.0,"tie_word_embeddings":false,"torch_dtype":"bfloat16","vocab_size":128})",
    R"({"architectures":["Qwen3MoeForCausalLM"],"hidden_act":"silu","hidden_size":64,"intermediate_size":128,
"max_position_embeddings":32768,"model_type":"qwen3_moe","num_attention_heads":4,"num_hidden_layers":4,
"num_key_value_heads":2,"rms_norm_eps":1e-06,"rope_parameters":{"rope_theta":1000000.0,"rope_type":"default"},
"sliding_window":32,"use_sliding_window":true,"max_window_layers":2,"head_dim":32,"dtype":"float16","vocab_size":512,
"layer_types":["full_attention","full_attention","sliding_attention","sliding_attention"],"num_experts":8,
"num_experts_per_tok":2,"norm_topk_prob":true,"moe_intermediate_size":32,"decoder_sparse_step":2,"mlp_only_layers":[3],
"quantization_config":{"quant_method":"fp8","fmt":"e4m3","activation_scheme":"dynamic","weight_block_size":[128,128]}})"};

constexpr std::string_view k_index =
    R"({"metadata":{"total_size":988},"weight_map":{"lm_head.weight":"model-00002-of-00002.safetensors",)"
    R"("model.embed_tokens.weight":"model-00001-of-00002.safetensors","model.norm.weight":"b.safetensors",)"
    R"("\u00e9":"b.safetensors"}})";

// Runs the reader on many mutations. Returns how many it accepted.
template <class Make, class Read>
uint64_t fuzz(const char *name, uint64_t inputs, const Make &make, const Read &read) {
  uint64_t accepted = 0;
  for (uint64_t i = 0; i < inputs; ++i) {
    const exact_copy input(make());
    try {
      read(input.view());
      ++accepted;
    } catch (const status_error &error) {
      if (error.status != GK_INVALID_ARGUMENT && error.status != GK_UNSUPPORTED)
        check_report(false, __FILE__, __LINE__, std::string(name) + ": status of " + error.what());
    } catch (const std::exception &error) {
      check_report(false, __FILE__, __LINE__,
                   std::string(name) + ": " + error.what() + " from " + json::printable(input.view(), 2000));
    }
  }
  std::printf("%s: %llu inputs, %llu accepted\n", name, static_cast<unsigned long long>(inputs),
              static_cast<unsigned long long>(accepted));
  // Mutations that are all refused, or all accepted, would exercise little.
  CHECK(accepted > inputs / 200 && accepted < inputs);
  return accepted;
}

void read_safetensors(std::string_view file) {
  std::vector<tensor_info> tensors = parse_safetensors(file, file.size(), "fuzz");
  std::ranges::sort(tensors, {}, [](const tensor_info &t) { return std::pair(t.offset, t.bytes); });
  uint64_t end = 0;
  bool good = true;
  for (const tensor_info &t : tensors) {
    good = good && t.offset >= end && t.offset >= 8 && t.bytes <= file.size() && t.offset <= file.size() - t.bytes;
    end = t.offset + t.bytes;
  }
  check_report(good, __FILE__, __LINE__, "tensors of an accepted file: " + json::printable(file, 2000));
}

}  // namespace

int main() {
  const uint64_t inputs = setting("GONKA_FUZZ_INPUTS", 20'000), seed = setting("GONKA_FUZZ_SEED", 0x9d7f3a);
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  g_random.seed(seed);

  fuzz(
      "json", inputs, [] { return mutated(below(2) ? k_header : k_configs[below(2)]); },
      [](std::string_view text) { json::parse(text, "fuzz"); });
  fuzz(
      "safetensors", inputs,
      [] {
        std::string header = mutated(k_header);
        uint64_t length = header.size();
        if (below(8) == 0) length = below(2) ? g_random() : below(2 * header.size());
        std::string file(8, '\0');
        std::memcpy(file.data(), &length, 8);
        return file + header + std::string(below(8) == 0 ? below(64) : 33, 'x');
      },
      read_safetensors);
  fuzz(
      "configuration", inputs, [] { return mutated(k_configs[below(2)]); },
      [](std::string_view text) {
        const model_description model = parse_description(text, "fuzz");
        const std::vector<float> frequencies = inverse_frequencies(model.rope);
        const bool finite = std::ranges::all_of(frequencies, [](float f) { return f >= 0 && f <= 3e38f; });
        check_report(finite && !model.layers.empty(), __FILE__, __LINE__,
                     "rope of an accepted configuration: " + json::printable(text, 2000));
      });
  fuzz(
      "index", inputs, [] { return mutated(k_index); },
      [](std::string_view text) {
        const std::vector<indexed_tensor> tensors = parse_shard_index(text, "fuzz");
        const bool inside = std::ranges::all_of(tensors, [](const indexed_tensor &t) {
          return t.shard.ends_with(".safetensors") && t.shard[0] != '.' && t.shard.find('/') == std::string::npos &&
                 t.shard.find('\0') == std::string::npos;
        });
        check_report(inside && !tensors.empty(), __FILE__, __LINE__,
                     "shards of an accepted index: " + json::printable(text, 2000));
      });
  return check_summary();
}
