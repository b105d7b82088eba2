// Every family that make_tiny_model writes, against the decoder written out in F64: rope scaling, biases, head norms,
// experts. Shards, other storage types and block-scaled F8 give what one file in the model's type gives.
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "double_transformer.hpp"
#include "make_tiny.hpp"
#include "safetensors_writer.hpp"
#include "toy_model.hpp"

namespace {

namespace fs = std::filesystem;

const fs::path g_root = fs::temp_directory_path() / ("gonka-families-" + std::to_string(::getpid()));
constexpr int64_t k_seq_len = 19;

std::string fresh(const std::string &name) {
  const fs::path path = g_root / name;
  fs::remove_all(path);
  fs::create_directories(path);
  return path.string();
}

round_data small_round() {
  round_data round("llama_tiny");
  round.seq_len = k_seq_len;
  round.nonces.resize(3);
  return round;
}

std::string read_text(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string replaced(std::string text, const std::string &from, const std::string &to) {
  const size_t at = text.find(from);
  CHECK(at != std::string::npos);
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

void compare_with_double(const std::string &directory, const std::string &what) {
  const round_data round = small_round();
  engine e(directory, GK_F32);
  e.reflect(round.block_hash);
  const auto got = e.run(round, v2::generator::murmur, 2);
  const gonka::checkpoint files(directory);
  const double_transformer plain(e.model().model(), files);
  const size_t hidden = size_t(e.hidden()), row = size_t(k_seq_len) * hidden;
  double worst = 0;
  for (size_t n = 0; n < round.nonces.size(); ++n) {
    std::vector<float> values(row);
    v2::fill_inputs(v2::input_seeds(v2::generator::murmur, round.block_hash, round.public_key, round.nonces[n]),
                    values);
    std::vector<double> x(row);
    const uint32_t type = e.model().model().dtype;
    for (size_t i = 0; i < row; ++i)
      x[i] = type == GK_BF16  ? gonka::bf16_to_f32(gonka::f32_to_bf16(values[i]))
             : type == GK_F16 ? gonka::f16_to_f32(gonka::f32_to_f16(values[i]))
                              : values[i];
    worst = std::max(worst, largest_difference(std::span(got).subspan(n * hidden, hidden),
                                               plain.forward(x, e.reflections(round.block_hash))));
  }
  std::printf("%s: hidden state within %.2g of F64\n", what.c_str(), worst);
  CHECK(worst <= 3e-5);
}

std::vector<float> run_model(const std::string &directory, uint32_t compute = GK_F32, size_t batch = 3,
                             uint32_t threads = 0) {
  const round_data round = small_round();
  engine e(directory, compute, threads);
  e.reflect(round.block_hash);
  return e.run(round, v2::generator::concat_murmur, batch);
}

void families() {
  for (const std::string &family : gonka::tiny_family_names()) {
    const std::string directory = fresh(family);
    const auto files = gonka::make_tiny_model(directory, {family, "", 7});
    CHECK_EQ(files.bytes, 2 * files.parameters);
    compare_with_double(directory, family);
    // The same request gives the same bytes; another seed gives others.
    const std::string again = fresh("again"), other = fresh("other");
    gonka::make_tiny_model(again, {family, "", 7});
    gonka::make_tiny_model(other, {family, "", 8});
    CHECK(read_text(directory + "/model.safetensors") == read_text(again + "/model.safetensors"));
    CHECK(read_text(directory + "/model.safetensors") != read_text(other + "/model.safetensors"));
    bool refused = false;
    try {
      gonka::make_tiny_model(again, {family, "", 7});
    } catch (const gonka::status_error &error) {
      refused = std::string(error.what()).find("exists already") != std::string::npos;
    }
    CHECK(refused);
  }
}

// Experts: weights not normalised, and layers that stay dense; and the output bias that Llama may have.
void variants() {
  const std::string moe = g_root / "qwen3-moe", plain = fresh("moe-plain");
  fs::copy_file(moe + "/model.safetensors", plain + "/model.safetensors");
  gonka::write_whole_file(plain + "/config.json", replaced(read_text(moe + "/config.json"), "\"norm_topk_prob\": true",
                                                           "\"norm_topk_prob\": false"));
  compare_with_double(plain, "qwen3-moe without normalised weights");
  CHECK(run_model(plain) != run_model(moe));
  // Experts get other numbers of rows in every batch.
  for (const uint32_t compute : {uint32_t(GK_F32), uint32_t(GK_BF16)}) {
    const std::vector<float> one = run_model(moe, compute, 1, 1);
    for (const size_t batch : {2, 3}) CHECK(run_model(moe, compute, batch, 2) == one);
  }

  const gonka::checkpoint files(g_root / "llama");
  std::vector<gonka::tensor_source> tensors;
  for (const auto &[name, tensor] : files.tensors()) {
    tensors.push_back({name, tensor.info->dtype_name, tensor.info->shape, 2,
                       [from = tensor.data()](uint64_t offset, std::span<std::byte> bytes) {
                         std::memcpy(bytes.data(), from + offset, bytes.size());
                       }});
    if (name.find("_proj.weight") == std::string::npos || name.find("self_attn") == std::string::npos) continue;
    tensors.push_back({name.substr(0, name.size() - 6) + "bias",
                       "BF16",
                       {tensor.info->shape[0]},
                       2,
                       [](uint64_t offset, std::span<std::byte> bytes) {
                         for (size_t i = 0; i < bytes.size() / 2; ++i) {
                           const uint16_t half = gonka::f32_to_bf16(0.25f * float((offset / 2 + i) % 7) - 0.5f);
                           std::memcpy(&bytes[2 * i], &half, 2);
                         }
                       }});
  }
  const std::string biased = fresh("llama-bias");
  gonka::write_safetensors(biased + "/model.safetensors", tensors);
  gonka::write_whole_file(biased + "/config.json",
                          replaced(read_text(g_root / "llama" / "config.json"), "\"hidden_act\"",
                                   "\"attention_bias\": true, \"hidden_act\""));
  compare_with_double(biased, "llama with biases");
}

// Writes the qwen3 model's tensors as `shards` files with an index, converted by `convert`.
void write_shards(const std::string &directory, size_t shards, const std::string &dtype_name, uint32_t element_bytes,
                  const std::function<void(uint16_t, std::byte *)> &convert) {
  const gonka::checkpoint files(g_root / "qwen3");
  std::vector<std::vector<gonka::tensor_source>> lists(shards);
  std::string index = "{\"metadata\":{\"total_size\":1},\"weight_map\":{";
  size_t count = 0;
  for (const auto &[name, tensor] : files.tensors()) {
    const size_t shard = count++ % shards;
    index += (count == 1 ? "\"" : ",\"") + name + "\":\"model-" + std::to_string(shard) + ".safetensors\"";
    lists[shard].push_back(
        {name, dtype_name, tensor.info->shape, element_bytes,
         [from = tensor.data(), element_bytes, convert](uint64_t offset, std::span<std::byte> bytes) {
           for (size_t i = 0; i < bytes.size() / element_bytes; ++i) {
             uint16_t bits;
             std::memcpy(&bits, from + 2 * (offset / element_bytes + i), 2);
             convert(bits, &bytes[i * element_bytes]);
           }
         }});
  }
  for (size_t shard = 0; shard < shards; ++shard)
    gonka::write_safetensors(directory + "/model-" + std::to_string(shard) + ".safetensors", lists[shard]);
  gonka::write_whole_file(directory + "/model.safetensors.index.json", index + "}}");
  fs::copy_file(g_root / "qwen3" / "config.json", directory + "/config.json");
}

void storage() {
  const std::vector<float> want = run_model(g_root / "qwen3");
  const std::string shards = fresh("shards"), wide = fresh("wide");
  write_shards(shards, 3, "BF16", 2, [](uint16_t bits, std::byte *to) { std::memcpy(to, &bits, 2); });
  CHECK(run_model(shards) == want);
  // F32 storage of the same numbers.
  write_shards(wide, 1, "F32", 4, [](uint16_t bits, std::byte *to) {
    const float f = gonka::bf16_to_f32(bits);
    std::memcpy(to, &f, 4);
  });
  CHECK(run_model(wide) == want);
}

// Blocks of 16 x 32, each with its scale; against the same numbers multiplied out and stored as BF16.
void block_scales() {
  const gonka::checkpoint files(g_root / "qwen3");
  const auto code = [](uint64_t i) { return uint8_t(i * 2654435761u >> 24 & 0xfe); };  // never NaN (0x7f, 0xff)
  const auto scale = [](int64_t r, int64_t c) { return 0.002f * float(1 + (r * 5 + c * 3) % 7); };
  std::vector<gonka::tensor_source> quantised, plain;
  for (const auto &[name, tensor] : files.tensors()) {
    const gonka::tensor_source copy{name, "BF16", tensor.info->shape, 2,
                                    [from = tensor.data()](uint64_t offset, std::span<std::byte> bytes) {
                                      std::memcpy(bytes.data(), from + offset, bytes.size());
                                    }};
    if (name.find("_proj.weight") == std::string::npos) {
      quantised.push_back(copy);
      plain.push_back(copy);
      continue;
    }
    const int64_t n = tensor.info->shape[0], k = tensor.info->shape[1], columns = (k + 31) / 32;
    quantised.push_back({name, "F8_E4M3", {n, k}, 1, [code](uint64_t offset, std::span<std::byte> bytes) {
                           for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = std::byte(code(offset + i));
                         }});
    quantised.push_back({name + "_scale_inv",
                         "F32",
                         {(n + 15) / 16, columns},
                         4,
                         [scale, columns](uint64_t offset, std::span<std::byte> bytes) {
                           for (size_t i = 0; i < bytes.size() / 4; ++i) {
                             const int64_t at = int64_t(offset / 4 + i);
                             const float f = scale(at / columns, at % columns);
                             std::memcpy(&bytes[4 * i], &f, 4);
                           }
                         }});
    plain.push_back({name, "BF16", {n, k}, 2, [code, scale, k](uint64_t offset, std::span<std::byte> bytes) {
                       for (size_t i = 0; i < bytes.size() / 2; ++i) {
                         const uint64_t at = offset / 2 + i;
                         const float value =
                             gonka::e4m3_to_f32(code(at)) * scale(int64_t(at) / k / 16, int64_t(at) % k / 32);
                         const uint16_t half = gonka::f32_to_bf16(value);
                         std::memcpy(&bytes[2 * i], &half, 2);
                       }
                     }});
  }
  const std::string with = fresh("f8"), without = fresh("f8-plain");
  const std::string config = read_text(g_root / "qwen3" / "config.json");
  gonka::write_safetensors(with + "/model.safetensors", quantised);
  gonka::write_safetensors(without + "/model.safetensors", plain);
  gonka::write_whole_file(without + "/config.json", config);
  gonka::write_whole_file(with + "/config.json",
                          replaced(config, "\"hidden_act\"",
                                   "\"quantization_config\": {\"quant_method\": \"fp8\", \"activation_scheme\": "
                                   "\"dynamic\", \"weight_block_size\": [16, 32]}, \"hidden_act\""));
  CHECK(run_model(with) == run_model(without));

  // F8 without the configuration that says how it is scaled.
  bool refused = false;
  gonka::write_whole_file(with + "/config.json", config);
  try {
    run_model(with);
  } catch (const gonka::status_error &error) {
    refused = std::string(error.what()).find("F8_E4M3") != std::string::npos;
  }
  CHECK(refused);
}

// A file with a parameter that the configuration does not ask for computes something else: refused.
void unexpected_parameter() {
  const std::string directory = fresh("bias-without-config");
  const gonka::checkpoint files(g_root / "qwen2");
  fs::copy_file(g_root / "qwen2" / "model.safetensors", directory + "/model.safetensors");
  gonka::write_whole_file(directory + "/config.json", replaced(replaced(read_text(g_root / "qwen2" / "config.json"),
                                                                        "Qwen2ForCausalLM", "LlamaForCausalLM"),
                                                               "\"qwen2\"", "\"llama\""));
  bool refused = false;
  try {
    engine e(directory, GK_F32);
  } catch (const gonka::status_error &error) {
    const std::string message = error.what();
    refused = message.find("_proj.bias") != std::string::npos && message.find(directory) != std::string::npos;
  }
  CHECK(refused);
}

}  // namespace

int main() {
  families();
  variants();
  storage();
  block_scales();
  unexpected_parameter();
  fs::remove_all(g_root);
  return check_summary();
}
