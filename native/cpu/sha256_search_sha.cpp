// Four nonces at a time through the SHA extensions.
#include "sha256_streams.hpp"

namespace gonka::cpu {

uint32_t sha256_scan_sha(const sha256_job &job, uint32_t first, uint32_t count, uint32_t *candidates) {
  const job_vectors v = vectors_of(job);
  uint32_t found = 0;
  for (uint32_t done = 0; done < count; done += k_streams) {
    streams h;
    uint32_t top[k_streams];
#pragma GCC unroll 32
    for (int step = 0; step < k_steps; ++step) hash_step(h, v, step, first + done, top);
    for (uint32_t s = 0; s < k_streams && done + s < count; ++s)
      if (__builtin_bswap32(top[s]) <= job.target_top) candidates[found++] = first + done + s;
  }
  return found;
}

}  // namespace gonka::cpu
