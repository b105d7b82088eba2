// Runs of matmul-pow on a device, and the verifier: what it accepts, what it refuses.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "check.hpp"
#include "matmul_pow/matmul_pow.hpp"
#include "matmul_pow/round.hpp"
#include "registry.hpp"

using namespace gonka;
using namespace gonka::matmul_pow;

namespace {

job small_job(uint32_t profile, uint8_t target_byte) {
  job j;
  j.profile = profile;
  j.m = 192, j.n = 256, j.k = 512, j.shares = 10;
  j.target.fill(0xff);
  j.target[0] = target_byte;
  j.challenge.fill(0x5a);
  j.public_key.fill(0x02);
  return j;
}

std::vector<share> run_all(const std::shared_ptr<device> &on, const job &j, const run_request &request,
                           run_stats *stats = nullptr) {
  std::vector<share> all;
  run_request with = request;
  with.on_part = [&](const part_result &result) {
    for (const share &s : result.shares) {
      CHECK_EQ(s.nonce, result.nonce);
      all.push_back(s);
    }
    return !request.on_part || request.on_part(result);
  };
  const run_stats got = run(on, j, with);
  CHECK_EQ(got.shares, uint64_t(all.size()));
  if (stats != nullptr) *stats = got;
  return all;
}

bool same(const share &a, const share &b) {
  return a.nonce == b.nonce && a.bi == b.bi && a.bj == b.bj && a.ticket == b.ticket;
}

// Every share is what the scalar verifier says, and every other tile loses.
void check_shares(const std::shared_ptr<device> &on, uint32_t profile) {
  const job j = small_job(profile, 0x3f);
  run_stats stats;
  const std::vector<share> shares = run_all(on, j, {.first_nonce = 5, .nonce_count = 3}, &stats);
  CHECK_EQ(stats.nonces, uint64_t(3));
  CHECK(shares.size() > 2 && shares.size() < 25);  // 36 tiles, each a share with probability 1/4
  verifier scalar(j), fast(j, on);
  size_t next = 0;
  for (uint64_t nonce = 5; nonce < 8; ++nonce)
    for (uint32_t bi = 0; bi < j.m / 64; ++bi)
      for (uint32_t bj = 0; bj < j.n / 64; ++bj) {
        const sha256_digest ticket = scalar.ticket(nonce, bi, bj);
        CHECK(fast.ticket(nonce, bi, bj) == ticket);
        const bool listed = next < shares.size() && same(shares[next], {nonce, bi, bj, ticket});
        CHECK_EQ(listed, pow_wins(ticket, j.target));
        CHECK_EQ(scalar.accepts({nonce, bi, bj, ticket}), listed);
        if (listed) {
          CHECK(fast.accepts(shares[next]));
          ++next;
        }
      }
  CHECK_EQ(next, shares.size());
}

void check_forgeries(const std::shared_ptr<device> &on) {
  const job j = small_job(GK_POW_I8, 0x3f);
  const std::vector<share> shares = run_all(on, j, {.first_nonce = 0, .nonce_count = 4});
  if (!CHECK(!shares.empty())) return;
  const share real = shares.front();
  const auto accepted = [&](auto change_job, auto change_share) {
    job other = j;
    share claimed = real;
    change_job(other);
    change_share(claimed);
    return verifier(other, on).accepts(claimed);
  };
  const auto same_job = [](job &) {};
  const auto same_share = [](share &) {};
  CHECK(accepted(same_job, same_share));
  CHECK(!accepted(same_job, [](share &s) { s.ticket[31] ^= 1; }));
  CHECK(!accepted(same_job, [](share &s) { ++s.nonce; }));
  CHECK(!accepted(same_job, [](share &s) { s.bi = 3; }));
  CHECK(!accepted(same_job, [](share &s) { s.bj = 0xffffffff; }));
  CHECK(!accepted(same_job, [](share &s) { s.bi ^= 1; }));
  CHECK(!accepted([](job &c) { c.challenge[0] ^= 1; }, same_share));
  CHECK(!accepted([](job &c) { c.public_key[32] ^= 1; }, same_share));
  CHECK(!accepted([](job &c) { c.target[0] = 0xff; }, same_share));
  CHECK(!accepted([](job &c) { c.shares = 11; }, same_share));
  CHECK(!accepted([](job &c) { c.profile = GK_POW_I4; }, same_share));
  CHECK(!accepted([](job &c) { c.k = 768; }, same_share));
  CHECK(!accepted([](job &c) { c.m = 256; }, same_share));
  CHECK(!accepted([](job &c) { c.n = 320; }, same_share));
}

// More shares than the list first holds: 16 x 17 tiles that all win.
void check_many(const std::shared_ptr<device> &on) {
  job j = small_job(GK_POW_I4, 0xff);
  j.m = 1024, j.n = 1088, j.k = 256;
  const std::vector<share> shares = run_all(on, j, {.first_nonce = UINT64_MAX, .nonce_count = 1});
  std::set<std::pair<uint32_t, uint32_t>> tiles;
  for (const share &s : shares) tiles.insert({s.bi, s.bj});
  CHECK_EQ(shares.size(), size_t(16 * 17));
  CHECK_EQ(tiles.size(), shares.size());
}

void check_ranges(const std::shared_ptr<device> &on) {
  const job j = small_job(GK_POW_I8, 0x7f);
  const std::vector<share> all = run_all(on, j, {.first_nonce = 10, .nonce_count = 6});
  std::vector<share> even = run_all(on, j, {.first_nonce = 10, .nonce_count = 3, .nonce_step = 2});
  const std::vector<share> odd = run_all(on, j, {.first_nonce = 11, .nonce_count = 3, .nonce_step = 2});
  even.insert(even.end(), odd.begin(), odd.end());
  std::sort(even.begin(), even.end(), [](const share &a, const share &b) {
    return std::tie(a.nonce, a.bi, a.bj) < std::tie(b.nonce, b.bi, b.bj);
  });
  CHECK_EQ(even.size(), all.size());
  for (size_t i = 0; i < all.size() && i < even.size(); ++i) CHECK(same(all[i], even[i]));

  std::atomic<bool> cancel{false};
  run_stats stats;
  run_all(on, j,
          {.first_nonce = 0,
           .nonce_count = 1000,
           .cancel = &cancel,
           .on_part = [&](const part_result &r) { return cancel = r.nonce == 4, true; }},
          &stats);
  CHECK_EQ(stats.nonces, uint64_t(5));
  run_all(on, j, {.first_nonce = 0, .nonce_count = 1000, .on_part = [](const part_result &r) { return r.nonce < 2; }},
          &stats);
  CHECK_EQ(stats.nonces, uint64_t(3));
  CHECK_EQ(run(on, j, {}).nonces, uint64_t(0));
}

template <class F>
std::string message_of(F &&f) {
  try {
    f();
    return "no error";
  } catch (const status_error &e) {
    return e.what();
  }
}

void check_errors(const std::shared_ptr<device> &on) {
  job bad = small_job(GK_POW_I8, 1);
  bad.k = 100;
  const std::string text = "matmul_pow: k=100; expected a multiple of 256 from 256 to 65536";
  CHECK_EQ(message_of([&] { run(on, bad, {.nonce_count = 1}); }), text);
  CHECK_EQ(message_of([&] { verifier v(bad); }), text);
  const job good = small_job(GK_POW_I8, 1);
  CHECK_EQ(message_of([&] { verify_share(good, 0, 3, 0); }), "matmul_pow: tile (3, 0) lies outside 3 x 4 tiles");
  CHECK_EQ(message_of([&] { run(on, good, {.first_nonce = UINT64_MAX, .nonce_count = 2}); }),
           "matmul_pow: 2 nonces from 18446744073709551615 in steps of 1 pass 2^64");
  CHECK_EQ(message_of([&] { run(on, good, {.nonce_count = 2, .nonce_step = 0}); }),
           "matmul_pow: nonce_step=0; expected at least 1");
}

// A nonce cut into parts gives the same shares, and a run ends inside of it.
void check_parts(const std::shared_ptr<device> &on) {
  job j = small_job(GK_POW_I8, 0x3f);
  j.m = 1024, j.n = 768, j.k = 4096;  // 192 tiles of 17 M products: the first part has six at most
  std::vector<uint64_t> folds(16 * 12);
  gk_matmul_pow whole{};
  whole.struct_size = sizeof whole;
  whole.profile = j.profile, whole.m = j.m, whole.n = j.n, whole.k = j.k;
  const sha256_digest seed = nonce_seed(job_seed(j), 3);
  std::copy(seed.begin(), seed.end(), whole.nonce_seed);
  whole.folds = folds.data();
  stream s(on);
  s.run(GK_OP_MATMUL_POW, &whole);
  s.synchronize();
  std::set<std::pair<uint32_t, uint32_t>> want, got;
  for (uint32_t tile = 0; tile < folds.size(); ++tile)
    if (pow_wins(pow_ticket(seed, tile / 12, tile % 12, folds[tile]), j.target)) want.insert({tile / 12, tile % 12});
  uint64_t parts = 0, tiles = 0, ends = 0;
  const auto shares = run_all(on, j, {.first_nonce = 3, .nonce_count = 1, .on_part = [&](const part_result &r) {
                                        if (parts++ == 0) CHECK(r.tiles <= 6);
                                        tiles += r.tiles;
                                        ends += r.ends_nonce;
                                        return true;
                                      }});
  for (const share &one : shares) got.insert({one.bi, one.bj});
  CHECK(got == want);
  CHECK_EQ(got.size(), shares.size());
  CHECK_EQ(tiles, uint64_t(192));
  CHECK_EQ(ends, uint64_t(1));
  CHECK(parts > 1);
  run_stats stats;
  run_all(on, j, {.nonce_count = 1, .on_part = [](const part_result &) { return false; }}, &stats);
  CHECK_EQ(stats.nonces, uint64_t(0));
  CHECK(stats.tiles > 0 && stats.tiles <= 6);
}

// Shares by the list: on any number of threads as by the scalar verifier.
void check_lists(const std::shared_ptr<device> &on) {
  const job j = small_job(GK_POW_I4, 0x3f);
  std::vector<tile_name> tiles;
  std::vector<uint8_t> want;
  for (const share &s : run_all(on, j, {.nonce_count = 3})) {
    for (const tile_name t : {tile_name{s.nonce, s.bi, s.bj}, tile_name{s.nonce + 7, s.bi, s.bj},
                              tile_name{s.nonce, 3, s.bj}, tile_name{s.nonce, s.bi, 4}}) {
      tiles.push_back(t);
      want.push_back(t.bi < 3 && t.bj < 4 && pow_wins(verify_share(j, t.nonce, t.bi, t.bj), j.target));
    }
  }
  for (const uint32_t threads : {0u, 1u, 3u}) {
    uint64_t last = 0;
    CHECK(check_tiles(j, {.tiles = tiles, .threads = threads, .on_checked = [&](uint64_t done) { last = done; }}) ==
          want);
    CHECK_EQ(last, uint64_t(tiles.size()));
  }
  CHECK(check_tiles(j, {}).empty());
  const std::atomic<bool> cancel{true};
  CHECK_EQ(message_of([&] { check_tiles(j, {.tiles = tiles, .cancel = &cancel}); }), "cancelled");
}

// Printed, not judged: what one share costs to check at k = 4096.
void report_cost(const std::shared_ptr<device> &on) {
  job j = small_job(GK_POW_I8, 1);
  j.m = j.n = 2048, j.k = 4096;
  const auto best_ms = [&](verifier &v) {
    double best = 1e9;
    for (uint32_t i = 0; i < 10; ++i) {
      const auto start = std::chrono::steady_clock::now();
      v.ticket(i, i, 31 - i);
      best =
          std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    }
    return best;
  };
  verifier scalar(j), fast(j, on);
  const double scalar_ms = best_ms(scalar), fast_ms = best_ms(fast);
  std::printf("one share, k = 4096: %.2f ms scalar, %.3f ms on %s\n", scalar_ms, fast_ms, on->id().c_str());
}

}  // namespace

int main() {
  const auto cpu = device::open(cpu_library(), 0, {.threads = 2});
  check_shares(cpu, GK_POW_I8);
  check_shares(cpu, GK_POW_I4);
  check_forgeries(cpu);
  check_many(cpu);
  check_ranges(cpu);
  check_parts(cpu);
  check_lists(cpu);
  check_errors(cpu);
  report_cost(cpu);
  return check_summary();
}
