// Parameter lists, weight pool and placement of PoC v1 against vectors of the reference.
// GONKA_TEST_FULL=1 also draws the 888 million values of PARAMS_V2 (1.8 GB).
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "golden.hpp"
#include "number.hpp"
#include "v1/nonce_data.hpp"
#include "v1/params.hpp"
#include "v1/weight_pool.hpp"

using namespace gonka;
using namespace gonka::poc_v1;

namespace {

params params_from(const json::value &v) {
  params p;
  p.dim = v["dim"].integer();
  p.n_layers = v["n_layers"].integer();
  p.n_heads = v["n_heads"].integer();
  p.n_kv_heads = v["n_kv_heads"].integer();
  p.vocab_size = v["vocab_size"].integer();
  p.ffn_dim_multiplier = v["ffn_dim_multiplier"].num();
  p.multiple_of = v["multiple_of"].integer();
  p.norm_eps = v["norm_eps"].num();
  p.rope_theta = v["rope_theta"].num();
  p.use_scaled_rope = v["use_scaled_rope"].flag();
  p.seq_len = v["seq_len"].integer();
  return p;
}

std::vector<uint16_t> pool_of(const std::string &hash, uint64_t size, uint32_t threads = 2) {
  std::vector<uint16_t> pool(size);
  CHECK(fill_weight_pool(hash, pool, {.threads = threads, .chunk_draws = 1 << 16, .progress = {}}));
  return pool;
}

std::vector<uint16_t> tensor_of(const std::vector<uint16_t> &pool, const placement &where) {
  std::vector<uint16_t> out(where.count);
  copy_parameter(pool, where, 0, out);
  // In pieces, as a caller that streams would take it.
  std::vector<uint16_t> pieces(where.count);
  for (uint64_t at = 0; at < where.count; at += 777)
    copy_parameter(pool, where, at, std::span(pieces).subspan(at, std::min<uint64_t>(777, where.count - at)));
  CHECK(out == pieces);
  return out;
}

void check_bits(const std::vector<uint16_t> &values, const json::value &want, bool last) {
  for (size_t i = 0; i < want.size(); ++i)
    CHECK_EQ(int64_t(values[last ? values.size() - want.size() + i : i]), want[i].integer());
}

void check_pool_case(const json::value &entry) {
  const std::string hash = entry["hash"].str();
  CHECK_EQ(pool_size(entry["total_params"].u64(), entry["pool_fraction"].num()), entry["pool_size"].u64());
  const std::vector<uint16_t> pool = pool_of(hash, entry["pool_size"].u64());
  CHECK_EQ(sha256_of_array(pool), entry["pool_f16_sha256"].str());
  for (const json::value &p : entry["params"]) {
    const placement where = place_parameter(hash, p["name"].str(), p["numel"].u64(), pool.size());
    CHECK_EQ(where.tiled, p["kind"].str() == "tile_roll");
    CHECK_EQ(where.offset, p[p.has("offset") ? "offset" : "shift"].u64());
    const std::vector<uint16_t> values = tensor_of(pool, where);
    CHECK_EQ(sha256_of_array(values), p["sha256_le_f16"].str());
    check_bits(values, p["first8_f16_bits"], false);
    check_bits(values, p["last8_f16_bits"], true);
  }
}

// Any number of threads and any chunk size give the same pool: small chunks force long joins and skipped chunks.
void check_chunks() {
  const std::vector<uint16_t> want = pool_of("hash", 20011, 1);
  for (const uint32_t chunk : {1, 2, 3, 7, 64, 100, 1000, 4096, 100000})
    for (const uint32_t threads : {1, 2, 3, 8}) {
      std::vector<uint16_t> got(want.size());
      CHECK(fill_weight_pool("hash", got, {.threads = threads, .chunk_draws = chunk, .progress = {}}));
      CHECK(got == want);
    }
  for (const size_t size : {0, 1, 2, 1023, 1024, 1025})
    CHECK(pool_of("hash", size) == std::vector(want.begin(), want.begin() + long(size)));
}

void check_progress() {
  std::vector<uint16_t> pool(1000000);
  uint64_t last = 0;
  bool increasing = true;
  pool_options options{.threads = 2, .chunk_draws = 1 << 12, .progress = [&](uint64_t done) {
                         increasing = increasing && done > last;
                         last = done;
                         return true;
                       }};
  CHECK(fill_weight_pool("x", pool, options));
  CHECK(increasing);
  CHECK_EQ(last, uint64_t(pool.size()));
  int calls = 0;
  options.progress = [&](uint64_t) { return ++calls < 3; };
  CHECK(!fill_weight_pool("x", pool, options));
  CHECK_EQ(calls, 3);
  options.progress = [](uint64_t) -> bool { throw std::runtime_error("from the callback"); };
  bool thrown = false;
  try {
    fill_weight_pool("x", pool, options);
  } catch (const std::runtime_error &e) {
    thrown = std::string(e.what()) == "from the callback";
  }
  CHECK(thrown);
}

void check_real_params(const json::value &entry, bool draw) {
  const params p = params_from(entry["params"]);
  gk_error err{.struct_size = sizeof err, .status = GK_OK, .native_code = 0, .message = ""};
  CHECK_EQ(validate(p, &err), GK_OK);
  const std::string hash = entry["hash"].str();
  CHECK_EQ(ffn_hidden(p), entry["ffn_hidden"].integer());
  CHECK_EQ(total_params(p), entry["total_params"].u64());
  const uint64_t size = pool_size(total_params(p), entry["pool_fraction"].num());
  CHECK_EQ(size, entry["pool_size"].u64());
  const std::vector<uint16_t> pool = draw ? pool_of(hash, size) : std::vector<uint16_t>();
  if (draw) {
    CHECK_EQ(sha256_of_array(pool), entry["pool_f16_sha256"].str());
    check_bits(pool, entry["pool_first8_f16_bits"], false);
    check_bits(pool, entry["pool_last8_f16_bits"], true);
  }
  const std::vector<parameter> list = parameters(p);
  CHECK_EQ(list.size(), entry["parameters"].size());
  for (size_t i = 0; i < list.size(); ++i) {
    const json::value &want = entry["parameters"][i];
    CHECK_EQ(list[i].name, want["name"].str());
    CHECK_EQ(list[i].rows, want["shape"][0].integer());
    CHECK_EQ(list[i].columns, want["shape"].size() == 2 ? want["shape"][1].integer() : 0);
    const placement where = place_parameter(hash, list[i].name, list[i].count(), size);
    CHECK_EQ(where.tiled, want["kind"].str() != "slice");
    CHECK_EQ(where.offset, want["offset"].u64());
    if (!draw) continue;
    std::vector<uint16_t> four(4);
    copy_parameter(pool, where, 0, four);
    check_bits(four, want["first4"], false);
    copy_parameter(pool, where, where.count - 4, four);
    check_bits(four, want["last4"], false);
    if (want.has("sha256_le_f16"))
      CHECK_EQ(sha256_of_array(std::span(pool).subspan(where.offset, where.count)), want["sha256_le_f16"].str());
  }
}

void check_forward(const std::string &name) {
  const std::string folder = "v1/fwd_" + name + "/";
  const json::value meta = json::read_file(golden_path(folder + "meta.json"));
  const params p = params_from(meta["params"]);
  CHECK_EQ(validate(p, nullptr), GK_OK);
  CHECK_EQ(ffn_hidden(p), meta["ffn_hidden"].integer());
  CHECK_EQ(total_params(p), meta["total_params"].u64());
  const uint64_t size = pool_size(total_params(p), meta["pool_fraction"].num());
  CHECK_EQ(size, meta["pool_size"].u64());
  const std::string hash = meta["block_hash"].str(), key = meta["public_key"].str();
  const std::vector<uint16_t> pool = pool_of(hash, size);
  const std::vector<parameter> list = parameters(p);
  CHECK_EQ(list.size(), meta["parameters"].size());
  std::vector<uint16_t> all;
  const bool stress = name == "stress_tiny";
  for (size_t i = 0; i < list.size(); ++i) {
    const json::value &want = meta["parameters"][i];
    CHECK_EQ(list[i].name, want["name"].str());
    CHECK_EQ(list[i].count(), want["numel"].u64());
    std::vector<uint16_t> values = tensor_of(pool, place_parameter(hash, list[i].name, list[i].count(), size));
    if (stress) {
      const double factor = list[i].columns == 0 ? 64 : 8;
      for (uint16_t &half : values) half = f32_to_f16(float(factor) * f16_to_f32(half));
    }
    CHECK_EQ(sha256_of_array(values), want["sha256_le_f16"].str());
    check_bits(values, want["first8_f16_bits"], false);
    all.insert(all.end(), values.begin(), values.end());
  }
  if (name == "tiny" || stress) {
    std::ifstream in(golden_path(folder + "weights_all_f16.bin"), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    CHECK(bytes.size() == all.size() * 2 && std::memcmp(bytes.data(), all.data(), bytes.size()) == 0);
  }

  const npy::array permutations = npy::read(golden_path(folder + "permutations_i32.npy"));
  const auto rows = permutations.as<int32_t>("<i4");
  const npy::array inputs8 = npy::read(golden_path(folder + "inputs_first8_f16.npy"));
  const size_t vocab = size_t(p.vocab_size);
  CHECK_EQ(permutations.shape[0], int64_t(meta["nonces"].size()));
  for (size_t n = 0; n < meta["nonces"].size(); ++n) {
    const uint64_t nonce = meta["nonces"][n].u64();
    std::vector<uint16_t> x(size_t(p.seq_len * p.dim));
    make_inputs(hash, key, nonce, x);
    CHECK_EQ(sha256_of_array(x), meta["inputs_sha256_per_nonce_le_f16"][n].str());
    if (n < 8) CHECK(std::memcmp(x.data(), inputs8.bytes.data() + n * x.size() * 2, x.size() * 2) == 0);
    std::vector<int32_t> order(vocab);
    make_permutation(hash, key, nonce, order);
    CHECK(std::equal(order.begin(), order.end(), rows.begin() + long(n * vocab)));
  }

  const auto target = npy::read(golden_path(folder + "target_f64.npy")).as<double>("<f8");
  std::vector<double> mine(vocab);
  make_target(hash, mine);
  CHECK_EQ(target.size(), vocab);
  for (size_t i = 0; i < vocab; ++i) CHECK(std::fabs(mine[i] - target[i]) <= 1e-15 * std::fabs(target[i]));

  const auto table32 = npy::read(golden_path(folder + "freqs_cis_f32.npy")).as<float>("<f4");
  const auto table16 = npy::read(golden_path(folder + "freqs_cis_f16.npy")).as<uint16_t>("<f2");
  const std::vector<float> full = rope_table(p, false), half = rope_table(p, true);
  CHECK_EQ(full.size(), table32.size());
  CHECK_EQ(half.size(), table16.size());
  for (size_t i = 0; i < full.size(); ++i) {
    CHECK(std::fabs(full[i] - table32[i]) <= 1.2e-7f);
    CHECK_EQ(half[i], f16_to_f32(table16[i]));
  }
}

void check_validation() {
  const auto message = [](auto change) {
    params p;
    change(p);
    gk_error err{.struct_size = sizeof err, .status = GK_OK, .native_code = 0, .message = ""};
    CHECK_EQ(validate(p, &err), GK_INVALID_ARGUMENT);
    CHECK_EQ(err.status, GK_INVALID_ARGUMENT);
    return std::string(err.message);
  };
  CHECK_EQ(message([](params &p) { p.dim = 0; }), "params: dim is 0; expected 1 to 16777216");
  CHECK_EQ(message([](params &p) { p.seq_len = -5; }), "params: seq_len is -5; expected 1 to 16777216");
  CHECK_EQ(message([](params &p) { p.n_heads = 3; }), "params: dim 2048 is not a multiple of n_heads 3");
  CHECK_EQ(message([](params &p) { p.n_kv_heads = 5; }), "params: n_heads 16 is not a multiple of n_kv_heads 5");
  CHECK(message([](params &p) { p.n_heads = 2048; }).find("odd") != std::string::npos);
  CHECK(message([](params &p) { p.ffn_dim_multiplier = NAN; }).find("ffn_dim_multiplier") != std::string::npos);
  CHECK(message([](params &p) { p.ffn_dim_multiplier = 1e-9; }).find("width of 0") != std::string::npos);
  CHECK(message([](params &p) { p.norm_eps = -1; }).find("norm_eps") != std::string::npos);
  CHECK(message([](params &p) { p.rope_theta = INFINITY; }).find("rope_theta") != std::string::npos);
  CHECK(message([](params &p) { p.n_layers = p.dim = 1 << 24; }).find("weights") != std::string::npos);
  CHECK(message([](params &p) { p.vocab_size = int64_t(1) << 62; }).find("vocab_size") != std::string::npos);
}

}  // namespace

int main() {
  check_validation();
  const json::value cases = json::read_file(golden_path("v1/pool_cases.json"));
  CHECK_EQ(cases.size(), size_t(12));
  for (const json::value &entry : cases) check_pool_case(entry);
  check_chunks();
  check_progress();
  for (const char *name : {"tiny", "gqa", "scaled_rope", "v1like", "seq1", "stress_tiny"}) check_forward(name);
  const json::value real = json::read_file(golden_path("v1/real_params_pool.json"));
  const bool full = std::getenv("GONKA_TEST_FULL") != nullptr;
  for (const char *name : {"Params_default", "PARAMS_V1", "PARAMS_V2"})
    check_real_params(real[name], full || std::strcmp(name, "PARAMS_V2") != 0);
  return check_summary();
}
