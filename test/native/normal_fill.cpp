// Every CPU implementation of normal_fill against the reference, and against vectors of both protocols.
#include "normal_fill/normal_fill.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "case_runner.hpp"
#include "golden.hpp"
#include "v1/seed.hpp"
#include "v2/seeded.hpp"

using namespace gonka;

namespace {

// Runs implementation `index` (from 1) on host memory; false if it does not run here.
bool fill(uint32_t index, gk_normal_fill &p, void *out, uint64_t bytes) {
  static test::cpu_stream on(2);
  p.struct_size = sizeof p;
  p.implementation = index;
  gk_buffer *buffer = nullptr;
  CHECK_EQ(cpu::backend().buffer_alloc(on.device, bytes, &buffer, nullptr), GK_OK);
  p.out = {buffer, 0};
  const gk_status status = cpu::backend().run(on.stream, GK_OP_NORMAL_FILL, &p, 0, nullptr);
  CHECK(status == GK_OK || status == GK_UNSUPPORTED);
  cpu::backend().buffer_read(on.stream, buffer, 0, out, bytes, nullptr);
  cpu::backend().buffer_free(buffer);
  return status == GK_OK;
}

// Distance in units in the last place; -0 and 0 are the same.
int64_t ulps(float a, float b) {
  const auto ordered = [](float f) {
    const int64_t bits = int64_t(std::bit_cast<uint32_t>(f) & 0x7fffffff);
    return std::signbit(f) ? -bits : bits;
  };
  return std::abs(ordered(a) - ordered(b));
}

void check_murmur_vectors(uint32_t index, const json::value &primitives) {
  for (const json::value &entry : primitives["murmur3_32"])
    for (size_t i = 0; i < entry["keys_i32"].size(); ++i)
      CHECK_EQ(uint64_t(murmur3_word(uint32_t(entry["keys_i32"][i].integer()), uint32_t(entry["seed"].u64()))),
               entry["out_u32"][i].u64());
  int64_t worst = 0, same = 0, all = 0;
  for (const json::value &entry : primitives["normal"]) {
    const uint32_t seed = uint32_t(entry["seed"].u64());
    const size_t n = size_t(entry["n"].integer());
    std::vector<float> got(n);
    gk_normal_fill p{};
    p.generator = GK_NORMAL_MURMUR3, p.out_type = GK_F32, p.segments = 1, p.sigma = 1;
    p.rows = 1, p.columns = p.ldo = int64_t(n);
    p.seeds_u32 = &seed;
    if (!fill(index, p, got.data(), n * 4)) return;
    for (size_t i = 0; i < n; ++i) {
      const float torch = std::bit_cast<float>(uint32_t(entry["f32_bits"][i].u64()));
      // Values whose angle is next to a zero of sine or cosine: an absolute bound, as the protocol's own noise there.
      const int64_t apart = std::fabs(got[i] - torch) <= 1e-7f ? 0 : ulps(got[i], torch);
      worst = std::max(worst, apart);
      same += got[i] == torch;
      ++all;
      if (apart > 3) CHECK_EQ(got[i], torch);
    }
  }
  CHECK(worst <= 3);
  CHECK(all > 500 && same * 10 > all * 8);
}

// Inputs of PoC v2 as stored by the reference, F16 and BF16, one seed and eight.
void check_v2_inputs(uint32_t index) {
  const json::value v1 = json::read_file(golden_path("v1/inputs.json"));
  for (const char *name : {"gi", "gicm"})
    for (const uint32_t type : {uint32_t(GK_F16), uint32_t(GK_BF16)}) {
      const npy::array stored =
          npy::read(golden_path(std::string("v2/") + name + "_BH_PK_16x64_" + dtype_name(type) + "_bits_u16.npy"));
      const auto want = stored.as<uint16_t>("<u2");
      const uint64_t nonces[] = {0, 1, 7, 2147483647, 2147483648, 9007199254740991};
      const auto which = name[2] == '\0' ? poc_v2::generator::murmur : poc_v2::generator::concat_murmur;
      std::vector<uint32_t> seeds;
      for (const uint64_t nonce : nonces)
        for (const uint32_t s : poc_v2::input_seeds(which, v1["BH"].str(), v1["PK"].str(), nonce)) seeds.push_back(s);
      gk_normal_fill p{};
      p.generator = GK_NORMAL_MURMUR3, p.out_type = type, p.segments = uint32_t(seeds.size() / 6), p.sigma = 1;
      p.rows = 6, p.columns = p.ldo = 1024;
      p.seeds_u32 = seeds.data();
      std::vector<uint16_t> got(want.size());
      if (!fill(index, p, got.data(), got.size() * 2)) return;
      int64_t different = 0;
      for (size_t i = 0; i < got.size(); ++i) {
        different += got[i] != want[i];
        if (std::abs(int(got[i] & 0x7fff) - int(want[i] & 0x7fff)) > 1) CHECK_EQ(got[i], want[i]);
      }
      CHECK(different <= 3);  // F32 differences that a rounding boundary makes visible
    }
}

void check_v1_inputs(uint32_t index) {
  const json::value v1 = json::read_file(golden_path("v1/inputs.json"));
  for (const json::value &entry : v1["cases"]) {
    const std::vector<uint64_t> nonces = u64_list(entry["nonces"]);
    std::vector<uint64_t> seeds;
    for (const uint64_t nonce : nonces) {
      const pcg64 rng =
          poc_v1::generator(poc_v1::input_seed(entry["block_hash"].str(), entry["public_key"].str(), nonce), 4);
      for (const uint128 v : {rng.state, rng.increment}) seeds.insert(seeds.end(), {uint64_t(v >> 64), uint64_t(v)});
    }
    const int64_t count = entry["seq_len"].integer() * entry["dim"].integer();
    gk_normal_fill p{};
    p.generator = GK_NORMAL_PCG64, p.out_type = GK_F16, p.segments = 1, p.sigma = 1;
    p.rows = int64_t(nonces.size()), p.columns = p.ldo = count;
    p.seeds_u64 = seeds.data();
    std::vector<uint16_t> got(nonces.size() * size_t(count));
    if (!fill(index, p, got.data(), got.size() * 2)) return;
    for (size_t r = 0; r < nonces.size(); ++r)
      CHECK_EQ(sha256_of_array(std::span<const uint16_t>(got).subspan(r * size_t(count), size_t(count))),
               entry["sha256_per_nonce_le_f16"][r].str());
  }
}

// How far the vector polynomials are from correctly rounded operations, over a million values.
void check_accuracy(uint32_t index) {
  constexpr int64_t n = 1000000;
  const uint32_t seed = 12345;
  std::vector<float> got(n), want(n);
  gk_normal_fill p{};
  p.generator = GK_NORMAL_MURMUR3, p.out_type = GK_F32, p.segments = 1, p.sigma = 1;
  p.rows = 1, p.columns = p.ldo = n;
  p.seeds_u32 = &seed;
  if (!fill(index, p, got.data(), n * 4)) return;
  void *out = want.data();
  normal_fill_reference(&p, std::span<void *const>(&out, 1));
  int64_t different = 0, worst = 0;
  for (int64_t i = 0; i < n; ++i) {
    different += got[size_t(i)] != want[size_t(i)];
    worst = std::max(worst, ulps(got[size_t(i)], want[size_t(i)]));
  }
  std::printf("implementation %u: %lld of %lld values differ from the reference, at most %lld ulp\n", index,
              static_cast<long long>(different), static_cast<long long>(n), static_cast<long long>(worst));
  CHECK(worst <= 2);
  CHECK(different < n / 500);
}

void check_validation() {
  const op_spec &spec = *find_op(uint32_t(GK_OP_NORMAL_FILL));
  const uint32_t seed = 1;
  const auto status = [&](auto change) {
    gk_normal_fill p{};
    p.struct_size = sizeof p;
    p.generator = GK_NORMAL_MURMUR3, p.out_type = GK_F32, p.segments = 1, p.sigma = 1;
    p.rows = 1, p.columns = p.ldo = 10;
    p.seeds_u32 = &seed;
    change(p);
    return spec.validate(&p, nullptr);
  };
  CHECK_EQ(status([](gk_normal_fill &) {}), GK_OK);
  CHECK_EQ(status([](gk_normal_fill &p) { p.struct_size = 8; }), GK_INVALID_ARGUMENT);
  CHECK_EQ(status([](gk_normal_fill &p) { p.generator = 9; }), GK_UNSUPPORTED);
  CHECK_EQ(status([](gk_normal_fill &p) { p.out_type = GK_F64; }), GK_UNSUPPORTED);
  CHECK_EQ(status([](gk_normal_fill &p) { p.segments = 0; }), GK_INVALID_ARGUMENT);
  CHECK_EQ(status([](gk_normal_fill &p) { p.ldo = 9; }), GK_INVALID_ARGUMENT);
  CHECK_EQ(status([](gk_normal_fill &p) { p.columns = -1; }), GK_INVALID_ARGUMENT);
  CHECK_EQ(status([](gk_normal_fill &p) { p.sigma = NAN; }), GK_INVALID_ARGUMENT);
  CHECK_EQ(status([](gk_normal_fill &p) { p.seeds_u32 = nullptr; }), GK_INVALID_ARGUMENT);
  CHECK_EQ(status([](gk_normal_fill &p) { p.generator = GK_NORMAL_PCG64; }), GK_INVALID_ARGUMENT);
  CHECK_EQ(status([](gk_normal_fill &p) { p.columns = p.ldo = int64_t(1) << 33; }), GK_INVALID_ARGUMENT);
}

}  // namespace

int main() {
  check_validation();
  const json::value primitives = json::read_file(golden_path("v2/primitives.json"));
  for (uint32_t index = 1; index <= cpu::implementations(GK_OP_NORMAL_FILL).size(); ++index) {
    check_murmur_vectors(index, primitives);
    check_v2_inputs(index);
    check_v1_inputs(index);
    check_accuracy(index);
  }
  CHECK_EQ(test::run_cases(GK_OP_NORMAL_FILL), 0);
  return check_summary();
}
