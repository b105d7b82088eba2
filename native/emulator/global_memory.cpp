// Device memory: the live allocations, which of their bytes were written, and who touched them in this launch.
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>

#include "machine.hpp"

namespace gonka::emulator {
namespace {

constexpr size_t k_page_cells = 2048;

struct allocation {
  uint8_t *base;
  size_t bytes;
  std::vector<uint8_t> written;                       // per byte
  std::vector<std::unique_ptr<global_cell[]>> pages;  // of k_page_cells, made when first touched
};

std::map<uintptr_t, allocation> g_registry;  // by base address
uint64_t g_allocated = 0;
uint32_t g_launch = 0;
allocation *g_last = nullptr;  // the one of the previous access; reset by allocate and release

allocation *find(const void *address, size_t bytes) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(address);
  if (g_last != nullptr) {
    const uintptr_t base = reinterpret_cast<uintptr_t>(g_last->base);
    if (at >= base && at - base <= g_last->bytes && bytes <= g_last->bytes - (at - base)) return g_last;
  }
  auto next = g_registry.upper_bound(at);
  if (next == g_registry.begin()) return nullptr;
  allocation &a = std::prev(next)->second;
  const uintptr_t offset = at - reinterpret_cast<uintptr_t>(a.base);
  if (offset > a.bytes || bytes > a.bytes - offset) return nullptr;
  g_last = &a;
  return &a;
}

[[noreturn]] void outside(const char *what, const void *address, size_t bytes, site at) {
  const uintptr_t where = reinterpret_cast<uintptr_t>(address);
  auto next = g_registry.upper_bound(where);
  if (next != g_registry.begin()) {
    const allocation &a = std::prev(next)->second;
    stop(fault::out_of_bounds, at, "%s of %zu bytes at offset %zu of a buffer of %zu", what, bytes,
         size_t(where - reinterpret_cast<uintptr_t>(a.base)), a.bytes);
  }
  stop(fault::out_of_bounds, at, "%s of %zu bytes at address 0x%zx, outside every buffer", what, bytes, size_t(where));
}

global_cell &cell_at(allocation &a, size_t index) {
  const size_t page = index / k_page_cells;
  if (a.pages.empty()) a.pages.resize((a.bytes / 2 + k_page_cells) / k_page_cells);
  if (!a.pages[page]) a.pages[page].reset(new global_cell[k_page_cells]);
  global_cell &cell = a.pages[page][index % k_page_cells];
  if (cell.launch != g_launch) {
    cell = global_cell{};
    cell.launch = g_launch;
  }
  return cell;
}

bool knows_cluster(uint32_t cluster) {
  const machine &m = *g_machine;
  if (cluster == m.cluster_index) return true;
  for (uint32_t known : m.known_clusters)
    if (known == cluster) return true;
  return false;
}

// Is the earlier access by (cluster, id, clock) ordered before what t does now?
bool ordered(const thread &t, uint32_t cluster, uint32_t id, uint32_t clock) {
  if (cluster != g_machine->cluster_index) return knows_cluster(cluster);
  return knows(t, id, clock);
}

uint8_t halves(size_t cell, size_t offset, size_t end) {
  const size_t first = cell * 2;
  return uint8_t((offset <= first && first < end ? 1 : 0) | (offset <= first + 1 && first + 1 < end ? 2 : 0));
}

allocation &checked(const char *what, const void *address, size_t bytes, size_t alignment, site at) {
  if (reinterpret_cast<uintptr_t>(address) % alignment != 0)
    stop(fault::misaligned, at, "global %s of %zu bytes at an address that is %zu modulo %zu", what, bytes,
         size_t(reinterpret_cast<uintptr_t>(address) % alignment), alignment);
  allocation *a = find(address, bytes);
  if (a == nullptr) outside(what, address, bytes, at);
  return *a;
}

}  // namespace

void *allocate(size_t bytes) {
  const std::lock_guard guard(g_turn);
  void *base = std::aligned_alloc(256, (bytes + 511) & ~size_t(255));  // the slack keeps neighbours apart
  if (base == nullptr) throw std::bad_alloc();
  std::memset(base, 0xb7, (bytes + 511) & ~size_t(255));
  g_registry.emplace(reinterpret_cast<uintptr_t>(base),
                     allocation{static_cast<uint8_t *>(base), bytes, std::vector<uint8_t>(bytes), {}});
  g_allocated += bytes;
  g_last = nullptr;
  return base;
}

void release(void *memory) {
  if (memory == nullptr) return;
  const std::lock_guard guard(g_turn);
  const auto it = g_registry.find(reinterpret_cast<uintptr_t>(memory));
  if (it == g_registry.end()) return;
  g_allocated -= it->second.bytes;
  g_registry.erase(it);
  g_last = nullptr;
  std::free(memory);
}

bool write(void *to, const void *from, size_t bytes) {
  const std::lock_guard guard(g_turn);
  allocation *a = find(to, bytes);
  if (a == nullptr) return false;
  std::memcpy(to, from, bytes);
  std::memset(a->written.data() + (static_cast<uint8_t *>(to) - a->base), 1, bytes);
  return true;
}

bool read(void *to, const void *from, size_t bytes) {
  const std::lock_guard guard(g_turn);
  if (find(from, bytes) == nullptr) return false;
  std::memcpy(to, from, bytes);
  return true;
}

bool fill(void *to, uint8_t value, size_t bytes) {
  const std::lock_guard guard(g_turn);
  allocation *a = find(to, bytes);
  if (a == nullptr) return false;
  std::memset(to, value, bytes);
  std::memset(a->written.data() + (static_cast<uint8_t *>(to) - a->base), 1, bytes);
  return true;
}

uint64_t allocated_bytes() {
  const std::lock_guard guard(g_turn);
  return g_allocated;
}

void begin_launch_epoch() {
  ++g_launch;
}

void check_global_read(const void *address, size_t bytes, size_t alignment, touch how, site at) {
  allocation &a = checked("read", address, bytes, alignment, at);
  const size_t offset = size_t(static_cast<const uint8_t *>(address) - a.base);
  for (size_t i = 0; i < bytes; ++i)
    if (!a.written[offset + i])
      stop(fault::uninitialized, at, "read of global byte %zu of a buffer of %zu, which nobody wrote", offset + i,
           a.bytes);
  thread &t = self();
  for (size_t i = offset / 2; i * 2 < offset + bytes; ++i) {
    global_cell &cell = cell_at(a, i);
    const uint8_t half = halves(i, offset, offset + bytes);
    if (cell.writer != k_nobody && (cell.write_half & half) != 0 && !(cell.atomic && how == touch::atomic) &&
        !ordered(t, cell.write_cluster, cell.writer, cell.write_clock))
      stop(fault::data_race, at, "read of global byte %zu is not ordered after the write at line %d by %s", i * 2,
           cell.write_line,
           cell.write_cluster == g_machine->cluster_index ? "another thread of the block" : "another block");
    if (cell.reader != k_nobody && cell.read_cluster != g_machine->cluster_index) cell.many_clusters_read = 1;
    cell.reader = uint16_t(t.id);
    cell.read_cluster = g_machine->cluster_index;
    cell.read_clock = t.clock;
    cell.read_half |= half;
  }
}

void check_global_write(const void *address, size_t bytes, size_t alignment, touch how, site at) {
  allocation &a = checked("write", address, bytes, alignment, at);
  const size_t offset = size_t(static_cast<const uint8_t *>(address) - a.base);
  thread &t = self();
  for (size_t i = offset / 2; i * 2 < offset + bytes; ++i) {
    global_cell &cell = cell_at(a, i);
    const uint8_t half = halves(i, offset, offset + bytes);
    const bool both_atomic = cell.atomic && how == touch::atomic;
    if (cell.writer != k_nobody && (cell.write_half & half) != 0 && !both_atomic &&
        !ordered(t, cell.write_cluster, cell.writer, cell.write_clock))
      stop(fault::data_race, at, "write to global byte %zu is not ordered after the write at line %d by %s", i * 2,
           cell.write_line,
           cell.write_cluster == g_machine->cluster_index ? "another thread of the block" : "another block");
    if (cell.reader != k_nobody && (cell.read_half & half) != 0 && !both_atomic &&
        (cell.many_clusters_read || !ordered(t, cell.read_cluster, cell.reader, cell.read_clock)))
      stop(fault::data_race, at, "write to global byte %zu is not ordered after a read by %s", i * 2,
           cell.read_cluster == g_machine->cluster_index && !cell.many_clusters_read ? "another thread of the block"
                                                                                     : "another block");
    cell.writer = uint16_t(t.id);
    cell.write_cluster = g_machine->cluster_index;
    cell.write_clock = t.clock;
    cell.write_half = half;
    cell.write_line = at.line;
    cell.atomic = how == touch::atomic;
    if (half == 3) {
      cell.reader = k_nobody;
      cell.read_half = 0;
      cell.many_clusters_read = 0;
    }
  }
  std::memset(a.written.data() + offset, 1, bytes);
}

}  // namespace gonka::emulator
