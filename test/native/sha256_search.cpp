// Every CPU implementation of sha256_search: known block headers, all cases against the reference, ranges that split.
#include "sha256_search/sha256_search.hpp"

#include <cstring>

#include "backend.hpp"
#include "cases.hpp"
#include "check.hpp"
#include "features.hpp"
#include "implementation.hpp"

using namespace gonka;

namespace {

struct runner {
  explicit runner(uint32_t threads) : pool(threads) {}
  cpu::thread_pool pool;

  // False if the implementation does not run here.
  bool run(const cpu::implementation &implementation, gk_sha256_search &search) {
    if (implementation.reject(&search, cpu::this_cpu()) != nullptr) return false;
    cpu::context ctx{pool, cpu::this_cpu()};
    implementation.run(&search, {}, ctx);
    return true;
  }
};

std::string hex_reversed(const uint8_t *digest) {
  sha256_digest reversed;
  for (size_t i = 0; i < 32; ++i) reversed[i] = digest[31 - i];
  return to_hex(reversed);
}

struct known_block {
  const char *header, *hash;
  uint32_t bits;  // compact target
};

// Bitcoin's blocks 0, 1 and 125552.
constexpr known_block k_blocks[] = {{"0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7"
                                     "a7b12b27ac72c3e67768f617fc81bc3888a"
                                     "51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c",
                                     "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f", 0x1d00ffff},
                                    {"010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1"
                                     "e4ba744bbbe680e1fee14677ba1a3c3540b"
                                     "f7b1cdb606e857233e0e61bc6649ffff001d01e36299",
                                     "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048", 0x1d00ffff},
                                    {"0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000e320b6c2f"
                                     "ffc8d750423db8b1eb942ae710e951ed797"
                                     "f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695",
                                     "00000000000000001e8d6829a8a21adc5d38d0a473b144b6765798e61f98bd1d", 0x1a44b9f2}};

void check_known(const cpu::implementation &implementation, const known_block &block, runner &on) {
  gk_sha256_search search{};
  search.struct_size = sizeof search;
  for (size_t i = 0; i < 80; ++i) {
    unsigned byte;
    std::sscanf(block.header + 2 * i, "%2x", &byte);
    search.header[i] = uint8_t(byte);
  }
  uint32_t nonce;
  std::memcpy(&nonce, search.header + 76, 4);
  const uint32_t exponent = block.bits >> 24;
  for (uint32_t i = 0; i < 3; ++i) search.target[32 - exponent + i] = uint8_t(block.bits >> (16 - 8 * i));
  gk_sha256_hit hits[2];
  search.hits = hits;
  search.hits_capacity = 2;
  for (const uint32_t before : {0, 1, 7, 8, 15, 1000}) {
    search.nonce_begin = nonce - before;
    search.nonce_count = before + 1;
    if (!on.run(implementation, search)) return;
    CHECK_EQ(search.hits_found, 1u);
    CHECK_EQ(hits[0].nonce, nonce);
    CHECK_EQ(hex_reversed(hits[0].digest), block.hash);
  }
}

void check_case(const cpu::implementation &implementation, const op_case &c, runner &on) {
  const built_case want = c.build(c), got = c.build(c);
  if (!on.run(implementation, *static_cast<gk_sha256_search *>(got.problem.get()))) return;
  find_op(uint32_t(GK_OP_SHA256_SEARCH))->reference(want.problem.get(), {});
  if (!CHECK(got.host_result(got.problem.get()) == want.host_result(want.problem.get())))
    std::fprintf(stderr, "  case '%s', implementation %s\n", c.name.c_str(), implementation.name);
}

// search([a, c)) = search([a, b)) + search([b, c)).
void check_split(const cpu::implementation &implementation, runner &on) {
  gk_sha256_hit whole[300], parts[300];
  gk_sha256_search search{};
  search.struct_size = sizeof search;
  std::memset(search.header, 0x42, sizeof search.header);
  std::memset(search.target, 0xff, 32);
  search.target[0] = 0x1f;
  search.nonce_begin = 0xabcdef;
  search.nonce_count = 1000;
  search.hits = whole;
  search.hits_capacity = 300;
  if (!on.run(implementation, search)) return;
  const uint32_t total = search.hits_found;
  CHECK(total > 50 && total < 300);
  for (uint64_t first = 0; first <= 1000; first += 37) {
    search.hits = parts;
    search.nonce_begin = 0xabcdef;
    search.nonce_count = first;
    on.run(implementation, search);
    const uint32_t left = search.hits_found;
    search.hits = parts + left;
    search.nonce_begin = 0xabcdef + first;
    search.nonce_count = 1000 - first;
    on.run(implementation, search);
    CHECK_EQ(left + search.hits_found, total);
    CHECK(std::memcmp(parts, whole, total * sizeof *whole) == 0);
  }
}

void check_validation() {
  const auto *spec = find_op(uint32_t(GK_OP_SHA256_SEARCH));
  gk_sha256_search search{};
  gk_error err{};
  err.struct_size = sizeof err;
  CHECK_EQ(spec->validate(&search, &err), GK_INVALID_ARGUMENT);
  search.struct_size = sizeof search;
  CHECK_EQ(spec->validate(&search, &err), GK_OK);
  search.nonce_begin = 1;
  search.nonce_count = uint64_t(1) << 32;
  CHECK_EQ(spec->validate(&search, &err), GK_INVALID_ARGUMENT);
  CHECK_EQ(std::string(err.message), "sha256_search: nonces [1, 1 + 4294967296) pass 2^32");
  search.nonce_begin = ~uint64_t(0);
  CHECK_EQ(spec->validate(&search, &err), GK_INVALID_ARGUMENT);
  search.nonce_begin = 0;
  search.hits_capacity = 1;
  CHECK_EQ(spec->validate(&search, &err), GK_INVALID_ARGUMENT);
}

}  // namespace

int main() {
  check_validation();
  runner one(1), three(3);
  int tried = 0;
  for (const cpu::implementation &implementation : cpu::implementations(GK_OP_SHA256_SEARCH)) {
    for (const known_block &block : k_blocks) check_known(implementation, block, one);
    check_split(implementation, three);
    for (const op_case &c : cases_of(GK_OP_SHA256_SEARCH)) {
      if ((c.uses & (use_selftest | use_conformance)) == 0) continue;
      check_case(implementation, c, one);
      check_case(implementation, c, three);
    }
    ++tried;
  }
  CHECK(tried >= 1);
  return check_summary();
}
