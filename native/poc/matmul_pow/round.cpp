#include "matmul_pow/round.hpp"

#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "matmul_pow/matmul_pow.hpp"
#include "op.hpp"

namespace gonka::matmul_pow {
namespace {

constexpr uint32_t k_max_shares = 1 << 20;

using clock = std::chrono::steady_clock;

template <class T>
void append(sha256 &hash, T value) {
  uint8_t bytes[sizeof value];
  for (size_t i = 0; i < sizeof value; ++i) bytes[i] = uint8_t(value >> (8 * i));
  hash.update(std::span<const uint8_t>(bytes));
}

gk_matmul_pow problem_of(const job &j, uint32_t m, uint32_t n, const sha256_digest &seed) {
  gk_matmul_pow p{};
  p.struct_size = sizeof p;
  p.profile = j.profile;
  p.m = m;
  p.n = n;
  p.k = j.k;
  std::memcpy(p.nonce_seed, seed.data(), 32);
  std::memcpy(p.target, j.target.data(), 32);
  return p;
}

void require_valid(const job &j) {
  gk_error err{};
  err.struct_size = sizeof err;
  if (const gk_status status = validate(j, &err); status != GK_OK) throw status_error(status, err.message);
}

}  // namespace

gk_status validate(const job &j, gk_error *err) noexcept {
  const gk_matmul_pow p = problem_of(j, j.m, j.n, {});
  if (const gk_status status = find_op(uint32_t(GK_OP_MATMUL_POW))->validate(&p, err); status != GK_OK) return status;
  if (j.shares < 1 || j.shares > k_max_shares)
    return fail(err, GK_INVALID_ARGUMENT, "matmul_pow: shares=%u; expected 1 to %u", j.shares, k_max_shares);
  return GK_OK;
}

sha256_digest job_seed(const job &j) noexcept {
  sha256 hash;
  hash.update("gonka-miner/matmul-pow/v1");
  for (const uint32_t value : {j.profile, j.m, j.n, j.k, j.shares}) append(hash, value);
  hash.update(std::span<const uint8_t>(j.target));
  hash.update(std::span<const uint8_t>(j.challenge));
  hash.update(std::span<const uint8_t>(j.public_key));
  return hash.finish();
}

sha256_digest nonce_seed(const sha256_digest &job_seed, uint64_t nonce) noexcept {
  sha256 hash;
  hash.update(std::span<const uint8_t>(job_seed));
  append(hash, nonce);
  return hash.finish();
}

run_stats run(const std::shared_ptr<device> &device, const job &j, const run_request &request) {
  require_valid(j);
  if (request.nonce_step == 0) throw status_error(GK_INVALID_ARGUMENT, "matmul_pow: nonce_step=0; expected at least 1");
  if (request.nonce_count != 0 && request.nonce_count - 1 > (UINT64_MAX - request.first_nonce) / request.nonce_step)
    throw status_error(GK_INVALID_ARGUMENT, "matmul_pow: " + std::to_string(request.nonce_count) + " nonces from " +
                                                std::to_string(request.first_nonce) + " in steps of " +
                                                std::to_string(request.nonce_step) + " pass 2^64");
  const sha256_digest seed = job_seed(j);
  stream on(device);
  std::vector<gk_pow_share> found(64);
  std::vector<share> shares;
  run_stats stats;
  for (uint64_t i = 0; i < request.nonce_count; ++i) {
    if (request.cancel != nullptr && request.cancel->load()) break;
    const uint64_t nonce = request.first_nonce + i * request.nonce_step;
    const auto start = clock::now();
    gk_matmul_pow p = problem_of(j, j.m, j.n, nonce_seed(seed, nonce));
    for (;;) {
      p.shares = found.data();
      p.shares_capacity = uint32_t(found.size());
      p.shares_found = 0;
      on.run(GK_OP_MATMUL_POW, &p);
      on.synchronize();
      if (p.shares_found <= p.shares_capacity) break;
      found.resize(p.shares_found);  // the rest was lost: again, with room for all
    }
    shares.clear();
    for (uint32_t s = 0; s < p.shares_found; ++s) {
      share &one = shares.emplace_back();
      one.nonce = nonce;
      one.bi = found[s].bi;
      one.bj = found[s].bj;
      std::memcpy(one.ticket.data(), found[s].ticket, 32);
    }
    const double seconds = std::chrono::duration<double>(clock::now() - start).count();
    ++stats.nonces;
    stats.shares += shares.size();
    stats.seconds += seconds;
    if (request.on_nonce && !request.on_nonce({.nonce = nonce, .shares = shares, .seconds = seconds})) break;
  }
  return stats;
}

struct verifier::state {
  job j;
  sha256_digest seed;
  std::vector<int8_t> a, b;
  // With a device:
  std::shared_ptr<gonka::device> device;
  std::unique_ptr<stream> on;
  buffer a_device, b_device;

  uint64_t fold(const sha256_digest &nonce) {
    if (!device) {
      std::vector<int32_t> tile(size_t(k_pow_tile * k_pow_tile));
      pow_tile_product(a.data(), b.data(), j.k, tile.data());
      return pow_fold(tile.data());
    }
    on->write(a_device, 0, a.data(), a.size());
    on->write(b_device, 0, b.data(), b.size());
    uint64_t fold = 0;
    gk_matmul_pow p = problem_of(j, uint32_t(k_pow_tile), uint32_t(k_pow_tile), nonce);
    p.folds = &fold;
    p.a_given = a_device.at();
    p.b_given = b_device.at();
    on->run(GK_OP_MATMUL_POW, &p);
    on->synchronize();
    return fold;
  }
};

verifier::verifier(const job &j, std::shared_ptr<device> device) {
  require_valid(j);
  state_ = std::make_unique<state>();
  state &s = *state_;
  s.j = j;
  s.seed = job_seed(j);
  s.a.resize(size_t(k_pow_tile) * j.k);
  s.b.resize(s.a.size());
  if (!device) return;
  s.device = std::move(device);
  s.on = std::make_unique<stream>(s.device);
  s.a_device = buffer(*s.device, s.a.size());
  s.b_device = buffer(*s.device, s.b.size());
}

verifier::~verifier() = default;
verifier::verifier(verifier &&) noexcept = default;

sha256_digest verifier::ticket(uint64_t nonce, uint32_t bi, uint32_t bj) {
  state &s = *state_;
  constexpr uint32_t tile = uint32_t(k_pow_tile);
  if (bi >= s.j.m / tile || bj >= s.j.n / tile)
    throw status_error(GK_INVALID_ARGUMENT, "matmul_pow: tile (" + std::to_string(bi) + ", " + std::to_string(bj) +
                                                ") lies outside " + std::to_string(s.j.m / tile) + " x " +
                                                std::to_string(s.j.n / tile) + " tiles");
  const sha256_digest seed = nonce_seed(s.seed, nonce);
  pow_operand_rows(pow_seed_of(seed, 'A'), s.j.profile, bi * tile, tile, s.j.k, s.a.data());
  pow_operand_rows(pow_seed_of(seed, 'B'), s.j.profile, bj * tile, tile, s.j.k, s.b.data());
  return pow_ticket(seed, bi, bj, s.fold(seed));
}

bool verifier::accepts(const share &claimed) {
  const job &j = state_->j;
  if (claimed.bi >= j.m / uint32_t(k_pow_tile) || claimed.bj >= j.n / uint32_t(k_pow_tile)) return false;
  const sha256_digest ticket = this->ticket(claimed.nonce, claimed.bi, claimed.bj);
  return ticket == claimed.ticket && pow_wins(ticket, j.target);
}

sha256_digest verify_share(const job &j, uint64_t nonce, uint32_t bi, uint32_t bj) {
  return verifier(j).ticket(nonce, bi, bj);
}

}  // namespace gonka::matmul_pow
