// matmul-pow version 1 beyond a single nonce: seeds of a job, a run over nonces on a device, and the check of shares.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "device.hpp"
#include "gonka_backend.h"
#include "sha256.hpp"

namespace gonka::matmul_pow {

// What is fixed before the first nonce; all of it is bound into every ticket.
struct job {
  uint32_t profile = GK_POW_I8;      // gk_pow_profile
  uint32_t m = 0, n = 0, k = 0;      // m, n multiples of 64, k of 256, all at most 65536
  uint32_t shares = 0;               // that the proof will carry: 1 .. 2^20
  std::array<uint8_t, 32> target{};  // big-endian; a ticket wins if it is less
  std::array<uint8_t, 32> challenge{};
  std::array<uint8_t, 33> public_key{};  // compressed secp256k1
};

// Limits of the specification; GK_INVALID_ARGUMENT or GK_UNSUPPORTED (profile) with the field's name.
gk_status validate(const job &j, gk_error *err) noexcept;

sha256_digest job_seed(const job &j) noexcept;
sha256_digest nonce_seed(const sha256_digest &job_seed, uint64_t nonce) noexcept;

struct share {
  uint64_t nonce;
  uint32_t bi, bj;
  sha256_digest ticket;
};

// One finished part of a nonce, or a whole one.
struct part_result {
  uint64_t nonce;
  std::span<const share> shares;  // ordered by (bi, bj); valid during the call
  uint64_t tiles;                 // computed for it
  bool ends_nonce;                // it was the nonce's last
  double seconds;
};

struct run_request {
  uint64_t first_nonce = 0, nonce_count = 0;
  uint64_t nonce_step = 1;  // several devices share a range by starting apart and stepping over each other's nonces
  const std::atomic<bool> *cancel = nullptr;                    // looked at before every part
  std::function<bool(const part_result &result)> on_part = {};  // on the calling thread; false stops the run
};

struct run_stats {
  uint64_t nonces = 0;  // finished
  uint64_t tiles = 0;   // of them and of the one that was under way
  uint64_t shares = 0;
  double seconds = 0;
};

// Runs nonces first, first + step, .. one after the other, in parts that take about k_part_seconds each at the speed of
// the part before, so that a run stops soon whatever the size of its nonces. A backend that knows no parts (ABI 1.0)
// computes whole nonces. All shares of a part are reported, however many there are.
// Memory on the device, for a part of r x c tiles: 64 k (r + c) bytes of operands at most and about 24 r c bytes of
// folds and tickets; here 40 bytes per share of one part. Throws status_error: invalid job or nonce range, device
// failures.
inline constexpr double k_part_seconds = 0.1;
run_stats run(const std::shared_ptr<device> &device, const job &j, const run_request &request);

// Recomputes single tiles of a job. One thread at a time; make one per thread.
class verifier {
 public:
  // With a device, the product runs there as a matmul_pow of one tile; without, in plain scalar code. Throws
  // status_error if the job is invalid.
  explicit verifier(const job &j, std::shared_ptr<device> device = nullptr);
  ~verifier();
  verifier(verifier &&) noexcept;

  // Throws status_error (GK_INVALID_ARGUMENT) if the tile lies outside m x n.
  sha256_digest ticket(uint64_t nonce, uint32_t bi, uint32_t bj);

  // False for a tile outside m x n, a ticket that is not the recomputed one, and one that does not win.
  bool accepts(const share &claimed);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

// One share without set-up to keep: the ticket of tile (bi, bj) of the nonce. For many shares use a verifier.
sha256_digest verify_share(const job &j, uint64_t nonce, uint32_t bi, uint32_t bj);

struct tile_name {
  uint64_t nonce;
  uint32_t bi, bj;
};

struct check_request {
  std::span<const tile_name> tiles;
  uint32_t threads = 0;                                // 0: as many as this process may use
  const std::atomic<bool> *cancel = nullptr;           // looked at before every tile
  std::function<void(uint64_t done)> on_checked = {};  // from any of the threads, one at a time
};

// For each tile whether its ticket wins (1) or not (0; also for a tile outside m x n), computed on this machine's CPU,
// each tile on one thread. Memory per thread: 128 k bytes of operands at most four times. Throws status_error: invalid
// job, no memory, GK_CANCELLED.
std::vector<uint8_t> check_tiles(const job &j, const check_request &request);

}  // namespace gonka::matmul_pow
