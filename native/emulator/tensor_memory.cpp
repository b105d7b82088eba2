#include "tensor_memory.hpp"

#include <algorithm>

#include "barrier.hpp"

namespace gonka::emulator {
namespace {

constexpr uint32_t k_quarter_lanes = 32;

bool is_allocated(const tensor_memory &t, uint32_t column) {
  return std::any_of(t.allocations.begin(), t.allocations.end(),
                     [&](const auto &a) { return column >= a.column && column < a.column + a.columns; });
}

}  // namespace

tensor_memory &tensor_memory_of(const char *what, site at) {
  machine &m = *g_machine;
  const uint32_t capability = m.how.compute_capability;
  if (capability < 100 || capability >= 120)
    stop(fault::bad_operand, at, "%s exists on sm_100a only; this device is sm_%u", what, capability);
  block &b = *self().block;
  if (b.tensor == nullptr) b.tensor = std::make_shared<tensor_memory>();
  return *b.tensor;
}

uint32_t check_tensor_columns(const tensor_memory &t, const char *what, uint32_t address, uint32_t columns, site at) {
  const uint32_t first = address & 0xffff;
  if (first + columns > k_tensor_columns)
    stop(fault::out_of_bounds, at, "%s: columns %u to %u; tensor memory has %u", what, first, first + columns - 1,
         k_tensor_columns);
  for (uint32_t c = first; c < first + columns; ++c)
    if (!is_allocated(t, c)) stop(fault::out_of_bounds, at, "%s: column %u is not allocated", what, c);
  return first;
}

bool knew_at_fence(const thread &t, uint32_t agent, uint32_t clock) {
  return agent == t.id || (agent < t.tensor_known.size() && clock <= t.tensor_known[agent]);
}

namespace {

// Is everything that reads or writes the columns over, as far as the running thread can know?
void check_quiet(const tensor_memory &t, const char *what, uint32_t column, uint32_t columns, site at) {
  const machine &m = *g_machine;
  for (uint32_t quarter = 0; quarter < 4; ++quarter)
    for (uint32_t c = column; c < column + columns; ++c) {
      const auto &cell = t.cells[quarter * k_tensor_columns + c];
      if (cell.write_clock != 0 && !knows(self(), m.tensor_agent(), cell.write_clock))
        stop(fault::data_race, at, "%s of column %u is not ordered after the tcgen05.mma at line %d", what, c,
             cell.write_line);
      for (const auto &load : cell.readers)
        for (uint32_t lane = 0; lane < k_warp_size; ++lane)
          if (load->lanes_waiting != 0 || !knows(self(), load->lanes[lane]->id, load->clocks[lane]))
            stop(fault::data_race, at, "%s of column %u is not ordered after the tcgen05.ld at line %d", what, c,
                 load->at.line);
    }
}

struct allocation_arguments {
  uint32_t place, columns;
  site at;
};

void perform_allocate(warp &w, uint32_t, void *const *arguments) {
  const auto &given = *static_cast<const allocation_arguments *>(arguments[0]);
  thread &t = *w.lanes[0];
  tensor_memory &memory = *t.block->tensor;
  // The highest free run of that many columns, at a multiple of it.
  for (uint32_t first = k_tensor_columns; first >= given.columns;) {
    first -= given.columns;
    uint32_t c = first;
    while (c < first + given.columns && !is_allocated(memory, c)) ++c;
    if (c != first + given.columns) continue;
    memory.allocations.push_back({first, given.columns, given.at});
    for (uint32_t q = 0; q < 4; ++q)
      for (uint32_t i = first; i < first + given.columns; ++i)
        memory.cells[q * k_tensor_columns + i] = tensor_memory::cell{};
    thread *const runs = g_machine->current;
    g_machine->current = &t;
    if (given.place % 4 != 0 || size_t(given.place) + 4 > t.block->shadow.size())
      stop(fault::out_of_bounds, given.at, "tcgen05.alloc: the address goes to shared offset %u of %zu", given.place,
           t.block->shadow.size());
    t.block->shadow.write(t, given.place, 4, touch::plain, given.at);
    *reinterpret_cast<uint32_t *>(t.block->shared + given.place) = first;
    g_machine->current = runs;
    return;
  }
  stop(fault::deadlock, given.at, "tcgen05.alloc waits for %u columns, which the block itself holds", given.columns);
}

struct load_arguments {
  uint32_t *registers;
  uint32_t count, address;
  site at;
};

void perform_load(warp &w, uint32_t, void *const *arguments) {
  machine &m = *g_machine;
  const auto &first = *static_cast<const load_arguments *>(arguments[0]);
  const site at = first.at;
  tensor_memory &memory = *w.lanes[0]->block->tensor;
  const uint32_t quarter = w.lanes[0]->index.x / k_warp_size % 4, lane0 = first.address >> 16;
  if (lane0 != quarter * k_quarter_lanes)
    stop(fault::bad_operand, at, "tcgen05.ld.32x32b from lane %u; warp %u of a block may read lanes %u to %u", lane0,
         w.lanes[0]->index.x / k_warp_size, quarter * k_quarter_lanes, quarter * k_quarter_lanes + 31);
  const uint32_t column = check_tensor_columns(memory, "tcgen05.ld", first.address, first.count, at);
  auto load = std::make_shared<tensor_load>();
  load->at = at;
  for (uint32_t lane = 0; lane < k_warp_size; ++lane) {
    const auto &own = *static_cast<const load_arguments *>(arguments[lane]);
    thread &t = *w.lanes[lane];
    if (own.address != first.address)
      stop(fault::divergent_collective, at, "tcgen05.ld: lanes of a warp give different addresses");
    load->registers[lane] = own.registers;
    load->lanes[lane] = &t;
    load->clocks[lane] = t.clock;
    t.tensor_loads.push_back(load);
    for (uint32_t c = column; c < column + first.count; ++c) {
      const tensor_memory::cell &cell = memory.cells[quarter * k_tensor_columns + c];
      if (cell.write_clock == 0) stop(fault::uninitialized, at, "tcgen05.ld of column %u, which nobody wrote", c);
      if (!knew_at_fence(t, m.tensor_agent(), cell.write_clock)) {
        m.current = &t;
        if (knows(t, m.tensor_agent(), cell.write_clock))
          stop(fault::data_race, at,
               "tcgen05.ld of column %u without tcgen05.fence::after_thread_sync since the wait for the mma at line %d",
               c, cell.write_line);
        stop(fault::data_race, at,
             "tcgen05.ld of column %u is not ordered after the tcgen05.mma at line %d: no commit was waited for", c,
             cell.write_line);
      }
    }
    const uint32_t *row = &memory.values[size_t(lane0 + lane) * k_tensor_columns];
    load->values[lane].assign(row + column, row + column + first.count);
    std::fill(own.registers, own.registers + first.count, 0xffffffff);  // NaN until the wait
  }
  for (uint32_t c = column; c < column + first.count; ++c)
    memory.cells[quarter * k_tensor_columns + c].readers.push_back(load);
}

}  // namespace

void tensor_allocate(uint32_t to, uint32_t columns, site at) {
  tensor_memory &memory = tensor_memory_of("tcgen05.alloc", at);
  if (columns < 32 || columns > k_tensor_columns || (columns & (columns - 1)) != 0)
    stop(fault::bad_operand, at, "tcgen05.alloc of %u columns; expected a power of two from 32 to 512", columns);
  if (!memory.may_allocate) stop(fault::barrier_misuse, at, "tcgen05.alloc after tcgen05.relinquish_alloc_permit");
  allocation_arguments own{to, columns, at};
  collective("tcgen05.alloc", k_full_mask, true, &own, perform_allocate, at);
}

void tensor_release(uint32_t address, uint32_t columns, site at) {
  tensor_memory_of("tcgen05.dealloc", at);
  allocation_arguments own{address, columns, at};
  collective(
      "tcgen05.dealloc", k_full_mask, true, &own,
      [](warp &w, uint32_t, void *const *arguments) {
        const auto &given = *static_cast<const allocation_arguments *>(arguments[0]);
        tensor_memory &memory = *w.lanes[0]->block->tensor;
        const auto it = std::find_if(memory.allocations.begin(), memory.allocations.end(), [&](const auto &a) {
          return a.column == given.place && a.columns == given.columns;
        });
        if (it == memory.allocations.end())
          stop(fault::bad_operand, given.at, "tcgen05.dealloc of %u columns at 0x%x: no such allocation", given.columns,
               given.place);
        check_quiet(memory, "tcgen05.dealloc", given.place, given.columns, given.at);
        memory.allocations.erase(it);
      },
      at);
}

void tensor_relinquish(site at) {
  tensor_memory_of("tcgen05.relinquish_alloc_permit", at);
  collective(
      "tcgen05.relinquish_alloc_permit", k_full_mask, true, nullptr,
      [](warp &w, uint32_t, void *const *) { w.lanes[0]->block->tensor->may_allocate = false; }, at);
}

void tensor_fence_before() {
  self().tensor_fence_clock = self().clock;
}

void tensor_fence_after() {
  thread &t = self();
  t.tensor_known = t.own.empty() ? t.warp->known : t.own;
}

void tensor_read(uint32_t *registers, uint32_t count, uint32_t address, site at) {
  tensor_memory_of("tcgen05.ld", at);
  load_arguments own{registers, count, address, at};
  collective("tcgen05.ld", k_full_mask, true, &own, perform_load, at);
}

void tensor_wait_read(site at) {
  tensor_memory_of("tcgen05.wait::ld", at);
  collective("tcgen05.wait::ld", k_full_mask, true, nullptr, nullptr, at);
  thread &t = self();
  for (const auto &load : t.tensor_loads) {
    std::copy(load->values[t.lane].begin(), load->values[t.lane].end(), load->registers[t.lane]);
    --load->lanes_waiting;
  }
  t.tensor_loads.clear();
}

void check_tensor_memory_at_exit(machine &m) {
  for (const block &b : m.blocks) {
    if (b.tensor == nullptr) continue;
    const auto report = [&](fault kind, site at, const char *text) {
      m.found.kind = kind;
      m.found.where = at;
      m.found.message = text;
      m.found.block[0] = b.index.x;
      m.found.block[1] = b.index.y;
      m.found.block[2] = b.index.z;
    };
    if (!b.tensor->queue.empty())
      return report(fault::in_flight, b.tensor->queue.front().at,
                    "the block exits while a tcgen05 instruction that no commit covers is under way");
    if (!b.tensor->allocations.empty())
      return report(fault::leak, b.tensor->allocations.front().at,
                    "the block exits without tcgen05.dealloc of the columns it allocated");
  }
}

}  // namespace gonka::emulator
