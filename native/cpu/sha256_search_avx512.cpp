// Sixteen nonces at a time. Rotations bound it: 12 of a round's 28 operations, one 512-bit rotation a cycle on Zen 4.
#include "sha256_lanes512.hpp"

namespace gonka::cpu {

uint32_t sha256_scan_avx512(const sha256_job &job, uint32_t first, uint32_t count, uint32_t *candidates) {
  return scan_lanes<lanes512>(job, first, count, candidates);
}

}  // namespace gonka::cpu
