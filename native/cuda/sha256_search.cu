// sha256_search: one nonce per thread and step. The first block of the header is hashed once, on the host. Bound by
// integer operations: about 2 x 64 rounds of 20 per nonce.
#include <algorithm>
#include <cstring>
#include <vector>

#include "device/dispatch.hpp"
#include "device/sha256.cuh"
#include "implementation.hpp"
#include "sha256_search/sha256_search.hpp"

namespace gonka::cuda {
namespace {

constexpr uint32_t k_threads = 256;
constexpr uint32_t k_list_capacity = 1 << 16;
constexpr uint64_t k_most_at_once = uint64_t(1) << 30;  // nonces of a launch: about a second, so that cancelling works

struct found_nonce {
  uint32_t nonce;
  uint32_t digest[8];  // words as SHA-256 makes them
};

struct search_args {
  uint32_t midstate[8], tail[3];  // state after 64 bytes of header; words of bytes 64..75
  uint32_t target[8];             // most significant word first
  uint64_t begin, count;
  gptr<uint32_t> found;  // how many; may exceed the capacity
  gptr<found_nonce> list;
};

GK_KERNEL(k_threads, 1)
search_kernel(search_args a) {
  const uint64_t step = uint64_t(grid_dim().x) * k_threads;
  for (uint64_t i = uint64_t(block_idx().x) * k_threads + thread_idx().x; i < a.count; i += step) {
    const uint32_t nonce = uint32_t(a.begin + i);
    sha256_state s;
    GK_UNROLL
    for (int j = 0; j < 8; ++j) s.h[j] = a.midstate[j];
    uint32_t w[16] = {a.tail[0], a.tail[1], a.tail[2], swap_bytes(nonce), 0x80000000, 0, 0, 0, 0, 0, 0, 0, 0,
                      0,         0,         640};
    sha256_compress(s, w);
    uint32_t v[16] = {s.h[0],     s.h[1], s.h[2], s.h[3], s.h[4], s.h[5], s.h[6], s.h[7],
                      0x80000000, 0,      0,      0,      0,      0,      0,      256};
    s = sha256_start();
    sha256_compress(s, v);
    // The digest as a little-endian number: its most significant word is the last, bytes reversed.
    bool wins = true;
    GK_UNROLL
    for (int j = 7; j >= 0; --j) {
      const uint32_t word = swap_bytes(s.h[j]), limit = a.target[7 - j];
      if (word == limit) continue;
      wins = word < limit;
      break;
    }
    if (!wins) continue;
    const uint32_t slot = atom_add_global(a.found, 1);
    if (slot >= k_list_capacity) continue;
    const gptr<uint32_t> to = ptr_cast<uint32_t>(a.list + slot);
    st_global(to, nonce);
    GK_UNROLL
    for (int j = 0; j < 8; ++j) st_global(to + (1 + j), s.h[j]);
  }
}

uint32_t big_endian(const uint8_t *p) {
  return uint32_t(p[0]) << 24 | uint32_t(p[1]) << 16 | uint32_t(p[2]) << 8 | p[3];
}

void run(void *problem, places, context &ctx) {
  auto &p = *static_cast<gk_sha256_search *>(problem);
  p.hits_found = 0;
  search_args a{};
  sha256_words midstate = k_sha256_initial;
  gonka::sha256_compress(midstate, p.header);
  std::copy(midstate.begin(), midstate.end(), a.midstate);
  for (int i = 0; i < 3; ++i) a.tail[i] = big_endian(p.header + 64 + 4 * i);
  for (int i = 0; i < 8; ++i) a.target[i] = big_endian(p.target + 4 * i);
  void *const found = ctx.scratch(0, 4), *const list = ctx.scratch(1, k_list_capacity * sizeof(found_nonce));
  a.found = runtime::address<uint32_t>(found);
  a.list = runtime::address<found_nonce>(list);
  std::vector<found_nonce> hits;
  uint64_t at_once = k_most_at_once;
  for (uint64_t done = 0; done < p.nonce_count;) {
    a.begin = p.nonce_begin + done;
    a.count = std::min(at_once, p.nonce_count - done);
    runtime::fill(ctx.stream(), found, 0, 4);
    const uint64_t blocks = (a.count + k_threads - 1) / k_threads, most = uint64_t(ctx.can().multiprocessors) * 8;
    runtime::launch(ctx.stream(), &search_kernel, {.grid_x = uint32_t(std::min(blocks, most)), .threads = k_threads},
                    a);
    uint32_t count = 0;
    runtime::copy_to_host(ctx.stream(), &count, found, 4);
    // More hits than the list holds would lose the smallest nonces: search a smaller range, at worst one that cannot
    // overflow. Unless the caller's list is full and only the number matters.
    if (count > k_list_capacity && p.hits_found < p.hits_capacity) {
      at_once = std::max<uint64_t>(k_list_capacity, a.count / (2 * (uint64_t(count) / k_list_capacity + 1)));
      continue;
    }
    if (count != 0 && p.hits_found < p.hits_capacity) {
      hits.resize(count);
      runtime::copy_to_host(ctx.stream(), hits.data(), list, count * sizeof(found_nonce));
      std::sort(hits.begin(), hits.end(), [](const found_nonce &x, const found_nonce &y) { return x.nonce < y.nonce; });
      for (size_t i = 0; i < hits.size() && p.hits_found + i < p.hits_capacity; ++i) {
        gk_sha256_hit &hit = p.hits[p.hits_found + i];
        hit.nonce = hits[i].nonce;
        for (int j = 0; j < 32; ++j) hit.digest[j] = uint8_t(hits[i].digest[j / 4] >> (24 - j % 4 * 8));
      }
    }
    p.hits_found += count;
    done += a.count;
  }
}

constexpr implementation k_list[] = {
    {"generic", [](const void *, const capability &) -> const char * { return nullptr; }, nullptr, run}};

}  // namespace

std::span<const implementation> sha256_search_list() noexcept {
  return k_list;
}

}  // namespace gonka::cuda
