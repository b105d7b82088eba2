// The toy models of golden/v2 on a CPU device, for tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "golden.hpp"
#include "number.hpp"
#include "registry.hpp"
#include "transformer.hpp"
#include "v2/seeded.hpp"

namespace v2 = gonka::poc_v2;

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

// The picks of a round's nonce in the network's order.
inline std::vector<int32_t> picks_of(const round_data &round, size_t n, int64_t hidden) {
  const int64_t k = round.golden["k_dim"].integer();
  return v2::pick_indices(v2::seed_from_string(v2::pick_seed(round.block_hash, round.public_key, round.nonces[n], k)),
                          hidden, k);
}

// A stored artifact, decoded.
inline std::vector<double> stored_artifact(const round_data &round, const std::string &run, size_t n) {
  std::vector<double> out;
  for (const json::value &bits : round.golden["runs"][run]["vectors_f16_bits"][n])
    out.push_back(gonka::f16_to_f32(uint16_t(bits.u64())));
  return out;
}

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

  // The round's unit vectors [layers, hidden].
  std::vector<float> reflections(const std::string &block_hash) const {
    std::vector<float> all;
    for (size_t layer = 0; layer < model_->model().layers.size(); ++layer) {
      const auto v = v2::unit_normal(v2::layer_reflection_seed(block_hash, int64_t(layer)), hidden());
      all.insert(all.end(), v.begin(), v.end());
    }
    return all;
  }

  void reflect(const std::string &block_hash) { model_->set_reflections(reflections(block_hash)); }

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

inline double distance(std::span<const float> a, std::span<const double> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  return std::sqrt(sum);
}

// What decodes from an artifact: F16 values.
inline std::vector<float> rounded(std::vector<float> values) {
  for (float &v : values) v = gonka::f16_to_f32(gonka::f32_to_f16(v));
  return values;
}

inline std::vector<double> doubles(const json::value &list) {
  std::vector<double> out;
  for (const json::value &item : list) out.push_back(item.num());
  return out;
}

inline double largest_difference(std::span<const float> a, std::span<const double> b) {
  double worst = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) worst = std::max(worst, std::abs(double(a[i]) - b[i]));
  return worst;
}
