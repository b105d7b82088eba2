// Loads, stores, atomics, addresses.
#include <cstring>

#include "ptx/address.hpp"
#include "ptx/machine_instructions.hpp"

namespace gonka::emulator::translated {
namespace {

uint8_t *shared_access(uint32_t address, uint32_t bytes, bool writes, touch how, int line) {
  thread &t = self();
  const uint32_t offset = own_offset(address, "an access", line);
  if (offset % bytes != 0) stop(fault::misaligned, here(line), "shared access of %u bytes at offset %u", bytes, offset);
  if (uint64_t(offset) + bytes > t.block->shadow.size())
    stop(fault::out_of_bounds, here(line), "shared access of %u bytes at offset %u of %zu", bytes, offset,
         t.block->shadow.size());
  if (writes)
    t.block->shadow.write(t, offset, bytes, how, here(line));
  else
    t.block->shadow.read(t, offset, bytes, how, here(line));
  return t.block->shared + offset;
}

template <class T>
T load_global(uint64_t address, int line) {
  T value;
  ld_global(&value, sizeof value, address, line);
  return value;
}

uint64_t combine(atomic op, uint32_t width, uint64_t old, uint64_t b, uint64_t c) {
  const auto sign = [width](uint64_t x) { return width == 4 ? int64_t(int32_t(x)) : int64_t(x); };
  switch (op) {
    case atomic::add:
      return old + b;
    case atomic::min_u:
      return old < b ? old : b;
    case atomic::max_u:
      return old > b ? old : b;
    case atomic::min_s:
      return sign(old) < sign(b) ? old : b;
    case atomic::max_s:
      return sign(old) > sign(b) ? old : b;
    case atomic::exch:
      return b;
    case atomic::cas:
      return old == b ? c : old;
    case atomic::and_:
      return old & b;
    case atomic::or_:
      return old | b;
    case atomic::xor_:
      return old ^ b;
  }
  return old;
}

uint64_t update(uint8_t *word, atomic op, uint32_t width, uint64_t b, uint64_t c) {
  uint64_t old = 0;
  std::memcpy(&old, word, width);
  const uint64_t next = combine(op, width, old, b, c);
  std::memcpy(word, &next, width);
  ++g_machine->count->atomics;
  return old;
}

}  // namespace

uint8_t ld_global_1(uint64_t address, int line) {
  return load_global<uint8_t>(address, line);
}
uint16_t ld_global_2(uint64_t address, int line) {
  return load_global<uint16_t>(address, line);
}
uint32_t ld_global_4(uint64_t address, int line) {
  return load_global<uint32_t>(address, line);
}
uint64_t ld_global_8(uint64_t address, int line) {
  return load_global<uint64_t>(address, line);
}
void ld_global(void *to, uint32_t bytes, uint64_t address, int line) {
  const void *from = reinterpret_cast<const void *>(address);
  check_global_read(from, bytes, bytes, touch::plain, here(line));
  std::memcpy(to, from, bytes);
}
void st_global(const void *from, uint32_t bytes, uint64_t address, int line) {
  void *to = reinterpret_cast<void *>(address);
  check_global_write(to, bytes, bytes, touch::plain, here(line));
  std::memcpy(to, from, bytes);
}
void st_global_1(uint64_t address, uint8_t value, int line) {
  st_global(&value, sizeof value, address, line);
}
void st_global_2(uint64_t address, uint16_t value, int line) {
  st_global(&value, sizeof value, address, line);
}
void st_global_4(uint64_t address, uint32_t value, int line) {
  st_global(&value, sizeof value, address, line);
}
void st_global_8(uint64_t address, uint64_t value, int line) {
  st_global(&value, sizeof value, address, line);
}
void ld_shared(void *to, uint32_t bytes, uint32_t address, int line) {
  std::memcpy(to, shared_access(address, bytes, false, touch::plain, line), bytes);
}
void st_shared(const void *from, uint32_t bytes, uint32_t address, int line) {
  std::memcpy(shared_access(address, bytes, true, touch::plain, line), from, bytes);
}
void ld_generic(void *to, uint32_t bytes, uint64_t address, int line) {
  if (address & k_generic_shared)
    ld_shared(to, bytes, uint32_t(address), line);
  else
    ld_global(to, bytes, address, line);
}
void st_generic(const void *from, uint32_t bytes, uint64_t address, int line) {
  if (address & k_generic_shared)
    st_shared(from, bytes, uint32_t(address), line);
  else
    st_global(from, bytes, address, line);
}

namespace {
void check_inside(uint32_t bytes, uint64_t address, const void *base, size_t size, int line) {
  const uint64_t offset = address - reinterpret_cast<uint64_t>(base);
  if (offset > size || bytes > size - offset)
    stop(fault::out_of_bounds, here(line),
         "access of %u bytes at offset %lld of %zu bytes of local or parameter memory", bytes,
         static_cast<long long>(offset), size);
  if (offset % bytes != 0)
    stop(fault::misaligned, here(line), "access of %u bytes at offset %llu of local or parameter memory", bytes,
         static_cast<unsigned long long>(offset));
}
}  // namespace

void ld_inside(void *to, uint32_t bytes, uint64_t address, const void *base, size_t size, int line) {
  check_inside(bytes, address, base, size, line);
  std::memcpy(to, reinterpret_cast<const void *>(address), bytes);
}
void st_inside(const void *from, uint32_t bytes, uint64_t address, void *base, size_t size, int line) {
  check_inside(bytes, address, base, size, line);
  std::memcpy(reinterpret_cast<void *>(address), from, bytes);
}
uint64_t shared_to_generic(uint64_t address) {
  return address | k_generic_shared;
}
uint64_t generic_to_shared(uint64_t address, int line) {
  if ((address & k_generic_shared) == 0)
    stop(fault::bad_operand, here(line), "cvta.to.shared of 0x%llx, which is not an address of shared memory",
         static_cast<unsigned long long>(address));
  return address & ~k_generic_shared;
}
uint32_t mapa(uint32_t address, uint32_t rank, int line) {
  if (rank >= g_machine->blocks.size())
    stop(fault::bad_operand, here(line), "mapa: block %u of a cluster of %zu", rank, g_machine->blocks.size());
  return (address & k_offset_mask) | (rank + 1) << k_rank_shift;
}
uint64_t module_variable(const void *bytes, size_t size) {
  void *memory = allocate(size);
  write(memory, bytes, size);
  return reinterpret_cast<uint64_t>(memory);
}

uint64_t atom_global(atomic op, uint32_t width, uint64_t address, uint64_t b, uint64_t c, bool synchronizes, int line) {
  uint8_t *word = reinterpret_cast<uint8_t *>(address);
  check_global_read(word, width, width, touch::atomic, here(line));
  check_global_write(word, width, width, touch::atomic, here(line));
  const uint64_t old = update(word, op, width, b, c);
  if (synchronizes) synchronize_through(word);
  return old;
}
uint64_t atom_shared(atomic op, uint32_t width, uint32_t address, uint64_t b, uint64_t c, int line) {
  shared_access(address, width, false, touch::atomic, line);
  return update(shared_access(address, width, true, touch::atomic, line), op, width, b, c);
}

}  // namespace gonka::emulator::translated
