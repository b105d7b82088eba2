#include "shadow.hpp"

#include <algorithm>

#include "machine.hpp"

namespace gonka::emulator {
namespace {

// Bits of the two bytes of cell `cell` that [offset, end) covers.
uint8_t halves(size_t cell, size_t offset, size_t end) {
  const size_t first = cell * 2;
  return uint8_t((offset <= first && first < end ? 1 : 0) | (offset <= first + 1 && first + 1 < end ? 2 : 0));
}

void name_agent(char (&text)[48], uint32_t id) {
  const machine &m = *g_machine;
  if (id == m.agent()) {
    std::snprintf(text, sizeof text, "a bulk copy");
  } else if (id == m.tensor_agent()) {
    std::snprintf(text, sizeof text, "a tcgen05 instruction");
  } else {
    const thread &other = m.threads[id];
    std::snprintf(text, sizeof text, "thread %u%s", id % uint32_t(m.thread_count / m.blocks.size()),
                  other.block == self().block ? "" : " of another block");
  }
}

[[noreturn]] void race(const char *mine, const char *theirs, const char *space, size_t offset, uint32_t agent,
                       int32_t line, site at) {
  char other[48];
  name_agent(other, agent);
  if (line != 0)
    stop(fault::data_race, at, "%s of %s byte %zu is not ordered after the %s by %s at line %d", mine, space, offset,
         theirs, other, line);
  stop(fault::data_race, at, "%s of %s byte %zu is not ordered after the %s by %s", mine, space, offset, theirs, other);
}

}  // namespace

void shadow_memory::reset(size_t bytes) {
  bytes_ = bytes;
  cells_.assign((bytes + 1) / 2, shadow_cell{});
  readers_.clear();
}

void shadow_memory::read(thread &t, size_t offset, size_t bytes, touch how, site at) {
  read_as(t, t.id, t.clock, offset, bytes, how, at);
}

void shadow_memory::read_later(thread &t, uint32_t agent, uint32_t clock, size_t offset, size_t bytes, site at) {
  read_as(t, agent, clock, offset, bytes, touch::async_proxy, at);
}

void shadow_memory::read_as(thread &t, uint32_t id, uint32_t clock, size_t offset, size_t bytes, touch how, site at) {
  const size_t end = offset + bytes;
  for (size_t i = offset / 2; i * 2 < end; ++i) {
    shadow_cell &cell = cells_[i];
    const uint8_t half = halves(i, offset, end);
    if (cell.in_flight)
      stop(fault::in_flight, at,
           "read of shared byte %zu, which an asynchronous copy issued at line %d has not delivered", i * 2,
           cell.write_line);
    if ((cell.written & half) != half)
      stop(fault::uninitialized, at, "read of shared byte %zu, which nobody wrote", i * 2);
    if (cell.writer != t.id && (cell.write_half & half) != 0 && !(cell.atomic && how == touch::atomic) &&
        !knows(t, cell.writer, cell.write_clock))
      race("read", "write", "shared", i * 2, cell.writer, cell.write_line, at);
    if (how == touch::async_proxy && !cell.by_agent && cell.writer != k_nobody &&
        g_machine->threads[cell.writer].proxy_fence_clock < cell.write_clock)
      stop(fault::data_race, at,
           "the async proxy reads shared byte %zu, written at line %d without fence.proxy.async after the write", i * 2,
           cell.write_line);
    if (cell.reader == k_nobody || cell.reader == id ||
        (cell.more == 0 && cell.read_half == half && knows(t, cell.reader, cell.read_clock))) {
      cell.reader = uint16_t(id);
      cell.read_clock = clock;
      cell.read_half = half;
      continue;
    }
    if (cell.more == 0) {
      readers_.emplace_back();
      cell.more = uint32_t(readers_.size());
    }
    std::vector<reader_entry> &others = readers_[cell.more - 1];
    // A reader that this one is ordered after need not be kept: a write ordered after this read is ordered after both.
    std::erase_if(others, [&](const reader_entry &r) { return knows(t, r.id, r.clock); });
    others.push_back({uint16_t(id), clock});
    cell.read_half |= half;
  }
}

void shadow_memory::write(thread &t, size_t offset, size_t bytes, touch how, site at) {
  const size_t end = offset + bytes;
  for (size_t i = offset / 2; i * 2 < end; ++i) {
    shadow_cell &cell = cells_[i];
    const uint8_t half = halves(i, offset, end);
    if (cell.in_flight)
      stop(fault::in_flight, at,
           "write to shared byte %zu, which an asynchronous copy issued at line %d has not delivered", i * 2,
           cell.write_line);
    if (cell.writer != k_nobody && cell.writer != t.id && (cell.write_half & half) != 0 &&
        !(cell.atomic && how == touch::atomic) && !knows(t, cell.writer, cell.write_clock))
      race("write", "write", "shared", i * 2, cell.writer, cell.write_line, at);
    if (cell.reader != k_nobody && (cell.read_half & half) != 0 && !(cell.atomic && how == touch::atomic)) {
      if (!knows(t, cell.reader, cell.read_clock)) race("write", "read", "shared", i * 2, cell.reader, 0, at);
      if (cell.more != 0)
        for (const reader_entry &r : readers_[cell.more - 1])
          if (!knows(t, r.id, r.clock)) race("write", "read", "shared", i * 2, r.id, 0, at);
    }
    if (cell.more != 0) readers_[cell.more - 1].clear();
    if (half == 3) cell.reader = k_nobody;
    cell.writer = uint16_t(t.id);
    cell.write_clock = t.clock;
    cell.write_half = half;
    cell.write_line = at.line;
    cell.written |= half;
    cell.by_agent = 0;
    cell.atomic = how == touch::atomic;
    cell.in_flight = how == touch::async_issue;
  }
}

void shadow_memory::deliver(uint32_t agent, uint32_t clock, size_t offset, size_t bytes) {
  for (size_t i = offset / 2; i * 2 < offset + bytes; ++i) {
    shadow_cell &cell = cells_[i];
    cell.writer = uint16_t(agent);
    cell.write_clock = clock;
    cell.write_half = 3;
    cell.by_agent = agent == g_machine->agent();
    cell.in_flight = 0;
  }
}

}  // namespace gonka::emulator
