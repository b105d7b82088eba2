// PoC v2 end to end on the toy models of golden/v2: reflections, streams, hidden states and artifacts, in F32 and in
// the models' own types, with both generators; independence of batch size and thread count.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "toy_model.hpp"

namespace {

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
  spread worst;
  for (size_t n = 0; n < round.nonces.size(); ++n) {
    std::vector<int32_t> picks;
    for (const json::value &index : round.golden[cuda ? "pick_cuda_order" : "pick_as_returned_torch_cpu"][n])
      picks.push_back(int32_t(index.integer()));
    if (cuda) CHECK(picks_of(round, n, int64_t(hidden)) == picks);
    const auto vector = rounded(v2::artifact_vector(last_hidden.subspan(n * hidden, hidden), picks, round.block_hash,
                                                    round.public_key, round.nonces[n]));
    worst.oracle = std::max(worst.oracle, distance(vector, doubles(want["oracle_f64_vectors"][n])));
    worst.stored = std::max(worst.stored, distance(vector, stored_artifact(round, run, n)));
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
