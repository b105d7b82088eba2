// PoC v1's forward pass and distances against golden/v1/fwd_*: the double-precision reference first, by values and by
// what each known bug does to it, then the engine on the CPU backend against golden data and reference.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "golden.hpp"
#include "poc_v1_reference.hpp"
#include "registry.hpp"
#include "v1/distance.hpp"
#include "v1/nonce_data.hpp"
#include "v1/session.hpp"
#include "v1/weight_pool.hpp"

using namespace gonka;
using poc_v1::params;

namespace {

struct golden_model {
  std::string name;
  json::value meta;
  params p;
  std::string block_hash, public_key;
  std::vector<int64_t> nonces;
  std::vector<uint16_t> weights;  // all, in parameter order

  std::string path(const std::string &file) const { return golden_path("v1/fwd_" + name + "/" + file); }
  std::vector<double> distances(const char *key) const {
    std::vector<double> out;
    for (const json::value &d : meta[key]) out.push_back(d.hex_double());
    return out;
  }
};

params to_params(const json::value &from) {
  params p;
  p.dim = from["dim"].integer();
  p.n_layers = from["n_layers"].integer();
  p.n_heads = from["n_heads"].integer();
  p.n_kv_heads = from["n_kv_heads"].integer();
  p.vocab_size = from["vocab_size"].integer();
  p.ffn_dim_multiplier = from["ffn_dim_multiplier"].num();
  p.multiple_of = from["multiple_of"].integer();
  p.norm_eps = from["norm_eps"].num();
  p.rope_theta = from["rope_theta"].num();
  p.use_scaled_rope = from["use_scaled_rope"].flag();
  p.seq_len = from["seq_len"].integer();
  return p;
}

// The stress models' change to the weights: every norm times 64, everything else times 8; exact in F16.
void scale_for_stress(const params &p, std::vector<uint16_t> &weights) {
  size_t at = 0;
  for (const poc_v1::parameter &parameter : poc_v1::parameters(p)) {
    const float factor = parameter.name.ends_with("norm.weight") ? 64 : 8;
    for (uint64_t i = 0; i < parameter.count(); ++i, ++at) weights[at] = f32_to_f16(f16_to_f32(weights[at]) * factor);
  }
}

std::vector<uint16_t> derive_weights(const params &p, const std::string &block_hash) {
  std::vector<uint16_t> pool(poc_v1::pool_size(poc_v1::total_params(p))), all;
  poc_v1::pool_options options;
  options.threads = 2;
  CHECK(poc_v1::fill_weight_pool(block_hash, pool, options));
  for (const poc_v1::parameter &parameter : poc_v1::parameters(p)) {
    const auto where = poc_v1::place_parameter(block_hash, parameter.name, parameter.count(), pool.size());
    std::vector<uint16_t> values(parameter.count());
    poc_v1::copy_parameter(pool, where, 0, values);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

golden_model load(const std::string &name) {
  golden_model m;
  m.name = name;
  m.meta = json::read_file(m.path("meta.json"));
  m.p = to_params(m.meta["params"]);
  m.block_hash = m.meta["block_hash"].str();
  m.public_key = m.meta["public_key"].str();
  for (const json::value &n : m.meta["nonces"]) m.nonces.push_back(n.integer());
  m.weights = derive_weights(m.p, m.block_hash);
  if (name == "stress_tiny") scale_for_stress(m.p, m.weights);
  size_t at = 0, index = 0;
  for (const poc_v1::parameter &parameter : poc_v1::parameters(m.p)) {
    const std::span<const uint16_t> values = std::span(m.weights).subspan(at, parameter.count());
    CHECK_EQ(sha256_of_array(values), m.meta["parameters"][index++]["sha256_le_f16"].str());
    at += parameter.count();
  }
  return m;
}

reference::model to_reference(const golden_model &m, const reference::bugs &bug) {
  reference::model out;
  out.p = m.p;
  size_t at = 0;
  for (const poc_v1::parameter &parameter : poc_v1::parameters(m.p)) {
    reference::matrix &w = out.weights[parameter.name];
    for (uint64_t i = 0; i < parameter.count(); ++i) w.push_back(f16_to_f32(m.weights[at++]));
  }
  params rope = m.p;
  if (bug.no_scaled_rope) rope.use_scaled_rope = false;
  out.rope = poc_v1::rope_table(rope, !bug.rope_not_f16);
  return out;
}

std::vector<uint16_t> inputs_of(const golden_model &m, int64_t nonce) {
  std::vector<uint16_t> out(static_cast<size_t>(m.p.seq_len * m.p.dim));
  poc_v1::make_inputs(m.block_hash, m.public_key, uint64_t(nonce), out);
  return out;
}

std::vector<int32_t> permutation_of(const golden_model &m, int64_t nonce) {
  std::vector<int32_t> out(static_cast<size_t>(m.p.vocab_size));
  poc_v1::make_permutation(m.block_hash, m.public_key, uint64_t(nonce), out);
  return out;
}

std::vector<double> target_of(const golden_model &m) {
  std::vector<double> out(static_cast<size_t>(m.p.vocab_size));
  poc_v1::make_target(m.block_hash, out);
  return out;
}

std::vector<double> reference_distances(const golden_model &m, const reference::bugs &bug, size_t nonces) {
  const reference::model model = to_reference(m, bug);
  const std::vector<double> target = target_of(m);
  std::vector<double> out;
  for (size_t i = 0; i < nonces; ++i) {
    const auto logits = reference::forward(model, inputs_of(m, m.nonces[i]).data(), bug, [](auto &&, auto &&) {});
    out.push_back(reference::distance(logits, permutation_of(m, m.nonces[i]), target, bug));
  }
  return out;
}

double largest_difference(std::span<const double> a, std::span<const double> b) {
  double out = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) out = std::max(out, std::abs(a[i] - b[i]));
  return out;
}

// The reference's logits and stages against golden fp64 data; fp32 data is near it.
void test_reference_values(const golden_model &m) {
  const reference::model model = to_reference(m, {});
  const auto logits64 = npy::read(m.path("logits_last_fp64_f64.npy")).as<double>("<f8");
  const auto logits32 = npy::read(m.path("logits_last_fp32_f32.npy")).as<float>("<f4");
  const auto logits16 = npy::read(m.path("logits_last_fp16emu_f32.npy")).as<float>("<f4");
  const double scale = m.meta["errors"]["max_abs_logit"].num();
  const double near32 = m.meta["errors"]["max_abs_logit_fp32_vs_fp64"].num();
  const double near16 = m.meta["errors"]["max_abs_logit_fp16emu_vs_fp64"].num();
  double worst64 = 0, worst32 = 0, worst16 = 0;
  for (size_t i = 0; i < m.nonces.size(); ++i) {
    const bool staged = i < 4 && std::filesystem::exists(m.path("inter_fp64_norm_out_first4_f64.npy"));
    const auto logits =
        reference::forward(model, inputs_of(m, m.nonces[i]).data(), {}, [&](const std::string &stage, const auto &got) {
          if (!staged) return;
          const auto want = npy::read(m.path("inter_fp64_" + stage + "_first4_f64.npy")).as<double>("<f8");
          const auto single = npy::read(m.path("inter_fp32_" + stage + "_first4_f32.npy")).as<float>("<f4");
          double largest = 0, error64 = 0, error32 = 0;
          for (size_t j = 0; j < got.size(); ++j) {
            const double w = want[i * got.size() + j];
            largest = std::max(largest, std::abs(w));
            error64 = std::max(error64, std::abs(got[j] - w));
            error32 = std::max(error32, std::abs(got[j] - double(single[i * got.size() + j])));
          }
          CHECK(error64 <= 1e-12 * largest);
          CHECK(error32 <= 1e-5 * largest);
          if (!stage.ends_with("block_out")) return;
          // Halves after every step, of which a layer has some ten: within a hundred rounding units.
          const auto half =
              npy::read(m.path("block" + stage.substr(7, 1) + "_out_fp16emu_first4_f16.npy")).as<uint16_t>("<f2");
          double error16 = 0;
          for (size_t j = 0; j < got.size(); ++j)
            error16 = std::max(error16, std::abs(got[j] - double(f16_to_f32(half[i * got.size() + j]))));
          CHECK(error16 <= 100 * 0x1p-11 * largest);
        });
    for (size_t j = 0; j < logits.size(); ++j) {
      worst64 = std::max(worst64, std::abs(logits[j] - logits64[i * logits.size() + j]));
      worst32 = std::max(worst32, std::abs(logits[j] - double(logits32[i * logits.size() + j])));
      worst16 = std::max(worst16, std::abs(logits[j] - double(logits16[i * logits.size() + j])));
    }
  }
  CHECK(worst64 <= 1e-13 * scale);
  CHECK(worst32 <= near32 * (1 + 1e-6));
  CHECK(worst16 <= near16 * (1 + 1e-6));
  CHECK(largest_difference(reference_distances(m, {}, m.nonces.size()), m.distances("dist_fp64_own")) <= 1e-14 * 10);
}

struct named_bug {
  const char *name;
  bool reference::bugs::*flag;
};

constexpr named_bug k_bugs[] = {
    {"half_rope", &reference::bugs::half_rope},       {"no_rope", &reference::bugs::no_rope},
    {"gqa_tile", &reference::bugs::gqa_tile},         {"no_mask", &reference::bugs::no_mask},
    {"swap_w1_w3", &reference::bugs::swap_w1_w3},     {"no_scaled_rope", &reference::bugs::no_scaled_rope},
    {"rope_not_f16", &reference::bugs::rope_not_f16}, {"inverse_perm", &reference::bugs::inverse_perm}};

// Engine distances on the CPU, with the given weights.
std::vector<double> engine_distances(const std::shared_ptr<device> &cpu, const golden_model &m, int64_t batch,
                                     bool given_weights) {
  poc_v1::session_options options;
  if (given_weights) options.weights = m.weights;
  poc_v1::session session(cpu, m.p, m.block_hash, options);
  std::vector<double> out;
  poc_v1::run_request request;
  request.public_key = m.public_key;
  request.nonces = m.nonces;
  request.batch = batch;
  request.on_batch = [&](std::span<const int64_t>, std::span<const double> dist, int64_t) {
    out.insert(out.end(), dist.begin(), dist.end());
  };
  const poc_v1::run_stats stats = session.run(request);
  CHECK_EQ(stats.computed, int64_t(m.nonces.size()));
  return out;
}

void test_engine(const std::shared_ptr<device> &cpu, const golden_model &m) {
  const auto want = m.distances("dist_fp64_own");
  for (const int64_t batch : {int64_t(0), int64_t(1), int64_t(7), int64_t(64)}) {
    const auto got = engine_distances(cpu, m, batch, m.name == "stress_tiny");
    const double worst = largest_difference(got, want);
    std::printf("%s batch %lld: largest distance error %.3g\n", m.name.c_str(), static_cast<long long>(batch), worst);
    CHECK_EQ(got.size(), want.size());
    CHECK(worst <= 1e-6);
  }
  CHECK(largest_difference(engine_distances(cpu, m, 0, true), want) <= 1e-6);
}

// r_target keeps what is strictly below it, in order.
void test_filter(const std::shared_ptr<device> &cpu, const golden_model &m) {
  poc_v1::session_options options;
  options.weights = m.weights;
  poc_v1::session session(cpu, m.p, m.block_hash, options);
  std::vector<int64_t> kept;
  std::vector<double> dist;
  poc_v1::run_request request;
  request.public_key = m.public_key;
  request.nonces = m.nonces;
  request.batch = 10;
  request.r_target = m.meta["r_target_hex"].hex_double();
  request.on_batch = [&](std::span<const int64_t> n, std::span<const double> d, int64_t) {
    kept.insert(kept.end(), n.begin(), n.end());
    dist.insert(dist.end(), d.begin(), d.end());
  };
  session.run(request);
  std::vector<int64_t> want;
  for (const json::value &n : m.meta["sub_batch"]["fp32"]["nonces"]) want.push_back(n.integer());
  CHECK(kept == want);
  // Strict: a target equal to a distance drops that nonce.
  request.r_target = dist.empty() ? 0 : dist.front();
  const size_t before = std::count_if(dist.begin(), dist.end(), [&](double d) { return d < *request.r_target; });
  kept.clear();
  session.run(request);
  CHECK_EQ(kept.size(), before);
}

// Half-precision activations, as on devices that multiply halves only.
void test_half_engine(const std::shared_ptr<device> &cpu, const golden_model &m) {
  parameter_source source{m.weights, {}};
  uint64_t at = 0;
  for (const poc_v1::parameter &parameter : poc_v1::parameters(m.p)) {
    source.offsets.push_back(at);
    at += parameter.count();
  }
  seeded_transformer::options options;
  options.activation_type = GK_F16;
  seeded_transformer model(cpu,
                           {.dim = m.p.dim,
                            .layers = m.p.n_layers,
                            .heads = m.p.n_heads,
                            .heads_kv = m.p.n_kv_heads,
                            .ffn_hidden = poc_v1::ffn_hidden(m.p),
                            .vocab = m.p.vocab_size,
                            .seq_len = m.p.seq_len,
                            .norm_eps = float(m.p.norm_eps)},
                           source, poc_v1::rope_table(m.p, true), options);
  const auto want = m.distances("dist_fp64_own");
  const auto target = target_of(m);
  std::vector<double> scratch(target.size()), got;
  for (const int64_t nonce : m.nonces) {
    std::vector<float> logits(target.size());
    model.forward(inputs_of(m, nonce), 1, logits, nullptr);
    got.push_back(poc_v1::distance(logits, permutation_of(m, nonce), target, scratch));
  }
  const double worst = largest_difference(got, want);
  std::printf("%s in halves: largest distance error %.3g\n", m.name.c_str(), worst);
  CHECK(worst <= (m.name == "stress_tiny" ? 2e-3 : 2e-4));
}

}  // namespace

int main() {
  const auto cpu = device::open(cpu_library(), 0, {});
  const json::value sensitivity = json::read_file(golden_path("v1/mutation_sensitivity.json"));
  for (const char *name : {"tiny", "gqa", "scaled_rope", "v1like", "seq1", "stress_tiny"}) {
    const golden_model m = load(name);
    if (m.name == "tiny" || m.name == "stress_tiny") {
      std::ifstream in(m.path("weights_all_f16.bin"), std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(in), {}};
      CHECK_EQ(bytes.size(), m.weights.size() * 2);
      CHECK(std::memcmp(bytes.data(), m.weights.data(), bytes.size()) == 0);
    }
    test_reference_values(m);
    test_engine(cpu, m);
    test_half_engine(cpu, m);
    if (m.name == "stress_tiny") test_filter(cpu, m);
  }

  // Every bug moves the distances by what the table says; the engine is on the right side of all of them.
  for (const auto &[name, row] : sensitivity.members) {
    const bool stress = name.starts_with("stress_");
    golden_model m = load(stress ? name.substr(7) == "tiny" ? "tiny" : name.substr(7) : name);
    if (stress) scale_for_stress(m.p, m.weights);
    const size_t nonces = 8;  // the table is over the first eight
    const auto right = reference_distances(m, {}, nonces);
    for (const named_bug &bug : k_bugs) {
      reference::bugs only;
      only.*bug.flag = true;
      const double moved = largest_difference(right, reference_distances(m, only, nonces)), table = row[bug.name].num();
      std::printf("%s %s: %.6g (table %.6g)\n", name.c_str(), bug.name, moved, table);
      // An unrounded table depends on how the angles were computed, to about a thousandth of what rounding it changes.
      const double relative = std::string(bug.name) == "rope_not_f16" ? 1e-2 : 1e-6;
      CHECK(std::abs(moved - table) <= 1e-13 + relative * table);
    }
    if (!stress) continue;
    m.name = name;
    const double worst = largest_difference(engine_distances(cpu, m, 0, true), right);
    std::printf("%s: engine against reference %.3g\n", name.c_str(), worst);
    CHECK(worst <= 1e-6);
  }
  return check_summary();
}
