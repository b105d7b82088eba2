// PoC v2's seeded numbers against golden/v2/primitives.json and the generate_inputs arrays: integers bit for bit,
// normals within 3 ulp of torch's and bit for bit where every elementary step is correctly rounded.
#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "golden.hpp"
#include "number.hpp"
#include "v2/seeded.hpp"

namespace v2 = gonka::poc_v2;

namespace {

const std::string k_golden = golden_path("v2/");

float from_bits(const json::value &bits) {
  return std::bit_cast<float>(uint32_t(bits.u64()));
}

// Units in the last place between two floats; +0 and -0 are 0 apart.
int64_t ulps(float a, float b) {
  const auto ordered = [](float f) {
    const int64_t bits = std::bit_cast<int32_t>(f);
    return bits < 0 ? int64_t(INT32_MIN) - bits : bits;
  };
  return std::abs(ordered(a) - ordered(b));
}

void seeds(const json::value &golden) {
  for (const json::value &row : golden["seed_from_string"])
    CHECK_EQ(uint64_t(v2::seed_from_string(row["s"].str())), row["seed"].u64());
  for (const json::value &row : golden["murmur3_32"])
    for (size_t i = 0; i < row["keys_i32"].size(); ++i)
      CHECK_EQ(uint64_t(v2::murmur3(uint32_t(row["keys_i32"][i].integer()), uint32_t(row["seed"].integer()))),
               row["out_u32"][i].u64());
  for (const json::value &row : golden["uniform"])
    for (size_t i = 0; i < row["hash_u32"].size(); ++i) {
      CHECK_EQ(uint64_t(v2::murmur3(uint32_t(i), uint32_t(row["seed"].u64()))), row["hash_u32"][i].u64());
      CHECK_EQ(uint64_t(std::bit_cast<uint32_t>(v2::uniform(uint32_t(row["hash_u32"][i].u64())))),
               row["f32_bits"][i].u64());
    }
}

void normals(const json::value &golden) {
  int64_t worst = 0;
  for (const json::value &row : golden["normal"]) {
    std::vector<float> got(size_t(row["n"].integer()));
    v2::fill_normal(uint32_t(row["seed"].u64()), got);
    for (size_t i = 0; i < got.size(); ++i) {
      worst = std::max(worst, ulps(got[i], from_bits(row["f32_bits"][i])));
      CHECK_EQ(uint64_t(std::bit_cast<uint32_t>(got[i])), row["f32_bits_correctly_rounded_ops"][i].u64());
    }
  }
  std::printf("normals: at most %lld ulp from torch\n", static_cast<long long>(worst));
  CHECK(worst <= 3);
}

// Short floats may differ by one step where the F32 value lies near a rounding boundary; rarely.
struct flips {
  int64_t values = 0, different = 0, far = 0;
  void count(uint16_t got, uint64_t want) {
    ++values;
    different += got != want;
    far += std::abs(int64_t(got) - int64_t(want)) > 1;
  }
};

void inputs(const json::value &golden) {
  flips half, brain;
  int64_t worst = 0;
  for (const bool strong : {false, true})
    for (const json::value &row : golden[strong ? "generate_inputs_concat_murmur" : "generate_inputs"])
      for (size_t n = 0; n < row["nonces"].size(); ++n) {
        std::vector<float> got(size_t(row["seq_len"].integer() * row["dim"].integer()));
        v2::fill_inputs(v2::input_seeds(strong ? v2::generator::concat_murmur : v2::generator::murmur,
                                        row["block_hash"].str(), row["public_key"].str(), row["nonces"][n].u64()),
                        got);
        for (size_t i = 0; i < row["f32_first16_bits"][n].size(); ++i)
          worst = std::max(worst, ulps(got[i], from_bits(row["f32_first16_bits"][n][i])));
        const bool full = row.has("f16_full_bits");
        const json::value &f16 = full ? row["f16_full_bits"][n] : row["f16_first16_bits"][n];
        const json::value &bf16 = full ? row["bf16_full_bits"][n] : row["bf16_first16_bits"][n];
        for (size_t i = 0; i < f16.size(); ++i) half.count(gonka::f32_to_f16(got[i]), f16[i].u64());
        for (size_t i = 0; i < bf16.size(); ++i) brain.count(gonka::f32_to_bf16(got[i]), bf16[i].u64());
      }
  const std::vector<uint64_t> nonces = {0, 1, 7, 2147483647, 2147483648, 9007199254740991};
  const std::string hash = golden["constants"]["BH"].str(), key = golden["constants"]["PK"].str();
  const auto oracle = npy::read(k_golden + "gi_BH_PK_16x64_oracle_f64.npy").as<double>("<f8");
  for (const bool strong : {false, true}) {
    const std::string stem = k_golden + (strong ? "gicm" : "gi") + "_BH_PK_16x64_";
    const auto f16 = npy::read(stem + "f16_bits_u16.npy").as<uint16_t>("<u2");
    const auto bf16 = npy::read(stem + "bf16_bits_u16.npy").as<uint16_t>("<u2");
    for (size_t n = 0; n < nonces.size(); ++n) {
      std::vector<float> got(1024);
      v2::fill_inputs(
          v2::input_seeds(strong ? v2::generator::concat_murmur : v2::generator::murmur, hash, key, nonces[n]), got);
      for (size_t i = 0; i < got.size(); ++i) {
        half.count(gonka::f32_to_f16(got[i]), f16[n * 1024 + i]);
        brain.count(gonka::f32_to_bf16(got[i]), bf16[n * 1024 + i]);
        if (!strong) CHECK(std::abs(got[i] - oracle[n * 1024 + i]) <= 2e-6);
      }
    }
  }
  const auto f32 = npy::read(k_golden + "gi_BH_PK_16x64_f32.npy").as<float>("<f4");
  for (size_t n = 0; n < nonces.size(); ++n) {
    std::vector<float> got(1024);
    v2::fill_inputs(v2::input_seeds(v2::generator::murmur, hash, key, nonces[n]), got);
    for (size_t i = 0; i < got.size(); ++i) worst = std::max(worst, ulps(got[i], f32[n * 1024 + i]));
  }
  std::printf("inputs: at most %lld ulp from torch; of %lld values %lld differ in f16 and %lld in bf16\n",
              static_cast<long long>(worst), static_cast<long long>(half.values),
              static_cast<long long>(half.different), static_cast<long long>(brain.different));
  CHECK(worst <= 3);
  // The reference measured 14 and 2 in 2,000,000 between two ways of rounding.
  CHECK(half.far == 0 && half.different * 20'000 <= half.values + 20'000);
  CHECK(brain.far == 0 && brain.different * 200'000 <= brain.values + 200'000);
}

void tokens_and_vectors(const json::value &golden) {
  for (const json::value &row : golden["derive_pseudo_input_ids"])
    for (size_t n = 0; n < row["nonces"].size(); ++n) {
      const auto ids = v2::pseudo_input_ids(row["block_hash"].str(), row["public_key"].str(), row["nonces"][n].u64(),
                                            row["seq_len"].integer(), uint32_t(row["vocab"].u64()));
      for (size_t i = 0; i < ids.size(); ++i) CHECK_EQ(uint64_t(ids[i]), row["out"][n * ids.size() + i].u64());
    }
  for (const json::value &row : golden["generate_target"]) {
    const auto v =
        v2::unit_normal(v2::target_seed(row["block_hash"].str(), row["public_key"].str()), row["dim"].integer());
    for (size_t i = 0; i < row["f32_first64_bits"].size(); ++i)
      CHECK(std::abs(v[i] - from_bits(row["f32_first64_bits"][i])) <= 1e-6f);
  }
  for (const json::value &row : golden["generate_householder_vector"]) {
    const auto v = v2::unit_normal(row["seed_str"].str(), row["dim"].integer());
    for (size_t i = 0; i < row["f32_first64_bits"].size(); ++i) {
      CHECK(ulps(v[i], from_bits(row["f32_first64_bits"][i])) <= 8);
      CHECK(std::abs(v[i] - row["oracle_f64_first64"][i].num()) <= 1e-6);
      CHECK(std::abs(int64_t(gonka::f32_to_f16(v[i])) - row["f16_first64_bits"][i].integer()) <= 1);
      CHECK(std::abs(int64_t(gonka::f32_to_bf16(v[i])) - row["bf16_first64_bits"][i].integer()) <= 1);
    }
  }
  CHECK_EQ(v2::layer_reflection_seed("h", 12), std::string("h_layer_12_householder"));
}

void picks(const json::value &golden) {
  for (const json::value &row : golden["random_pick_indices"])
    for (size_t n = 0; n < row["nonces"].size(); ++n) {
      const uint32_t seed = v2::seed_from_string(
          v2::pick_seed(row["block_hash"].str(), row["public_key"].str(), row["nonces"][n].u64(), row["k"].integer()));
      CHECK_EQ(uint64_t(seed), row["seeds"][n].u64());
      const auto picked = v2::pick_indices(seed, row["dim"].integer(), row["k"].integer());
      const json::value &want = row["cuda_order"][n];
      CHECK_EQ(picked.size(), want.size());
      for (size_t i = 0; i < want.size(); ++i) CHECK_EQ(int64_t(picked[i]), want[i].integer());
      // The set, whatever the order.
      auto sorted = picked;
      std::ranges::sort(sorted);
      for (size_t i = 0; i < sorted.size(); ++i) CHECK_EQ(int64_t(sorted[i]), row["sorted_set"][n][i].integer());
    }
}

void rotations(const json::value &golden) {
  double worst = 0;
  for (const json::value &row : golden["apply_haar_rotation"])
    for (size_t n = 0; n < row["nonces"].size(); ++n) {
      std::vector<float> x;
      for (const json::value &bits : row["x_f32_bits"][n]) x.push_back(from_bits(bits));
      v2::haar_rotate(row["block_hash"].str(), row["public_key"].str(), row["nonces"][n].u64(), x);
      for (size_t i = 0; i < x.size(); ++i)
        worst = std::max(worst, std::abs(double(x[i]) - row["y_oracle_f64"][n][i].num()));
    }
  std::printf("rotations: at most %.2g from the F64 oracle\n", worst);
  CHECK(worst <= 5e-6);
}

// vector_b64 of validation.json's encode_vector, decoded by hand to keep base64 out of the engine.
void encoding() {
  const json::value golden = json::read_file(k_golden + "validation.json");
  for (const json::value &row : golden["encode_vector"]) {
    std::vector<float> values;
    for (const json::value &bits : row["f32_bits"]) values.push_back(from_bits(bits));
    const std::vector<uint8_t> bytes = v2::encode_vector(values);
    CHECK_EQ(bytes.size(), 2 * values.size());
    for (size_t i = 0; i < values.size(); ++i)
      if (!std::isnan(values[i])) CHECK_EQ(uint64_t(bytes[2 * i] | bytes[2 * i + 1] << 8), row["f16_bits"][i].u64());
  }
}

}  // namespace

int main() {
  const json::value golden = json::read_file(k_golden + "primitives.json");
  seeds(golden);
  normals(golden);
  inputs(golden);
  tokens_and_vectors(golden);
  picks(golden);
  rotations(golden);
  encoding();
  return check_summary();
}
