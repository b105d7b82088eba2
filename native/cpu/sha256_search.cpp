#include "sha256_search.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "sha256_search/sha256_search.hpp"

namespace gonka::cpu {
namespace {

uint32_t load_be32(const uint8_t *p) {
  return uint32_t(p[0]) << 24 | uint32_t(p[1]) << 16 | uint32_t(p[2]) << 8 | p[3];
}

uint32_t sigma0(uint32_t x) {
  return std::rotr(x, 7) ^ std::rotr(x, 18) ^ (x >> 3);
}

uint32_t sigma1(uint32_t x) {
  return std::rotr(x, 17) ^ std::rotr(x, 19) ^ (x >> 10);
}

void one_round(uint32_t s[8], uint32_t kw) {
  const uint32_t big1 = std::rotr(s[4], 6) ^ std::rotr(s[4], 11) ^ std::rotr(s[4], 25);
  const uint32_t t1 = s[7] + big1 + ((s[4] & s[5]) ^ (~s[4] & s[6])) + kw;
  const uint32_t big0 = std::rotr(s[0], 2) ^ std::rotr(s[0], 13) ^ std::rotr(s[0], 22);
  const uint32_t t2 = big0 + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
  std::memmove(s + 1, s, 7 * sizeof *s);
  s[0] = t1 + t2;
  s[4] += t1;
}

sha256_job prepare(const gk_sha256_search &search) {
  sha256_job job;
  sha256_words state = k_sha256_initial;
  sha256_compress(state, search.header);
  std::copy(state.begin(), state.end(), job.midstate);
  std::copy(state.begin(), state.end(), job.before);
  for (int t = 0; t < 3; ++t) {
    job.tail[t] = load_be32(search.header + 64 + 4 * t);
    one_round(job.before, k_sha256_round[t] + job.tail[t]);
  }
  uint32_t after[8];
  std::copy_n(job.before, 8, after);
  one_round(after, k_sha256_round[3]);
  job.a4 = after[0];
  job.e4 = after[4];
  // Word 4 is the end mark 0x80000000, words 5..14 are 0, word 15 is the length, 640 bits.
  job.w16 = sigma0(job.tail[1]) + job.tail[0];
  job.w17 = sigma1(640) + sigma0(job.tail[2]) + job.tail[1];
  job.w18 = sigma1(job.w16) + job.tail[2];
  job.w19 = sigma1(job.w17) + sigma0(0x80000000);
  job.target_top = load_be32(search.target);
  return job;
}

}  // namespace

void sha256_search_with(sha256_scan scan, gk_sha256_search &search, context &ctx) {
  // A chunk lasts a few milliseconds, so that its bookkeeping does not count and threads finish together.
  constexpr uint32_t k_chunk = 1 << 17;
  const sha256_job job = prepare(search);
  const uint64_t end = search.nonce_begin + search.nonce_count;
  // Waves of chunks bound what has to be remembered before it is put in order.
  struct chunk {
    std::vector<uint32_t> winners = std::vector<uint32_t>(k_chunk);
    uint32_t count = 0;
  };
  std::vector<chunk> wave(std::min<uint64_t>(uint64_t(ctx.pool.size()) * 4, search.nonce_count / k_chunk + 1));
  uint64_t found = 0;
  for (uint64_t at = search.nonce_begin; at < end;) {
    const uint32_t chunks = uint32_t(std::min<uint64_t>(wave.size(), (end - at + k_chunk - 1) / k_chunk));
    ctx.pool.parallel_for(chunks, [&](uint32_t task, uint32_t) {
      const uint64_t first = at + uint64_t(task) * k_chunk;
      chunk &mine = wave[task];
      const uint32_t candidates =
          scan(job, uint32_t(first), uint32_t(std::min<uint64_t>(k_chunk, end - first)), mine.winners.data());
      mine.count = 0;
      for (uint32_t i = 0; i < candidates; ++i) {
        const uint32_t nonce = mine.winners[i];
        if (sha256_search_wins(sha256_search_digest(search.header, nonce), search.target))
          mine.winners[mine.count++] = nonce;
      }
    });
    for (uint32_t task = 0; task < chunks; ++task)
      for (uint32_t i = 0; i < wave[task].count; ++i, ++found) {
        if (found >= search.hits_capacity) continue;
        const uint32_t nonce = wave[task].winners[i];
        const sha256_digest digest = sha256_search_digest(search.header, nonce);
        search.hits[found].nonce = nonce;
        std::memcpy(search.hits[found].digest, digest.data(), 32);
      }
    at += uint64_t(chunks) * k_chunk;
  }
  search.hits_found = uint32_t(std::min<uint64_t>(found, UINT32_MAX));
}

}  // namespace gonka::cpu
