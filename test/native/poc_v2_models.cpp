// PoC v2 end to end on the toy models of golden/v2: reflections, streams, hidden states and artifacts, in F32 and in
// the models' own types, with both generators; independence of batch size and thread count.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "golden.hpp"
#include "number.hpp"
#include "registry.hpp"
#include "transformer.hpp"
#include "v2/seeded.hpp"

namespace v2 = gonka::poc_v2;

namespace {

struct round_data {
  std::string folder;
  json::value golden;
  std::string block_hash, public_key;
  std::vector<uint64_t> nonces;
  int64_t seq_len;

  explicit round_data(const std::string &name)
      : folder(golden_path("v2/" + name + "/")), golden(json::read_file(folder + "artifacts.json")) {
    block_hash = golden["block_hash"].str();
    public_key = golden["public_key"].str();
    nonces = u64_list(golden["nonces"]);
    seq_len = golden["seq_len"].integer();
  }
};

// A model on a CPU device, and what it makes of some of the round's nonces.
class engine {
 public:
  engine(const std::string &directory, uint32_t compute, uint32_t threads = 0)
      : device_(gonka::device::open(gonka::cpu_library(), 0, {.threads = threads})) {
    const std::string config = directory + "/config.json";
    const gonka::mapped_file text(config);
    gonka::transformer_options options;
    options.compute = compute;
    model_ = std::make_unique<gonka::transformer>(device_, gonka::parse_description(text.text(), config),
                                                  gonka::checkpoint(directory), options);
  }

  gonka::transformer &model() { return *model_; }
  int64_t hidden() const { return model_->model().hidden; }

  void reflect(const std::string &block_hash) {
    std::vector<float> all;
    for (size_t layer = 0; layer < model_->model().layers.size(); ++layer) {
      const auto v = v2::unit_normal(v2::layer_reflection_seed(block_hash, int64_t(layer)), hidden());
      all.insert(all.end(), v.begin(), v.end());
    }
    model_->set_reflections(all);
  }

  // Inputs in the model's type, then the last hidden states [nonces, hidden].
  std::vector<float> run(const round_data &round, v2::generator rng, size_t batch,
                         const gonka::transformer::trace_sink &trace = nullptr) {
    std::vector<float> out;
    for (size_t begin = 0; begin < round.nonces.size(); begin += batch) {
      const size_t count = std::min(batch, round.nonces.size() - begin), row = size_t(round.seq_len * hidden());
      std::vector<float> values(count * row), last(count * size_t(hidden()));
      for (size_t i = 0; i < count; ++i)
        v2::fill_inputs(v2::input_seeds(rng, round.block_hash, round.public_key, round.nonces[begin + i]),
                        std::span(values).subspan(i * row, row));
      const gk_ref at = model_->inputs(int64_t(count), round.seq_len);
      upload(values, at);
      model_->forward(last, nullptr, trace);
      out.insert(out.end(), last.begin(), last.end());
    }
    return out;
  }

 private:
  void upload(const std::vector<float> &values, const gk_ref &at) {
    const uint32_t type = model_->model().dtype;
    gk_error err{};
    err.struct_size = sizeof err;
    const auto write = [&](const void *from, size_t bytes) {
      CHECK_EQ(
          int(device_->library().table->buffer_write(model_->on().handle(), at.buffer, at.offset, from, bytes, &err)),
          int(GK_OK));
    };
    if (type == GK_F32) return write(values.data(), values.size() * 4);
    std::vector<uint16_t> half(values.size());
    std::ranges::transform(values, half.begin(), type == GK_F16 ? gonka::f32_to_f16 : gonka::f32_to_bf16);
    write(half.data(), half.size() * 2);
  }

  std::shared_ptr<gonka::device> device_;
  std::unique_ptr<gonka::transformer> model_;
};

double distance(std::span<const float> a, std::span<const double> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  return std::sqrt(sum);
}

// What decodes from an artifact: F16 values.
std::vector<float> rounded(std::vector<float> values) {
  for (float &v : values) v = gonka::f16_to_f32(gonka::f32_to_f16(v));
  return values;
}

std::vector<double> doubles(const json::value &list) {
  std::vector<double> out;
  for (const json::value &item : list) out.push_back(item.num());
  return out;
}

double largest_difference(std::span<const float> a, std::span<const double> b) {
  double worst = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) worst = std::max(worst, std::abs(double(a[i]) - b[i]));
  return worst;
}

const char *rng_name(v2::generator rng) {
  return rng == v2::generator::murmur ? "murmur" : "concat_murmur";
}

struct spread {
  double oracle = 0, stored = 0;  // largest L2 distance to the F64 oracle and to the stored artifacts
};

spread compare_artifacts(const round_data &round, const std::string &run, std::span<const float> last_hidden) {
  const json::value &want = round.golden["runs"][run];
  const bool cuda = run.find("/cuda_pick_order") != std::string::npos;
  const size_t hidden = last_hidden.size() / round.nonces.size();
  const int64_t k = round.golden["k_dim"].integer();
  spread worst;
  for (size_t n = 0; n < round.nonces.size(); ++n) {
    std::vector<int32_t> picks;
    for (const json::value &index : round.golden[cuda ? "pick_cuda_order" : "pick_as_returned_torch_cpu"][n])
      picks.push_back(int32_t(index.integer()));
    if (cuda) {
      const auto own =
          v2::pick_indices(v2::seed_from_string(v2::pick_seed(round.block_hash, round.public_key, round.nonces[n], k)),
                           int64_t(hidden), k);
      CHECK(own == picks);
    }
    const auto vector = rounded(v2::artifact_vector(last_hidden.subspan(n * hidden, hidden), picks, round.block_hash,
                                                    round.public_key, round.nonces[n]));
    std::vector<double> stored;
    for (const json::value &bits : want["vectors_f16_bits"][n])
      stored.push_back(gonka::f16_to_f32(uint16_t(bits.u64())));
    worst.oracle = std::max(worst.oracle, distance(vector, doubles(want["oracle_f64_vectors"][n])));
    worst.stored = std::max(worst.stored, distance(vector, stored));
  }
  return worst;
}

void inputs(const round_data &round, const engine &e) {
  for (const bool strong : {false, true}) {
    const std::string type = round.golden["storage_dtype"].str() == "F16" ? "f16" : "bf16";
    const auto want =
        npy::read(round.folder + "inputs_" + (strong ? "strong_" : "") + "first2_" + type + "_bits_u16.npy")
            .as<uint16_t>("<u2");
    const size_t row = size_t(round.seq_len * e.hidden());
    CHECK_EQ(want.size(), 2 * row);
    size_t different = 0;
    for (size_t n = 0; n < 2; ++n) {
      std::vector<float> values(row);
      v2::fill_inputs(v2::input_seeds(strong ? v2::generator::concat_murmur : v2::generator::murmur, round.block_hash,
                                      round.public_key, round.nonces[n]),
                      values);
      for (size_t i = 0; i < row; ++i)
        different +=
            want[n * row + i] != (type == "f16" ? gonka::f32_to_f16(values[i]) : gonka::f32_to_bf16(values[i]));
    }
    CHECK(different <= 1);
  }
}

void reflections(const round_data &round, const engine &e, size_t layers) {
  const auto want = npy::read(round.folder + "reflections_f32.npy").as<float>("<f4");
  const auto oracle = npy::read(round.folder + "reflections_oracle_f64.npy").as<double>("<f8");
  const size_t hidden = size_t(e.hidden());
  CHECK_EQ(want.size(), layers * hidden);
  for (size_t layer = 0; layer < layers; ++layer) {
    const auto v = v2::unit_normal(v2::layer_reflection_seed(round.block_hash, int64_t(layer)), int64_t(hidden));
    CHECK(largest_difference(v, std::span(oracle).subspan(layer * hidden, hidden)) <= 1e-6);
    for (size_t i = 0; i < hidden; ++i) CHECK(std::abs(v[i] - want[layer * hidden + i]) <= 1e-6f);
  }
}

void f32_run(const round_data &round, const std::string &name) {
  engine e(round.folder, GK_F32);
  const size_t hidden = size_t(e.hidden()), layers = e.model().model().layers.size();
  inputs(round, e);
  reflections(round, e, layers);

  const auto plain = e.run(round, v2::generator::murmur, 5);
  const auto without = npy::read(round.folder + "last_hidden_NO_HOOKS_fp32_f32.npy").as<float>("<f4");
  CHECK(largest_difference(plain, std::vector<double>(without.begin(), without.end())) <= 1e-4);

  e.reflect(round.block_hash);
  // The whole stream after every layer, of the first two nonces.
  const auto want_stream = npy::read(round.folder + "stream_after_layer_oracle_f64_nonce0_1.npy").as<double>("<f8");
  const size_t one = size_t(round.seq_len) * hidden;
  CHECK_EQ(want_stream.size(), layers * 2 * one);
  double worst_stream = 0;
  size_t traced = 0;
  const auto traced_hidden = e.run(round, v2::generator::murmur, 2, [&](int64_t layer, std::span<const float> stream) {
    if (traced++ >= layers) return;
    worst_stream = std::max(
        worst_stream,
        largest_difference(stream.first(2 * one), std::span(want_stream).subspan(size_t(layer) * 2 * one, 2 * one)));
  });
  CHECK(worst_stream <= 5e-5);

  for (const v2::generator rng : {v2::generator::murmur, v2::generator::concat_murmur}) {
    const std::string strong = rng == v2::generator::murmur ? "" : "strong_";
    const auto got = e.run(round, rng, 4);
    const auto oracle = npy::read(round.folder + "last_hidden_" + strong + "oracle_f64.npy").as<double>("<f8");
    const auto torch = npy::read(round.folder + "last_hidden_" + strong + "fp32_f32.npy").as<float>("<f4");
    const double from_oracle = largest_difference(got, oracle);
    const double from_torch = largest_difference(got, std::vector<double>(torch.begin(), torch.end()));
    CHECK(from_oracle <= 1e-4);
    CHECK(from_torch <= 1e-4);
    if (rng == v2::generator::murmur) CHECK(largest_difference(traced_hidden, oracle) <= 1e-4);
    for (const char *order : {"cuda", "cpu"}) {
      const spread worst = compare_artifacts(round, std::string(rng_name(rng)) + "/fp32/" + order + "_pick_order", got);
      CHECK(worst.oracle <= 1e-3);
      CHECK(worst.stored <= 1e-3);
      std::printf("%s %s f32 %s order: artifacts within %.2g of the oracle, %.2g of the stored; hidden within %.2g\n",
                  name.c_str(), rng_name(rng), order, worst.oracle, worst.stored, from_oracle);
    }
  }
}

// The model's own type. What is measured against the F64 oracle must not be worse than the reference's own error.
void own_type_run(const round_data &round, const std::string &name) {
  engine e(round.folder, 0);
  e.reflect(round.block_hash);
  for (const v2::generator rng : {v2::generator::murmur, v2::generator::concat_murmur}) {
    const auto got = e.run(round, rng, 4);
    const std::string run = std::string(rng_name(rng)) + "/lowp/cuda_pick_order";
    if (!round.golden["runs"].has(run)) {
      // No stored run: the F32 run's oracle is the same function.
      const spread worst = compare_artifacts(round, std::string(rng_name(rng)) + "/fp32/cuda_pick_order", got);
      std::printf("%s %s own type: artifacts within %.2g of the oracle\n", name.c_str(), rng_name(rng), worst.oracle);
      CHECK(worst.oracle <= 0.01);
      continue;
    }
    const spread worst = compare_artifacts(round, run, got);
    const double reference = round.golden["runs"][run]["max_L2_vs_oracle"].num();
    std::printf("%s %s own type: artifacts within %.2g of the oracle (reference %.2g), %.2g of the stored\n",
                name.c_str(), rng_name(rng), worst.oracle, reference, worst.stored);
    CHECK(worst.oracle <= reference);
    CHECK(worst.stored <= 2 * reference);
  }
}

void same_whatever_the_batch(const round_data &round, uint32_t compute) {
  std::vector<float> first;
  for (const uint32_t threads : {1u, 2u}) {
    engine e(round.folder, compute, threads);
    e.reflect(round.block_hash);
    for (const size_t batch : {1, 2, 7, 32}) {
      const auto got = e.run(round, v2::generator::murmur, batch);
      if (first.empty()) first = got;
      CHECK(got == first);
    }
  }
}

}  // namespace

int main() {
  for (const char *name : {"llama_tiny", "qwen3_tiny", "qwen2_bias"}) {
    const round_data round(name);
    f32_run(round, name);
    own_type_run(round, name);
    same_whatever_the_batch(round, GK_F32);
    same_whatever_the_batch(round, 0);
  }
  return check_summary();
}
