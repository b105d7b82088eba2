// cp.async (Ampere): per-thread groups of copies from global to shared memory, delivered at the wait.
#include <cstring>

#include "barrier.hpp"

namespace gonka::emulator {

void copy_async(uint32_t destination, const void *source, uint32_t bytes, uint32_t source_bytes, site at) {
  thread &t = self();
  if (source_bytes > bytes) stop(fault::bad_operand, at, "cp.async: source size %u exceeds %u", source_bytes, bytes);
  if (destination % bytes != 0)
    stop(fault::misaligned, at, "cp.async of %u bytes to shared offset %u", bytes, destination);
  if (size_t(destination) + bytes > t.block->shadow.size())
    stop(fault::out_of_bounds, at, "cp.async of %u bytes to shared offset %u of %zu", bytes, destination,
         t.block->shadow.size());
  // The address must be aligned to the full size even where fewer bytes are read; unused addresses are not checked.
  if (source_bytes != 0) check_global_read(source, source_bytes, bytes, touch::plain, at);
  t.block->shadow.write(t, destination, bytes, touch::async_issue, at);
  t.uncommitted.push_back({t.block->rank, destination, static_cast<const uint8_t *>(source), bytes, source_bytes, at});
  g_machine->count->cp_async_bytes += bytes;
}

void copy_async_commit() {
  thread &t = self();
  t.groups.push_back(std::move(t.uncommitted));
  t.uncommitted.clear();
}

void copy_async_wait(uint32_t groups_left, site) {
  thread &t = self();
  if (t.groups.size() <= groups_left) return;
  const size_t done = t.groups.size() - groups_left;
  for (size_t g = 0; g < done; ++g)
    for (const async_copy &copy : t.groups[g]) {
      uint8_t *to = t.block->shared + copy.destination;
      std::memcpy(to, copy.source, copy.source_bytes);
      std::memset(to + copy.source_bytes, 0, copy.bytes - copy.source_bytes);
      t.block->shadow.deliver(t.id, t.clock, copy.destination, copy.bytes);
    }
  t.groups.erase(t.groups.begin(), t.groups.begin() + std::ptrdiff_t(done));
}

}  // namespace gonka::emulator
