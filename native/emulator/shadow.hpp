// Shadow of a memory: who last wrote and read each pair of bytes, and whether the bytes were written at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "emulator.hpp"

namespace gonka::emulator {

struct thread;

enum class touch : uint8_t {
  plain,        // ld, st
  atomic,       // atom, red: races with plain accesses only
  async_issue,  // a copy that will write later: the bytes become in flight
  async_proxy,  // read by the async proxy (wgmma, bulk stores): generic writes need a proxy fence in between
};

constexpr uint16_t k_nobody = 0xffff;

struct reader_entry {
  uint16_t id;
  uint32_t clock;
};

// Two bytes. Accesses of one byte use a half each, so that neighbours do not race.
struct shadow_cell {
  uint32_t write_clock = 0, read_clock = 0;
  uint16_t writer = k_nobody, reader = k_nobody;
  uint8_t written = 0;  // bit per byte
  uint8_t write_half = 0, read_half = 0;
  uint8_t in_flight : 1 = 0, atomic : 1 = 0, by_agent : 1 = 0;
  uint32_t more = 0;  // index + 1 of further readers
  int32_t write_line = 0;
};

class shadow_memory {
 public:
  void reset(size_t bytes);
  size_t size() const { return bytes_; }

  // Each checks [offset, offset + bytes) for the running thread, which must lie inside, and records the access.
  void read(thread &t, size_t offset, size_t bytes, touch how, site at);
  void write(thread &t, size_t offset, size_t bytes, touch how, site at);
  // The async proxy reads at some time after the running thread's instruction: in the name of `agent` at its `clock`.
  void read_later(thread &t, uint32_t agent, uint32_t clock, size_t offset, size_t bytes, site at);
  // The bytes of an async copy arrive: written by `agent` at `clock`.
  void deliver(uint32_t agent, uint32_t clock, size_t offset, size_t bytes);

 private:
  void read_as(thread &t, uint32_t id, uint32_t clock, size_t offset, size_t bytes, touch how, site at);

  std::vector<shadow_cell> cells_;
  std::vector<std::vector<reader_entry>> readers_;
  size_t bytes_ = 0;
};

// The same for device memory: per allocation, by launch, cluster and thread.
struct global_cell {
  uint32_t launch = 0;
  uint32_t write_cluster = 0, read_cluster = 0;
  uint32_t write_clock = 0, read_clock = 0;
  uint16_t writer = k_nobody, reader = k_nobody;
  uint8_t write_half = 0, read_half = 0;
  uint8_t atomic = 0, many_clusters_read = 0;
  int32_t write_line = 0;
};

// Checks of one access by the running thread: inside a live allocation, aligned to `alignment`, written, no race.
void check_global_read(const void *address, size_t bytes, size_t alignment, touch how, site at);
void check_global_write(const void *address, size_t bytes, size_t alignment, touch how, site at);
void begin_launch_epoch();

}  // namespace gonka::emulator
