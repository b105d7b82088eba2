// Each deliberate bug of golden/v2/mutation_sensitivity.json, made in our own engine: its artifacts move away from the
// stored ones as far as the file says, so the tests that compare with those catch it. The weights of llama3_rope are
// not in golden/v2; a made model with that rope scaling stands in, against the decoder written out in F64.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "checkpoint.hpp"
#include "double_transformer.hpp"
#include "make_tiny.hpp"
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
std::string edited(const std::string &folder, const file_edit &edit) {
  fs::remove_all(g_directory);
  fs::create_directories(g_directory);
  std::ifstream in(folder + "/config.json");
  std::string config{std::istreambuf_iterator<char>(in), {}};
  for (const auto &[from, to] : edit.config) {
    const size_t at = config.find(from);
    CHECK(at != std::string::npos);
    if (at != std::string::npos) config.replace(at, from.size(), to);
  }
  gonka::write_whole_file((g_directory / "config.json").string(), config);

  const gonka::checkpoint files(folder);
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

// Smallest and largest distance between the mutant's vectors and the right ones of each nonce.
std::pair<double, double> measure(const round_data &round, const mutation &m,
                                  const std::vector<std::vector<double>> &right) {
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
    const double d = distance(vector, right[n]);
    least = std::min(least, d);
    most = std::max(most, d);
  }
  return {least, most};
}

// What the tests of the models allow.
constexpr double k_allowed = 1e-3;

// The bugs that need no other files, of any model.
std::vector<mutation> common_mutations(const round_data &round, const std::string &folder) {
  return {
      {"no_hooks", folder, [](std::vector<float>, size_t) { return std::vector<float>(); }},
      {"no_last_layer_hook", folder,
       [](std::vector<float> v, size_t hidden) {
         std::fill(v.end() - long(hidden), v.end(), 0.f);
         return v;
       }},
      {"hooks_shifted_by_one", folder,
       [](std::vector<float> v, size_t hidden) {
         std::rotate(v.begin(), v.begin() + long(hidden), v.end());
         return v;
       }},
      {.name = "no_haar", .directory = folder, .rotate = false},
      {.name = "pick_by_ascending_score_order",
       .directory = folder,
       .picks = [&round](size_t n, int64_t hidden) { return by_score(round, n, hidden); }},
  };
}

// qwen2 and qwen3 without what makes them so are Llama.
file_edit as_llama(const std::string &type, const std::string &class_name, const std::string &drop) {
  file_edit edit{{{class_name, "LlamaForCausalLM"}, {'"' + type + '"', "\"llama\""}}, drop};
  if (type == "qwen3") edit.config.push_back({"\"use_sliding_window\": false,", ""});
  return edit;
}

void mutate(const std::string &name, const json::value &golden) {
  const round_data round(name);
  std::vector<std::vector<double>> right;
  for (size_t n = 0; n < round.nonces.size(); ++n)
    right.push_back(stored_artifact(round, "murmur/fp32/cuda_pick_order", n));
  const json::value &rows = golden[name];
  std::set<std::string> made;
  const auto check = [&](const mutation &m) {
    const auto [least, most] = measure(round, m, right);
    const json::value &want = rows[m.name];
    std::printf("%s %s: %.6f to %.6f (file: %.6f to %.6f)\n", name.c_str(), m.name, least, most, want[0].num(),
                want[1].num());
    // As far as the file says, up to the arithmetic: F32 here, F64 there.
    CHECK(std::abs(least - want[0].num()) <= 2e-5);
    CHECK(std::abs(most - want[1].num()) <= 2e-5);
    made.insert(m.name);
    return most;
  };
  const auto caught = [&](const mutation &m) { CHECK(check(m) > k_allowed); };

  CHECK(check({"None", round.folder}) <= k_allowed);
  for (const mutation &m : common_mutations(round, round.folder)) {
    // One layer: the shift changes nothing.
    if (name == "qwen2_bias" && std::string(m.name) == "hooks_shifted_by_one")
      check(m);
    else
      caught(m);
  }
  caught({"no_final_norm_weight", edited(round.folder, {.final_norm_ones = true})});
  const std::string type = name == "qwen3_tiny" ? "float16" : "bfloat16";
  // The smallest of qwen3's is what one F16 rounding of the inputs makes.
  const mutation unrounded{"inputs_not_rounded", edited(round.folder, {{{'"' + type + '"', "\"float32\""}}})};
  if (name == "qwen3_tiny")
    CHECK(check(unrounded) > 7e-4);
  else
    caught(unrounded);
  if (name == "qwen3_tiny")
    caught({"no_qk_norm", edited(round.folder, as_llama("qwen3", "Qwen3ForCausalLM", "_norm.weight"))});
  if (name == "qwen2_bias") caught({"no_bias", edited(round.folder, as_llama("qwen2", "Qwen2ForCausalLM", ".bias"))});
  fs::remove_all(g_directory);

  // No row of the file is left out but those of what the model does not have: the file repeats the first row there.
  for (const auto &[mutant, row] : rows.members)
    if (!made.contains(mutant)) CHECK(row[0].num() == rows["None"][0].num() && row[1].num() == rows["None"][1].num());
}

// As above, for a model whose vectors are not stored: they are computed in F64.
void mutate_llama3_rope(const json::value &rows) {
  const std::string folder = g_directory.string() + "-llama3";
  fs::remove_all(folder);
  fs::create_directories(folder);
  gonka::make_tiny_model(folder, {"llama", "", 3});
  round_data round("llama_tiny");
  // Long enough for the scaled wavelengths to turn.
  round.seq_len = 96;
  round.nonces.resize(4);

  engine e(folder, GK_F32);
  const gonka::checkpoint files(folder);
  const double_transformer plain(e.model().model(), files);
  const size_t hidden = size_t(e.hidden());
  std::vector<std::vector<double>> right;
  for (size_t n = 0; n < round.nonces.size(); ++n) {
    std::vector<float> values(size_t(round.seq_len) * hidden);
    v2::fill_inputs(v2::input_seeds(v2::generator::murmur, round.block_hash, round.public_key, round.nonces[n]),
                    values);
    std::vector<double> x;
    for (const float v : values) x.push_back(gonka::bf16_to_f32(gonka::f32_to_bf16(v)));
    const std::vector<double> last = plain.forward(x, e.reflections(round.block_hash));
    const auto vector =
        v2::artifact_vector(std::vector<float>(last.begin(), last.end()), picks_of(round, n, int64_t(hidden)),
                            round.block_hash, round.public_key, round.nonces[n]);
    right.emplace_back(vector.begin(), vector.end());
  }

  std::set<std::string> made;
  const auto most = [&](const mutation &m) {
    const auto [least, largest] = measure(round, m, right);
    std::printf("llama3_rope %s: %.6f to %.6f\n", m.name, least, largest);
    made.insert(m.name);
    return largest;
  };
  CHECK(most({"None", folder}) <= 1e-4);
  for (const mutation &m : common_mutations(round, folder)) CHECK(most(m) > k_allowed);
  CHECK(most({"no_rope_scaling", edited(folder, {{{"\"factor\": 8.0", "\"factor\": 1.0"}}})}) > k_allowed);
  CHECK(most({"no_final_norm_weight", edited(folder, {.final_norm_ones = true})}) > k_allowed);
  CHECK(most({"inputs_not_rounded", edited(folder, {{{"\"bfloat16\"", "\"float32\""}}})}) > k_allowed);
  for (const auto &[mutant, row] : rows.members)
    if (!made.contains(mutant)) CHECK(row[1].num() == rows["None"][1].num());
  fs::remove_all(folder);
  fs::remove_all(g_directory);
}

}  // namespace

int main() {
  const json::value golden = json::read_file(golden_path("v2/mutation_sensitivity.json"));
  for (const char *name : {"llama_tiny", "qwen3_tiny", "qwen2_bias"}) mutate(name, golden);
  mutate_llama3_rope(golden["llama3_rope"]);
  return check_summary();
}
