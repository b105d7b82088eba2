#include "matmul_pow/round.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
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

namespace {

// Tiles of a nonce in rectangles: bands of rows from top to bottom, each cut from left to right. How large a rectangle
// may be is asked anew each time.
class part_cutter {
 public:
  part_cutter(uint32_t rows, uint32_t columns) : rows_(rows), columns_(columns) {}

  bool done() const { return row_ == rows_; }

  pow_part next(uint64_t most_tiles) {
    if (column_ == 0) {
      // About square: operands are 64 k (rows + columns) bytes to make for rows x columns tiles.
      const auto side = uint32_t(std::sqrt(double(std::max<uint64_t>(most_tiles, 1))));
      const uint64_t whole_rows = most_tiles / columns_;
      band_ = uint32_t(std::clamp<uint64_t>(std::max<uint64_t>(side, whole_rows), 1, rows_ - row_));
    }
    const pow_part part = {row_, band_, column_,
                           uint32_t(std::clamp<uint64_t>(most_tiles / band_, 1, columns_ - column_))};
    column_ += part.columns;
    if (column_ == columns_) {
      row_ += band_;
      column_ = 0;
    }
    return part;
  }

 private:
  const uint32_t rows_, columns_;
  uint32_t row_ = 0, column_ = 0, band_ = 0;
};

// How many tiles the next part may have.
class part_size {
 public:
  part_size(const job &j, bool divisible) : tiles_(divisible ? std::max(1.0, k_first_macs / (4096.0 * j.k)) : 1e18) {}

  uint64_t tiles() const { return uint64_t(tiles_); }

  // A short part says little about the rate, so sizes grow step by step.
  void learn(uint64_t tiles, double seconds) {
    if (tiles_ == 1e18) return;
    const double fits = double(tiles) * k_part_seconds / std::max(seconds, 1e-9);
    tiles_ = std::clamp(fits, 1.0, std::max(tiles_, 8 * double(tiles)));
  }

 private:
  static constexpr double k_first_macs = 1e8;  // a tenth of a second in plain scalar code
  double tiles_;
};

// One part, with room for all of its shares.
void run_part(stream &on, gk_matmul_pow &p, std::vector<gk_pow_share> &found) {
  for (;;) {
    p.shares = found.data();
    p.shares_capacity = uint32_t(found.size());
    p.shares_found = 0;
    on.run(GK_OP_MATMUL_POW, &p);
    on.synchronize();
    if (p.shares_found <= p.shares_capacity) return;
    const uint64_t tiles = uint64_t(p.m / k_pow_tile) * uint64_t(p.n / k_pow_tile);
    if (p.shares_found > tiles)
      throw status_error(GK_DEVICE_ERROR, on.owner().id() + ": matmul_pow found " + std::to_string(p.shares_found) +
                                              " shares in " + std::to_string(tiles) + " tiles");
    found.resize(p.shares_found);  // the rest was lost: again, with room for all
  }
}

bool knows_parts(const device &d) {
  return d.library().table->abi_minor >= 1;
}

void set_part(gk_matmul_pow &p, const pow_part &part) {
  p.tile_row = part.row, p.tile_rows = part.rows, p.tile_column = part.column, p.tile_columns = part.columns;
}

}  // namespace

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
  part_size size(j, knows_parts(*device));
  for (uint64_t i = 0; i < request.nonce_count; ++i) {
    const uint64_t nonce = request.first_nonce + i * request.nonce_step;
    gk_matmul_pow p = problem_of(j, j.m, j.n, nonce_seed(seed, nonce));
    for (part_cutter cutter(j.m / uint32_t(k_pow_tile), j.n / uint32_t(k_pow_tile)); !cutter.done();) {
      if (request.cancel != nullptr && request.cancel->load()) return stats;
      const pow_part part = cutter.next(size.tiles());
      const uint64_t tiles = uint64_t(part.rows) * part.columns;
      // A whole nonce is asked for as every backend understands it.
      set_part(p, tiles * 4096 == uint64_t(j.m) * j.n ? pow_part{} : part);
      const auto start = clock::now();
      run_part(on, p, found);
      shares.clear();
      for (uint32_t s = 0; s < p.shares_found; ++s) {
        share &one = shares.emplace_back();
        one.nonce = nonce;
        one.bi = found[s].bi;
        one.bj = found[s].bj;
        std::memcpy(one.ticket.data(), found[s].ticket, 32);
      }
      const double seconds = std::chrono::duration<double>(clock::now() - start).count();
      size.learn(tiles, seconds);
      stats.nonces += cutter.done();
      stats.tiles += tiles;
      stats.shares += shares.size();
      stats.seconds += seconds;
      const part_result result = {
          .nonce = nonce, .shares = shares, .tiles = tiles, .ends_nonce = cutter.done(), .seconds = seconds};
      if (request.on_part && !request.on_part(result)) return stats;
    }
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
  buffer a_device, b_device;  // empty if the device makes operands of single tiles itself

  uint64_t fold(const sha256_digest &nonce, uint32_t bi, uint32_t bj) {
    if (device && !a_device) return fold_part(nonce, bi, bj);
    constexpr uint32_t tile_rows = uint32_t(k_pow_tile);
    pow_operand_rows(pow_seed_of(nonce, 'A'), j.profile, bi * tile_rows, tile_rows, j.k, a.data());
    pow_operand_rows(pow_seed_of(nonce, 'B'), j.profile, bj * tile_rows, tile_rows, j.k, b.data());
    if (device) return fold_given(nonce);
    std::vector<int32_t> tile(size_t(k_pow_tile * k_pow_tile));
    pow_tile_product(a.data(), b.data(), j.k, tile.data());
    return pow_fold(tile.data());
  }

  uint64_t fold_part(const sha256_digest &nonce, uint32_t bi, uint32_t bj) {
    uint64_t fold = 0;
    gk_matmul_pow p = problem_of(j, j.m, j.n, nonce);
    p.folds = &fold;
    set_part(p, {bi, 1, bj, 1});
    on->run(GK_OP_MATMUL_POW, &p);
    on->synchronize();
    return fold;
  }

  uint64_t fold_given(const sha256_digest &nonce) {
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
  if (device) {
    s.device = std::move(device);
    s.on = std::make_unique<stream>(s.device);
    if (knows_parts(*s.device)) return;
  }
  s.a.resize(size_t(k_pow_tile) * j.k);
  s.b.resize(s.a.size());
  if (!s.device) return;
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
  return pow_ticket(seed, bi, bj, s.fold(seed, bi, bj));
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
