// What all CPU searches share: the job prepared once per problem, the split into chunks, and the final check of the
// candidates that an implementation proposes.
#pragma once

#include <cstdint>

#include "implementation.hpp"

namespace gonka::cpu {

// A double SHA-256 of 80 bytes is three compressions: the first block never changes; of the second only word 3 does.
struct sha256_job {
  uint32_t midstate[8];  // after the first block
  uint32_t tail[3];      // words 0..2 of the second block
  uint32_t before[8];    // state before round 3 of the second block: rounds 0..2 do not see the nonce
  uint32_t a4, e4;       // a and e after round 3, less the nonce word
  uint32_t w16, w17;     // schedule words that do not depend on the nonce
  uint32_t w18, w19;     // the constant parts of the next two: + sigma0(nonce word), + nonce word
  uint32_t target_top;  // most significant word of the target: a candidate's last digest word, swapped, is at most this
};

// Appends the nonces of [first, first + count) whose digests may win to candidates (room for count); returns how many.
// Must name every winner; may name others.
using sha256_scan = uint32_t (*)(const sha256_job &job, uint32_t first, uint32_t count, uint32_t *candidates);

// Runs the search with `scan` over the pool: hits come out in increasing order whatever the number of threads.
void sha256_search_with(sha256_scan scan, gk_sha256_search &search, context &ctx);

uint32_t sha256_scan_sha(const sha256_job &job, uint32_t first, uint32_t count, uint32_t *candidates);
uint32_t sha256_scan_avx2(const sha256_job &job, uint32_t first, uint32_t count, uint32_t *candidates);
uint32_t sha256_scan_avx512(const sha256_job &job, uint32_t first, uint32_t count, uint32_t *candidates);

}  // namespace gonka::cpu
