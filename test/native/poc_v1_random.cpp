// PoC v1's seeds, PCG64 and ziggurat against vectors of the reference.
#include <bit>
#include <cmath>

#include "golden.hpp"
#include "normal_fill/ziggurat.hpp"
#include "number.hpp"
#include "v1/nonce_data.hpp"
#include "v1/seed.hpp"

using namespace gonka;
using namespace gonka::poc_v1;

namespace {

std::string hex128(uint128 v) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(v >> 64),
                static_cast<unsigned long long>(v));
  return text;
}

void check_tables() {
  const auto inside = npy::read(golden_path("v1/zig_ki_u64.npy")).as<uint64_t>("<u8");
  const auto width = npy::read(golden_path("v1/zig_wi_f64.npy")).as<double>("<f8");
  const auto height = npy::read(golden_path("v1/zig_fi_f64.npy")).as<double>("<f8");
  CHECK_EQ(inside.size() + width.size() + height.size(), size_t(768));
  for (size_t i = 0; i < 256; ++i) {
    CHECK_EQ(k_ziggurat.inside[i], inside[i]);
    CHECK_EQ(std::bit_cast<uint64_t>(k_ziggurat.width[i]), std::bit_cast<uint64_t>(width[i]));
    CHECK_EQ(std::bit_cast<uint64_t>(k_ziggurat.height[i]), std::bit_cast<uint64_t>(height[i]));
  }
}

void check_chain(const json::value &entry) {
  const std::string seed = entry["seed_string"].str();
  const uint32_t hashes = uint32_t(entry["num_hashes"].integer());
  const std::vector<uint32_t> words = seed_words(seed, hashes);
  CHECK_EQ(words.size(), entry["entropy_u32"].size());
  for (size_t i = 0; i < words.size(); ++i) CHECK_EQ(uint64_t(words[i]), entry["entropy_u32"][i].u64());
  const auto pool = seed_sequence_pool(words);
  for (size_t i = 0; i < 4; ++i) CHECK_EQ(uint64_t(pool[i]), entry["seedseq_pool_u32"][i].u64());
  const auto state = seed_sequence_state(pool);
  for (size_t i = 0; i < 4; ++i) CHECK_EQ(state[i], entry["generate_state_4u64"][i].u64());
  const pcg64 start = generator(seed, hashes);
  CHECK_EQ(hex128(start.state), entry["pcg64_state_hex"].str());
  CHECK_EQ(hex128(start.increment), entry["pcg64_inc_hex"].str());

  const std::vector<uint64_t> raw = u64_list(entry["raw16_u64_dec"]);
  pcg64 one_by_one = start;
  for (const uint64_t want : raw) CHECK_EQ(one_by_one.next(), want);
  for (size_t count = 0; count <= raw.size(); ++count) {
    pcg64 filled = start, jumped = start;
    std::vector<uint64_t> out(raw.size() + 1, 0xabcd);
    pcg64_fill(filled, out.data(), count);
    for (size_t i = 0; i < count; ++i) CHECK_EQ(out[i], raw[i]);
    CHECK_EQ(out[count], uint64_t(0xabcd));
    jumped.advance(count);
    CHECK(filled.state == jumped.state);
    if (count < raw.size()) CHECK_EQ(jumped.next(), raw[count]);
  }
  for (size_t i = 0; i < entry["random4_f64_hex"].size(); ++i)
    CHECK_EQ(pcg64_uniform(raw[i]), entry["random4_f64_hex"][i].hex_double());

  std::vector<double> normals(1003);
  pcg64 rng = start;
  fill_normals(rng, normals.data(), normals.size());
  for (size_t i = 0; i < entry["normal64_f64_hex"].size(); ++i) {
    CHECK_EQ(normals[i], entry["normal64_f64_hex"][i].hex_double());
    CHECK_EQ(0.02 * normals[i], entry["normal_mu0_sigma002_n1003_first64_f64_hex"][i].hex_double());
  }
  std::vector<float> singles;
  for (const double z : normals) singles.push_back(float(0.02 * z));
  std::vector<uint16_t> halves(normals.size());
  round_to_f16(normals.data(), normals.size(), 0.02, halves.data());
  for (size_t i = 0; i < entry["pool_path_f32_then_f16_bits_first64"].size(); ++i)
    CHECK_EQ(int64_t(halves[i]), entry["pool_path_f32_then_f16_bits_first64"][i].integer());
  CHECK_EQ(sha256_of_array(singles), entry["pool_path_f32_sha256_1003"].str());
  CHECK_EQ(sha256_of_array(halves), entry["pool_path_f16_sha256_1003"].str());
}

void check_million(const json::value &entry) {
  ziggurat_counts counts;
  const pcg64 start = generator(entry["seed_string"].str(), uint32_t(entry["num_hashes"].integer()));
  normal_reader reader(start, &counts);
  std::vector<double> z(size_t(entry["n"].integer()));
  const json::value &paths = entry["path_counts_independent_over_first"];
  const size_t counted = size_t(paths["n"].integer());
  CHECK_EQ(reader.read(z.data(), counted), counted);
  CHECK_EQ(counts.inside, paths["fast"].u64());
  CHECK_EQ(counts.tail, paths["tail"].u64());
  CHECK_EQ(counts.tail_loops, paths["tail_loops"].u64());
  CHECK_EQ(counts.wedge_accepted, paths["wedge_acc"].u64());
  CHECK_EQ(counts.wedge_rejected, paths["wedge_rej"].u64());
  CHECK_EQ(reader.read(z.data() + counted, z.size() - counted), z.size() - counted);
  CHECK_EQ(sha256_of_array(z), entry["sha256_le_f64"].str());
  for (const size_t prefix : {1000, 10000, 100000})
    CHECK_EQ(sha256_of_array(std::span<const double>(z).first(prefix)),
             entry["sha256_le_f64_first_" + std::to_string(prefix)].str());
  double sum = 0;
  int64_t beyond = 0;
  for (const double value : z) {
    sum += value;
    beyond += std::fabs(value) > k_ziggurat_r;
  }
  CHECK_EQ(sum, entry["sum_f64_sequential"].hex_double());
  CHECK_EQ(beyond, entry["n_abs_gt_3_6541528853610088"].integer());
  for (const auto &[index, value] : entry["values"].members) CHECK_EQ(z[std::stoul(index)], value.hex_double());
  pcg64 after = start;
  after.advance(reader.position());
  CHECK_EQ(after.next(), entry["next_raw_after"].u64());
  pcg64 filled = start;
  std::vector<double> again(z.size());
  fill_normals(filled, again.data(), again.size());
  CHECK(again == z);
  CHECK_EQ(filled.next(), entry["next_raw_after"].u64());

  std::vector<uint16_t> halves(z.size());
  std::vector<float> singles;
  for (const double value : z) singles.push_back(float(0.02 * value));
  round_to_f16(z.data(), z.size(), 0.02, halves.data());
  CHECK_EQ(sha256_of_array(singles), entry["pool1e6_f32_sha256"].str());
  CHECK_EQ(sha256_of_array(halves), entry["pool1e6_f16_sha256"].str());
  round_to_f16(z.data(), z.size(), 1, halves.data());
  for (const json::value &example : entry["double_rounding_examples"]) {
    const size_t i = size_t(example["index"].integer());
    CHECK_EQ(z[i], example["f64_hex"].hex_double());
    CHECK_EQ(int64_t(halves[i]), example["torch_f16_bits"].integer());
  }
}

// Reading in pieces of every size gives the same values, and a draw limit only pauses.
void check_pieces() {
  const pcg64 start = generator("hash", 4);
  const auto want = npy::read(golden_path("v1/normals_hash_first4096_f64.npy")).as<double>("<f8");
  std::vector<double> got(want.size());
  for (size_t piece = 1; piece < 130; ++piece) {
    normal_reader reader(start);
    for (size_t at = 0; at < got.size(); at += piece) reader.read(got.data() + at, std::min(piece, got.size() - at));
    CHECK(got == want);
    normal_reader limited(start);
    size_t have = 0;
    for (uint64_t limit = piece; have < got.size(); limit += piece) {
      have += limited.read(got.data() + have, got.size() - have, limit);
      CHECK(limited.position() >= limit || have == got.size());
    }
    CHECK(got == want);
  }
  normal_reader single(start);
  for (const double value : want) CHECK_EQ(single.next(), value);
}

// The vectorisable conversion agrees with the plain one on every half and around every boundary between halves.
void check_rounding() {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const float centre = f16_to_f32(uint16_t(h));
    if (std::isnan(centre)) continue;
    const float upper = f16_to_f32(uint16_t(h + 1));
    const float middle = std::isfinite(upper) ? float((double(centre) + double(upper)) / 2) : centre;
    for (const float f : {centre, middle, std::nextafterf(middle, -INFINITY), std::nextafterf(middle, INFINITY)}) {
      const double d = double(f);
      uint16_t got;
      round_to_f16(&d, 1, 1, &got);
      if (got != f32_to_f16(f)) CHECK_EQ(got, f32_to_f16(f));
    }
  }
  const double nan = std::nan("");
  uint16_t got;
  round_to_f16(&nan, 1, 1, &got);
  CHECK(std::isnan(f16_to_f32(got)));
}

}  // namespace

int main() {
  check_tables();
  const json::value chain = json::read_file(golden_path("v1/rng_chain.json"));
  CHECK_EQ(chain.size(), size_t(14));
  for (const json::value &entry : chain) check_chain(entry);
  const json::value million = json::read_file(golden_path("v1/normals_1e6.json"));
  CHECK_EQ(million.size(), size_t(2));
  for (const json::value &entry : million) check_million(entry);
  check_pieces();
  check_rounding();
  return check_summary();
}
