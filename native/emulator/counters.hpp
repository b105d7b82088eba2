// Counts memory requests per warp. Each lane logs its accesses; when the warp meets at a collective or exits, the k-th
// access of every lane at one source line is taken as one request, as converged lanes would issue it.
#pragma once

#include <cstdint>

#include "emulator.hpp"

namespace gonka::emulator {

struct warp;
struct thread;

enum class request : uint8_t { global_load, global_store, shared_load, shared_store };

struct access_record {
  uint64_t address;  // shared: offset
  site at;
  uint16_t bytes;
  request kind;
};

void log_access(thread &t, request kind, uint64_t address, uint32_t bytes, site at);
void flush_access_log(warp &w, uint32_t lanes);
// Wavefronts that 32 banks of 4 bytes need for one request of up to 32 addresses.
uint32_t shared_wavefronts(const uint64_t *addresses, uint32_t count, uint32_t bytes);

}  // namespace gonka::emulator
