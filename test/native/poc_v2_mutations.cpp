// Each deliberate bug of golden/v2/mutation_sensitivity.json, made in our own engine: its artifacts move away from the
// stored ones as far as the file says, so the tests that compare with those catch it.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "checkpoint.hpp"
#include "safetensors_writer.hpp"
#include "toy_model.hpp"

namespace {

namespace fs = std::filesystem;

const fs::path g_directory = fs::temp_directory_path() / ("gonka-mutations-" + std::to_string(::getpid()));

// What is done to a model's files.
struct file_edit {
  std::vector<std::pair<std::string, std::string>> config{};  // text replaced by text, all of them there
  std::string drop{};                                         // tensors whose name holds this are left out
  bool final_norm_ones = false;
};

// A copy of the model with the edit applied.
std::string edited(const round_data &round, const file_edit &edit) {
  fs::remove_all(g_directory);
  fs::create_directories(g_directory);
  std::ifstream in(round.folder + "config.json");
  std::string config{std::istreambuf_iterator<char>(in), {}};
  for (const auto &[from, to] : edit.config) {
    const size_t at = config.find(from);
    CHECK(at != std::string::npos);
    if (at != std::string::npos) config.replace(at, from.size(), to);
  }
  gonka::write_whole_file((g_directory / "config.json").string(), config);

  const gonka::checkpoint files(round.folder);
  std::vector<gonka::tensor_source> tensors;
  for (const auto &[name, tensor] : files.tensors()) {
    if (!edit.drop.empty() && name.find(edit.drop) != std::string::npos) continue;
    const bool ones = edit.final_norm_ones && name == "model.norm.weight";
    const uint16_t one = tensor.info->dtype == GK_F16 ? gonka::f32_to_f16(1) : gonka::f32_to_bf16(1);
    tensors.push_back({name, tensor.info->dtype_name, tensor.info->shape, gonka::dtype_size(tensor.info->dtype),
                       [from = tensor.data(), ones, one](uint64_t offset, std::span<std::byte> bytes) {
                         std::memcpy(bytes.data(), from + offset, bytes.size());
                         if (ones)
                           for (size_t i = 0; i < bytes.size(); i += 2) std::memcpy(&bytes[i], &one, 2);
                       }});
  }
  gonka::write_safetensors((g_directory / "model.safetensors").string(), tensors);
  return g_directory.string();
}

using pick_rule = std::function<std::vector<int32_t>(size_t nonce, int64_t hidden)>;
using reflection_rule = std::function<std::vector<float>(std::vector<float> vectors, size_t hidden)>;

struct mutation {
  const char *name;
  std::string directory;
  reflection_rule reflections = [](std::vector<float> v, size_t) { return v; };
  bool rotate = true;
  pick_rule picks = nullptr;
};

// The k smallest scores in ascending order of score: what topk(sorted=True) would return.
std::vector<int32_t> by_score(const round_data &round, size_t n, int64_t hidden) {
  std::vector<int32_t> picks = picks_of(round, n, hidden);
  const uint32_t seed =
      v2::seed_from_string(v2::pick_seed(round.block_hash, round.public_key, round.nonces[n], int64_t(picks.size())));
  std::ranges::sort(picks, {}, [&](int32_t i) { return v2::murmur3(uint32_t(i), seed); });
  return picks;
}

// Smallest and largest distance between the mutant's vectors and the stored artifacts.
std::pair<double, double> measure(const round_data &round, const mutation &m) {
  engine e(m.directory, GK_F32);
  const size_t hidden = size_t(e.hidden());
  e.model().set_reflections(m.reflections(e.reflections(round.block_hash), hidden));
  const auto last = e.run(round, v2::generator::murmur, 8);
  double least = INFINITY, most = 0;
  for (size_t n = 0; n < round.nonces.size(); ++n) {
    const auto picks = m.picks ? m.picks(n, int64_t(hidden)) : picks_of(round, n, int64_t(hidden));
    const auto row = std::span(last).subspan(n * hidden, hidden);
    std::vector<float> vector;
    if (m.rotate) {
      vector = v2::artifact_vector(row, picks, round.block_hash, round.public_key, round.nonces[n]);
    } else {
      for (const int32_t i : picks) vector.push_back(row[size_t(i)]);
      v2::normalise(vector);
    }
    const double d = distance(vector, stored_artifact(round, "murmur/fp32/cuda_pick_order", n));
    least = std::min(least, d);
    most = std::max(most, d);
  }
  return {least, most};
}

// qwen2 and qwen3 without what makes them so are Llama.
file_edit as_llama(const std::string &type, const std::string &class_name, const std::string &drop) {
  file_edit edit{{{class_name, "LlamaForCausalLM"}, {'"' + type + '"', "\"llama\""}}, drop};
  if (type == "qwen3") edit.config.push_back({"\"use_sliding_window\": false,", ""});
  return edit;
}

void mutate(const std::string &name, const json::value &golden) {
  const round_data round(name);
  const auto check = [&](const mutation &m) {
    const auto [least, most] = measure(round, m);
    const json::value &want = golden[name][m.name];
    std::printf("%s %s: %.6f to %.6f (file: %.6f to %.6f)\n", name.c_str(), m.name, least, most, want[0].num(),
                want[1].num());
    // As far as the file says, up to the arithmetic: F32 here, F64 there.
    CHECK(std::abs(least - want[0].num()) <= 2e-5);
    CHECK(std::abs(most - want[1].num()) <= 2e-5);
    return most;
  };
  // What the tests of the models allow.
  constexpr double k_allowed = 1e-3;
  const auto caught = [&](const mutation &m) { CHECK(check(m) > k_allowed); };

  const auto harmless = mutation{"None", round.folder};
  CHECK(check(harmless) <= k_allowed);
  caught({"no_hooks", round.folder, [](std::vector<float>, size_t) { return std::vector<float>(); }});
  caught({"no_last_layer_hook", round.folder, [](std::vector<float> v, size_t hidden) {
            std::fill(v.end() - long(hidden), v.end(), 0.f);
            return v;
          }});
  const mutation shifted{"hooks_shifted_by_one", round.folder, [](std::vector<float> v, size_t hidden) {
                           std::rotate(v.begin(), v.begin() + long(hidden), v.end());
                           return v;
                         }};
  if (name == "qwen2_bias")
    check(shifted);  // one layer: the shift changes nothing
  else
    caught(shifted);
  caught({.name = "no_haar", .directory = round.folder, .rotate = false});
  caught({.name = "pick_by_ascending_score_order", .directory = round.folder, .picks = [&](size_t n, int64_t hidden) {
            return by_score(round, n, hidden);
          }});
  caught({"no_final_norm_weight", edited(round, {.final_norm_ones = true})});
  const std::string type = name == "qwen3_tiny" ? "float16" : "bfloat16";
  // The smallest of qwen3's is what one F16 rounding of the inputs makes.
  const mutation unrounded{"inputs_not_rounded", edited(round, {{{'"' + type + '"', "\"float32\""}}})};
  if (name == "qwen3_tiny")
    CHECK(check(unrounded) > 7e-4);
  else
    caught(unrounded);
  if (name == "qwen3_tiny")
    caught({"no_qk_norm", edited(round, as_llama("qwen3", "Qwen3ForCausalLM", "_norm.weight"))});
  if (name == "qwen2_bias") caught({"no_bias", edited(round, as_llama("qwen2", "Qwen2ForCausalLM", ".bias"))});
  fs::remove_all(g_directory);
}

}  // namespace

int main() {
  const json::value golden = json::read_file(golden_path("v2/mutation_sensitivity.json"));
  for (const char *name : {"llama_tiny", "qwen3_tiny", "qwen2_bias"}) mutate(name, golden);
  return check_summary();
}
