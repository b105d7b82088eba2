// PoC v1's weights: one pool of normals per block hash, from which every parameter is cut.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace gonka::poc_v1 {

inline constexpr double k_pool_fraction = 0.05;  // of all weights
inline constexpr double k_pool_sigma = 0.02;
inline constexpr uint64_t k_min_pool = 50000;

// Elements of the pool: max(50000, trunc(total_params * fraction)).
uint64_t pool_size(uint64_t total_params, double fraction = k_pool_fraction);

struct pool_options {
  uint32_t threads = 1;
  uint32_t chunk_draws = 1 << 16;  // draws one thread parses at a time; the result does not depend on it
  // Called in order, by one thread at a time, with the number of values finished so far. Returning false cancels.
  std::function<bool(uint64_t done)> progress;
};

// Fills pool with sigma * normal, F64 -> F32 -> F16, of the generator seeded by the block hash. Every thread parses
// chunks of the stream speculatively as if a normal began at the chunk's first draw; whoever joins a chunk to its
// predecessor parses the few draws until both readings agree. Bit-exact for any options. False if cancelled: the
// contents are then undefined. Throws std::bad_alloc or std::system_error when memory or threads run out.
bool fill_weight_pool(std::string_view block_hash, std::span<uint16_t> pool, const pool_options &options = {});

// Where a parameter lies: value[i] = pool[((i + offset) mod period) mod pool size]. For a slice (count <= pool size)
// that is pool[offset + i]; otherwise the pool is tiled to `count` elements and rotated left by offset.
struct placement {
  uint64_t offset = 0;
  uint64_t count = 0;
  bool tiled = false;
};

// offset follows from the first four bytes of SHA-256("{block_hash}_{name}"). pool_size, count > 0.
placement place_parameter(std::string_view block_hash, std::string_view name, uint64_t count, uint64_t pool_size);

// Copies elements [begin, begin + out.size()) of a parameter.
void copy_parameter(std::span<const uint16_t> pool, const placement &where, uint64_t begin, std::span<uint16_t> out);

}  // namespace gonka::poc_v1
