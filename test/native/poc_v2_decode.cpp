// Primitives of the decode scheme against golden/v2/decode.json.
#include <bit>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "device.hpp"
#include "golden.hpp"
#include "number.hpp"
#include "v2/decode.hpp"
#include "v2/seeded.hpp"

namespace v2 = gonka::poc_v2;

namespace {

const std::string k_golden = golden_path("v2/");

float from_bits(const json::value &bits) {
  return std::bit_cast<float>(uint32_t(bits.u64()));
}

void check_picks(uint32_t seed, const json::value &row, size_t n) {
  const auto picked = v2::pick_indices(seed, row["dim"].integer(), row["k"].integer());
  const json::value &want = row["cuda_order"][n];
  CHECK_EQ(picked.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) CHECK_EQ(int64_t(picked[i]), want[i].integer());
}

void seeds(const json::value &golden) {
  for (const json::value &row : golden["decode_base_seeds"])
    for (size_t n = 0; n < row["nonces"].size(); ++n)
      CHECK_EQ(uint64_t(v2::decode_base_seed(row["block_hash"].str(), row["public_key"].str(), row["nonces"][n].u64())),
               row["seeds"][n].u64());
  for (const json::value &row : golden["step_seeds"])
    for (size_t n = 0; n < row["base"].size(); ++n)
      CHECK_EQ(uint64_t(v2::step_seed(uint32_t(row["base"][n].u64()), row["prev_k"][n].integer(), row["step"].u64(),
                                      v2::step_use(row["salt"].u64()))),
               row["out"][n].u64());
}

void steps(const json::value &golden) {
  int64_t short_values = 0, flips = 0;
  for (const json::value &row : golden["generate_decode_inputs_gpu"])
    for (size_t n = 0; n < row["base"].size(); ++n) {
      std::vector<float> got(size_t(row["dim"].integer()));
      v2::fill_normal(v2::step_seed(uint32_t(row["base"][n].u64()), row["prev_k"][n].integer(), row["step"].u64(),
                                    v2::step_use::embedding),
                      got);
      for (size_t i = 0; i < row["f32_first16_bits"][n].size(); ++i) {
        const float want = from_bits(row["f32_first16_bits"][n][i]);
        CHECK(std::abs(got[i] - want) <= 3 * 0x1p-23f * std::abs(want) + 0x1p-126f);
        // Rounded to a short type: at most the one step that a rounding boundary near by makes.
        const int64_t f16 = row["f16_first16_bits"][n][i].integer(), bf16 = row["bf16_first16_bits"][n][i].integer();
        CHECK(std::abs(gonka::f32_to_f16(got[i]) - f16) <= 1);
        CHECK(std::abs(gonka::f32_to_bf16(got[i]) - bf16) <= 1);
        ++short_values;
        flips += gonka::f32_to_f16(got[i]) != f16 || gonka::f32_to_bf16(got[i]) != bf16;
      }
    }
  CHECK(flips * 1000 <= short_values + 1000);
  for (const json::value &row : golden["random_pick_indices_gpu"])
    for (size_t n = 0; n < row["base"].size(); ++n) {
      const uint32_t seed = v2::step_seed(uint32_t(row["base"][n].u64()), row["prev_k"][n].integer(), row["step"].u64(),
                                          v2::step_use::pick);
      CHECK_EQ(uint64_t(seed), row["seeds"][n].u64());
      check_picks(seed, row, n);
    }
  for (const json::value &row : golden["random_pick_indices_decode"])
    for (size_t n = 0; n < row["nonces"].size(); ++n) {
      const json::value &previous = row["prev_point_ids"];
      const std::string text = v2::decode_pick_seed(
          row["block_hash"].str(), row["public_key"].str(), row["nonces"][n].u64(), row["k"].integer(),
          row["step"].u64(),
          previous.type == json::value::kind::null ? std::nullopt : std::optional(previous[n].integer()));
      CHECK_EQ(text, row["seed_strings"][n].str());
      check_picks(v2::seed_from_string(text), row, n);
    }
  for (const json::value &row : golden["decode_pseudo_token_ids"])
    for (size_t n = 0; n < row["base"].size(); ++n) {
      const uint32_t seed = v2::step_seed(uint32_t(row["base"][n].u64()), row["prev_k"][n].integer(), row["step"].u64(),
                                          v2::step_use::token_id);
      CHECK_EQ(uint64_t(v2::murmur3(0, seed) % uint32_t(row["vocab"].u64())), row["out"][n].u64());
    }
}

void routing(const json::value &golden) {
  for (const json::value &row : golden["expert_routing"]) {
    const int32_t experts = int32_t(row["n_experts"].integer()), top_k = int32_t(row["top_k"].integer());
    const auto weights = v2::forced_expert_weights(top_k);
    for (size_t i = 0; i < weights.size(); ++i)
      CHECK(std::abs(weights[i] - from_bits(row["softmax_weights_f32_bits"][i])) <= 2e-7f * weights[i] + 1e-9f);
    for (size_t n = 0; n < row["nonces"].size(); ++n) {
      const uint32_t base =
          v2::routing_base_seed(row["block_hash"].str(), row["nonces"][n].u64(), row["layer"].integer());
      CHECK_EQ(uint64_t(base), row["base_ints"][n].u64());
      const auto chosen = v2::forced_experts(base, row["step"].u64(), experts, top_k);
      CHECK_EQ(int64_t(chosen[0]), int64_t(row["seed_after_step"][n].u64() % uint64_t(experts)));
      for (size_t i = 0; i < chosen.size(); ++i)
        CHECK_EQ(int64_t(chosen[i]), row["expert_ids_in_rank_order"][n][i].integer());
    }
  }
}

void snapping(const json::value &golden) {
  const std::string path = k_golden + golden["snap"]["codebook"].str();
  const v2::codebook points = v2::codebook::load(path, golden["standin_codebook_sha256"].str());
  const auto raw = npy::read(k_golden + "snap_query_raw_f32.npy").as<float>("<f4");
  const auto scores = npy::read(k_golden + "snap_scores_f32.npy").as<float>("<f4");
  const json::value &want = golden["snap"]["k"];
  const auto projected = npy::read(k_golden + "snap_query_projected_f32.npy").as<float>("<f4");
  CHECK_EQ(projected.size(), raw.size());
  for (size_t row = 0; row < want.size(); ++row) {
    const auto query = std::span(raw).subspan(row * 256, 256);
    const auto got = points.snap(query);
    CHECK_EQ(got.index == -1, golden["snap"]["bad"][row].flag());
    const auto unit = v2::codebook::project(query);
    // A query that is not finite is never projected; the reference stores zeros for it.
    if (got.index >= 0)
      for (size_t i = 0; i < 256; ++i)
        CHECK(std::abs(unit[i] - projected[row * 256 + i]) <= 4 * 0x1p-24f * std::abs(unit[i]) + 1e-12f);
    // A gap of 0 is a row without scores (not finite, or all zero), whose index is fixed by definition.
    const double gap = golden["snap"]["top2_gap_f64"][row].num();
    if (gap == 0 || gap > 1e-6) CHECK_EQ(int64_t(got.index), want[row].integer());
    for (size_t p = 0; p < 16; ++p) CHECK(std::abs(got.scores[p] - scores[row * 16 + p]) <= 1e-6f);
    for (const json::value &claims : golden["snap"]["claimed_margin"])
      CHECK(std::abs(v2::claimed_margin(got.scores, claims["claimed_k"].integer()) -
                     from_bits(claims["margin_f32_bits"][row])) <= 2e-6f);
  }
  for (const json::value &row : golden["count_mismatch"])
    for (size_t i = 0; i < row["k"].size(); ++i)
      CHECK_EQ(int64_t(v2::step_mismatch(row["k"][i].integer(), row["ref"][i].integer(), float(row["margin"][i].num()),
                                         float(row["tau"].num()))),
               row["out"][i].integer());

  const json::value &next = golden["next_prev_k"], &steps = golden["count_mismatch"][0];
  for (size_t i = 0; i < steps["k"].size(); ++i) {
    CHECK_EQ(v2::next_previous(steps["k"][i].integer(), std::nullopt), next["generation"][i].integer());
    CHECK_EQ(v2::next_previous(steps["k"][i].integer(), steps["ref"][i].integer()),
             next["teacher_forced"][i].integer());
  }

  // Another set of points, the start of the reference's builder: unit points, each of which snaps to itself.
  const std::string halton = k_golden + "halton_on_sphere_16x256_f32.npy";
  const auto start = npy::read(halton).as<float>("<f4");
  const v2::codebook other_points = v2::codebook::load(halton, sha256_of_array(start));
  for (size_t p = 0; p < 16; ++p) {
    const auto snapped = other_points.snap(std::span(start).subspan(p * 256, 256));
    CHECK_EQ(snapped.index, int32_t(p));
    CHECK(std::abs(snapped.scores[p] - 1) <= 1e-6f);
  }

  // Without the network's own codebook the scheme is refused.
  CHECK_EQ(std::string(v2::k_codebook_sha256), golden["real_codebook_sha256_expected"].str());
  for (const std::string &other : {path, halton, k_golden + "decode.json", k_golden + "absent.npy"}) {
    bool refused = false;
    try {
      v2::codebook::load(other);
    } catch (const gonka::status_error &error) {
      refused = error.status == GK_INVALID_ARGUMENT && std::string(error.what()).find(other) != std::string::npos;
    }
    CHECK(refused);
  }
}

}  // namespace

int main() {
  const json::value golden = json::read_file(k_golden + "decode.json");
  seeds(golden);
  steps(golden);
  routing(golden);
  snapping(golden);
  return check_summary();
}
