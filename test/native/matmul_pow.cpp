// matmul-pow: the specification's vectors on every CPU implementation, Philox's known answers, and the op's cases
// with the operands that break short accumulators (GONKA_TEST_FULL=1: k = 65536, too).
#include "matmul_pow/matmul_pow.hpp"

#include <cstdlib>
#include <cstring>

#include "case_data.hpp"
#include "case_runner.hpp"
#include "golden.hpp"
#include "matmul_pow/round.hpp"

using namespace gonka;

namespace {

using matmul_pow::job;

template <size_t N>
std::array<uint8_t, N> from_hex(const std::string &text) {
  CHECK_EQ(text.size(), 2 * N);
  std::array<uint8_t, N> out;
  for (size_t i = 0; i < N; ++i) out[i] = uint8_t(std::stoul(text.substr(2 * i, 2), nullptr, 16));
  return out;
}

// From Random123's known-answer file.
void check_philox() {
  constexpr uint32_t ones = 0xffffffff;
  CHECK((philox4x32_10({0, 0, 0, 0}, {0, 0}) == philox_counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  CHECK((philox4x32_10({ones, ones, ones, ones}, {ones, ones}) ==
         philox_counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  CHECK((philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
         philox_counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

void check_elements() {
  for (int byte = 0; byte < 256; ++byte) {
    CHECK_EQ(int(pow_element(GK_POW_I8, uint8_t(byte))), byte < 128 ? byte : byte - 256);
    CHECK_EQ(int(pow_element(GK_POW_I4, uint8_t(byte))), byte * 15 / 256 - 7);
  }
}

struct result {
  std::vector<uint64_t> folds;
  std::vector<gk_pow_share> shares;
};

// Runs implementation `index` (from 1). False if it does not run here.
bool run(uint32_t index, const job &j, const sha256_digest &seed, result &out, test::cpu_stream &on) {
  gk_matmul_pow p{};
  p.struct_size = sizeof p;
  p.implementation = index;
  p.profile = j.profile, p.m = j.m, p.n = j.n, p.k = j.k;
  std::memcpy(p.nonce_seed, seed.data(), 32);
  std::memcpy(p.target, j.target.data(), 32);
  out.folds.assign(size_t(j.m / 64) * (j.n / 64), 0);
  out.shares.resize(out.folds.size());
  p.folds = out.folds.data();
  p.shares = out.shares.data();
  p.shares_capacity = uint32_t(out.shares.size());
  const gk_status status = cpu::backend().run(on.stream, GK_OP_MATMUL_POW, &p, 0, nullptr);
  if (status == GK_UNSUPPORTED) return false;
  CHECK_EQ(status, GK_OK);
  out.shares.resize(p.shares_found);
  return true;
}

void check_vector(const json::value &v) {
  job j;
  j.profile = v["profile"].str() == "i4" ? GK_POW_I4 : GK_POW_I8;
  j.m = uint32_t(v["m"].integer());
  j.n = uint32_t(v["n"].integer());
  j.k = uint32_t(v["k"].integer());
  j.shares = uint32_t(v["shares"].integer());
  j.target = from_hex<32>(v["target"].str());
  j.challenge = from_hex<32>(v["challenge"].str());
  j.public_key = from_hex<33>(v["public_key"].str());
  const uint64_t nonce = v["nonce"].u64();
  const uint32_t bi = uint32_t(v["bi"].integer()), bj = uint32_t(v["bj"].integer());
  const sha256_digest seed = matmul_pow::nonce_seed(matmul_pow::job_seed(j), nonce);
  CHECK_EQ(to_hex(matmul_pow::job_seed(j)), v["job_seed"].str());
  CHECK_EQ(to_hex(seed), v["nonce_seed"].str());
  for (const char operand : {'A', 'B'}) {
    std::vector<int8_t> row(j.k);
    pow_operand_rows(pow_seed_of(seed, operand), j.profile, 64 * (operand == 'A' ? bi : bj), 1, j.k, row.data());
    const json::value &first = v[operand == 'A' ? "a_row0_first16" : "b_row0_first16"];
    for (size_t i = 0; i < first.size(); ++i) CHECK_EQ(int64_t(row[i]), first[i].integer());
  }
  CHECK_EQ(to_hex(pow_ticket(seed, bi, bj, v["fold"].u64())), v["ticket"].str());
  CHECK_EQ(to_hex(matmul_pow::verify_share(j, nonce, bi, bj)), v["ticket"].str());

  j.target.fill(0xff);  // every tile is a share
  for (const uint32_t threads : {1, 3}) {
    test::cpu_stream on(threads);
    for (uint32_t index = 1; index <= cpu::implementations(GK_OP_MATMUL_POW).size(); ++index) {
      result got;
      if (!run(index, j, seed, got, on)) continue;
      const size_t tile = bi * size_t(j.n / 64) + bj;
      CHECK_EQ(got.folds[tile], v["fold"].u64());
      CHECK_EQ(got.shares.size(), got.folds.size());
      CHECK_EQ(got.shares[tile].bi, bi);
      CHECK_EQ(got.shares[tile].bj, bj);
      sha256_digest ticket;
      std::memcpy(ticket.data(), got.shares[tile].ticket, 32);
      CHECK_EQ(to_hex(ticket), v["ticket"].str());
    }
  }
}

// B too large for one block of columns (16 tiles at this k with VNNI, 8 with AVX2): tiles of every block are right.
void check_column_blocks() {
  job j;
  j.m = 64, j.n = 17 * 64, j.k = 65536;
  j.target.fill(0xff);
  test::cpu_stream on(2);
  const sha256_digest seed = sha256_of("column blocks");
  std::vector<int8_t> a(size_t(64) * j.k), b(a.size());
  std::vector<int32_t> tile(4096);
  pow_operand_rows(pow_seed_of(seed, 'A'), j.profile, 0, 64, j.k, a.data());
  const uint32_t count = uint32_t(cpu::implementations(GK_OP_MATMUL_POW).size());
  std::vector<result> results(count);
  for (uint32_t index = 1; index < count; ++index)  // the last is the reference
    if (!run(index, j, seed, results[index - 1], on)) results[index - 1].folds.clear();
  for (const uint32_t bj : {0u, 7u, 8u, 15u, 16u}) {
    pow_operand_rows(pow_seed_of(seed, 'B'), j.profile, bj * 64, 64, j.k, b.data());
    pow_tile_product(a.data(), b.data(), j.k, tile.data());
    for (const result &got : results)
      if (!got.folds.empty()) CHECK_EQ(got.folds[bj], pow_fold(tile.data()));
  }
}

// Hits and folds, which the case runner does not see, of every case and implementation.
void check_host_results(uint32_t uses) {
  const op_spec &spec = *find_op(uint32_t(GK_OP_MATMUL_POW));
  cpu::thread_pool one(1), three(3);
  for (const op_case &c : cases_of(GK_OP_MATMUL_POW)) {
    if ((c.uses & uses) == 0) continue;
    const built_case want = c.build(c);
    const auto pointers_of = [](const built_case &built) {
      std::vector<void *> pointers;
      for (size_t i = 0; i < built.data.size(); ++i)
        pointers.push_back(built.present[i] ? const_cast<std::byte *>(built.data[i].data()) : nullptr);
      return pointers;
    };
    spec.reference(want.problem.get(), pointers_of(want));
    for (const cpu::implementation &implementation : cpu::implementations(GK_OP_MATMUL_POW))
      for (cpu::thread_pool *pool : {&one, &three}) {
        const built_case got = c.build(c);
        if (implementation.reject(got.problem.get(), cpu::this_cpu()) != nullptr) continue;
        cpu::context ctx{*pool, cpu::this_cpu()};
        implementation.run(got.problem.get(), pointers_of(got), ctx);
        if (!CHECK(got.host_result(got.problem.get()) == want.host_result(want.problem.get())))
          std::fprintf(stderr, "  case '%s', implementation %s\n", c.name.c_str(), implementation.name);
      }
  }
}

void check_validation() {
  const auto message = [](auto change) {
    job j;
    j.m = j.n = 64, j.k = 256, j.shares = 1;
    change(j);
    gk_error err{};
    err.struct_size = sizeof err;
    return matmul_pow::validate(j, &err) == GK_OK ? std::string() : std::string(err.message);
  };
  CHECK_EQ(message([](job &) {}), "");
  CHECK_EQ(message([](job &j) { j.profile = 3; }), "matmul_pow: profile=3; expected 1 (i8) or 2 (i4)");
  CHECK_EQ(message([](job &j) { j.m = 0; }), "matmul_pow: m=0; expected a multiple of 64 from 64 to 65536");
  CHECK_EQ(message([](job &j) { j.n = 96; }), "matmul_pow: n=96; expected a multiple of 64 from 64 to 65536");
  CHECK_EQ(message([](job &j) { j.k = 65792; }), "matmul_pow: k=65792; expected a multiple of 256 from 256 to 65536");
  CHECK_EQ(message([](job &j) { j.shares = 0; }), "matmul_pow: shares=0; expected 1 to 1048576");
  CHECK_EQ(message([](job &j) { j.shares = (1 << 20) + 1; }), "matmul_pow: shares=1048577; expected 1 to 1048576");
}

}  // namespace

int main() {
  const bool full = std::getenv("GONKA_TEST_FULL") != nullptr;
  check_philox();
  check_elements();
  check_validation();
  const json::value vectors = json::read_file(golden_path("matmul_pow/vectors.json"));
  CHECK_EQ(vectors.size(), size_t(16));
  for (const json::value &v : vectors) check_vector(v);
  const uint32_t uses = use_selftest | use_conformance | (full ? uint32_t(use_full) : 0);
  CHECK_EQ(test::run_cases(GK_OP_MATMUL_POW, uses), 0);
  check_host_results(uses);
  check_column_blocks();
  return check_summary();
}
