// Permutations, targets and inputs of PoC v1 against vectors of the reference.
#include <bit>
#include <cmath>

#include "golden.hpp"
#include "permuted_distance/permuted_distance.hpp"
#include "v1/distance.hpp"
#include "v1/nonce_data.hpp"

using namespace gonka::poc_v1;

namespace {

std::vector<int32_t> permutation(const std::string &hash, const std::string &key, uint64_t nonce, size_t size) {
  std::vector<int32_t> out(size, -1);
  make_permutation(hash, key, nonce, out);
  return out;
}

void check_permutations(const json::value &entry) {
  const std::string hash = entry["block_hash"].str(), key = entry["public_key"].str();
  const std::vector<uint64_t> nonces = u64_list(entry["nonces"]);
  for (size_t row = 0; row < nonces.size(); ++row) {
    const auto p = permutation(hash, key, nonces[row], size_t(entry["dim"].integer()));
    CHECK_EQ(sha256_of_array(p), entry["sha256_per_row_le_int32"][row].str());
    CHECK_EQ(sha256_of_array(std::vector<int64_t>(p.begin(), p.end())), entry["sha256_per_row_le_int64"][row].str());
    for (size_t i = 0; i < entry["first16"][row].size(); ++i)
      CHECK_EQ(int64_t(p[i]), entry["first16"][row][i].integer());
  }
}

void check_permutation_rows(const json::value &permutations) {
  const json::value &first = permutations[0];
  const npy::array stored = npy::read(golden_path("v1/perm_8192_BH_PK_i32.npy"));
  const auto want = stored.as<int32_t>("<i4");
  CHECK_EQ(stored.shape[0], int64_t(first["nonces"].size()));
  for (size_t row = 0; row < size_t(stored.shape[0]); ++row) {
    const auto got =
        permutation(first["block_hash"].str(), first["public_key"].str(), first["nonces"][row].u64(), 8192);
    CHECK(std::equal(got.begin(), got.end(), want.begin() + long(row * 8192)));
  }
}

// The norm is free to differ in its last bits, so up to 2 ulp.
void check_target_values(const std::vector<double> &got, const std::vector<double> &want) {
  CHECK(got.size() >= want.size());
  for (size_t i = 0; i < want.size(); ++i)
    if (!(std::fabs(got[i] - want[i]) <= 1e-15 * std::fabs(want[i]))) CHECK_EQ(got[i], want[i]);
}

void check_target(const json::value &entry) {
  std::vector<double> t(size_t(entry["vocab_size"].integer()));
  make_target(entry["block_hash"].str(), t);
  std::vector<double> first;
  for (const json::value &value : entry["first16_f64_hex"]) first.push_back(value.hex_double());
  check_target_values(t, first);
  CHECK(std::fabs(l2_norm(t) - entry["norm"].hex_double()) <= 4e-16);
}

void check_inputs(const json::value &entry) {
  const std::vector<uint64_t> nonces = u64_list(entry["nonces"]);
  for (size_t row = 0; row < nonces.size(); ++row) {
    std::vector<uint16_t> x(size_t(entry["seq_len"].integer() * entry["dim"].integer()));
    make_inputs(entry["block_hash"].str(), entry["public_key"].str(), nonces[row], x);
    CHECK_EQ(sha256_of_array(x), entry["sha256_per_nonce_le_f16"][row].str());
    for (size_t i = 0; i < entry["first16_f16_bits"][row].size(); ++i)
      CHECK_EQ(int64_t(x[i]), entry["first16_f16_bits"][row][i].integer());
    const json::value &last = entry["last4_f16_bits"][row];
    for (size_t i = 0; i < last.size(); ++i) CHECK_EQ(int64_t(x[x.size() - last.size() + i]), last[i].integer());
  }
}

void check_input_rows(const json::value &inputs) {
  const npy::array stored = npy::read(golden_path("v1/inputs_BH_PK_16x64_f16.npy"));
  CHECK_EQ(stored.type, "<f2");
  const size_t row_bytes = stored.bytes.size() / size_t(stored.shape[0]);
  for (size_t row = 0; row < size_t(stored.shape[0]); ++row) {
    std::vector<uint16_t> x(row_bytes / 2);
    make_inputs(inputs["BH"].str(), inputs["PK"].str(), inputs["cases"][0]["nonces"][row].u64(), x);
    CHECK(std::memcmp(x.data(), stored.bytes.data() + row * row_bytes, row_bytes) == 0);
  }
}

// The reference of gk_permuted_distance, which draws and sums in its own plain way, against the permutations above and
// the distance that golden rounds are held against.
void check_permuted_distance(const json::value &entry) {
  const std::string hash = entry["block_hash"].str(), key = entry["public_key"].str();
  const size_t size = size_t(entry["dim"].integer());
  if (size > 40000) return;
  std::vector<float> logits(size);
  for (size_t i = 0; i < size; ++i) logits[i] = float(std::sin(double(i * i % 1009) + 0.1));
  std::vector<double> target(size), scratch(size);
  make_target(hash, target);
  for (const uint64_t nonce : u64_list(entry["nonces"])) {
    const double want = distance(logits, permutation(hash, key, nonce, size), target, scratch);
    uint64_t seeds[4];
    permutation_generator(hash, key, nonce, std::span<uint64_t, 4>(seeds));
    gk_permuted_distance p{};
    p.struct_size = sizeof p;
    p.x_type = GK_F32;
    p.rows = 1;
    p.columns = p.ldx = int64_t(size);
    p.seeds = seeds;
    double got = -1;
    void *const pointers[] = {logits.data(), target.data(), &got};
    gonka::permuted_distance_reference(&p, pointers);
    CHECK_EQ(got, want);
  }
}

}  // namespace

int main() {
  const json::value permutations = json::read_file(golden_path("v1/permutations.json"));
  CHECK_EQ(permutations.size(), size_t(30));
  for (const json::value &entry : permutations) check_permutations(entry);
  for (const json::value &entry : permutations) check_permuted_distance(entry);
  check_permutation_rows(permutations);
  CHECK(permutation("a", "b", 0, 0).empty());

  const json::value targets = json::read_file(golden_path("v1/targets.json"));
  CHECK_EQ(targets.size(), size_t(24));
  for (const json::value &entry : targets) check_target(entry);
  for (const auto &[file, hash] :
       {std::pair<std::string, std::string>{"target_BH_8196_f64", ""}, {"target_hash_128_f64", "hash"}}) {
    const auto want = npy::read(golden_path("v1/" + file + ".npy")).as<double>("<f8");
    std::vector<double> got(want.size());
    make_target(hash.empty() ? permutations[0]["block_hash"].str() : hash, got);
    check_target_values(got, want);
  }

  const json::value inputs = json::read_file(golden_path("v1/inputs.json"));
  CHECK_EQ(inputs["cases"].size(), size_t(18));
  for (const json::value &entry : inputs["cases"]) check_inputs(entry);
  check_input_rows(inputs);
  return check_summary();
}
