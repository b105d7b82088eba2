// matmul-pow version 1 beyond a single nonce: seeds of a job, a run over nonces on a device, and the check of one
// share.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

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

// One finished nonce.
struct nonce_result {
  uint64_t nonce;
  std::span<const share> shares;  // ordered by (bi, bj); valid during the call
  double seconds;
};

struct run_request {
  uint64_t first_nonce = 0, nonce_count = 0;
  uint64_t nonce_step = 1;  // several devices share a range by starting apart and stepping over each other's nonces
  const std::atomic<bool> *cancel = nullptr;                      // looked at before every nonce
  std::function<bool(const nonce_result &result)> on_nonce = {};  // on the calling thread; false stops the run
};

struct run_stats {
  uint64_t nonces = 0;  // finished
  uint64_t shares = 0;
  double seconds = 0;
};

// Runs nonces first, first + step, .. one after the other; all shares of a nonce are reported, however many there are.
// Memory beyond the device's own: one share list. Throws status_error: invalid job or nonce range, device failures.
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

}  // namespace gonka::matmul_pow
