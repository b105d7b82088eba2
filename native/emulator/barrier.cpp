#include "barrier.hpp"

#include <algorithm>

namespace gonka::emulator {
namespace {

uint32_t threads_of(const machine &m) {
  return m.thread_count / uint32_t(m.blocks.size());
}

void arrive(named_barrier &barrier, uint32_t id, uint32_t count, const char *what, site at) {
  machine &m = *g_machine;
  thread &t = self();
  const uint32_t expected = count == 0 ? threads_of(m) : count;
  if (id >= 16) stop(fault::barrier_misuse, at, "%s: barrier %u; there are 16", what, id);
  if (count % k_warp_size != 0 || expected > threads_of(m))
    stop(fault::barrier_misuse, at, "%s: count %u; expected a multiple of 32 up to the %u threads of the block", what,
         count, threads_of(m));
  if (barrier.arrived == 0) {
    barrier.expected = expected;
    barrier.at = at;
    barrier.clocks.assign(m.clock_count(), 0);
  } else if (barrier.expected != expected) {
    stop(fault::barrier_misuse, at, "%s: barrier %u expects %u threads since line %d, not %u", what, id,
         barrier.expected, barrier.at.line, expected);
  }
  ++m.count->barriers;
  release_into(barrier.clocks, t);
  ++barrier.arrived;
}

void finish_if_complete(named_barrier &barrier) {
  if (barrier.arrived != barrier.expected) return;
  barrier.arrived = 0;
  std::vector<thread *> waiting;
  waiting.swap(barrier.waiting);
  // Threads of a warp side by side: acquire_all then handles whole warps.
  std::sort(waiting.begin(), waiting.end(), [](const thread *a, const thread *b) { return a->id < b->id; });
  acquire_all(waiting, barrier.clocks);
  for (thread *t : waiting)
    if (t != &self()) make_ready(*t);
}

mbarrier &find(uint32_t block_rank, uint32_t offset, const char *what, site at) {
  machine &m = *g_machine;
  if (block_rank >= m.blocks.size())
    stop(fault::barrier_misuse, at, "%s: block %u of a cluster of %zu", what, block_rank, m.blocks.size());
  auto &all = m.blocks[block_rank].mbarriers;
  const auto it = all.find(offset);
  if (it == all.end())
    stop(fault::barrier_misuse, at, "%s: no mbarrier was initialised at shared offset %u", what, offset);
  return it->second;
}

void finish_phase(machine &m, mbarrier &b) {
  if (b.pending != 0 || b.transactions != 0) return;
  ++b.phase;
  b.pending = b.count;
  if (b.completed.empty()) b.completed.assign(m.clock_count(), 0);
  for (size_t i = 0; i < b.gathering.size(); ++i) b.completed[i] = std::max(b.completed[i], b.gathering[i]);
  std::vector<thread *> waiting;
  waiting.swap(b.waiting);
  for (thread *t : waiting) make_ready(*t);
}

}  // namespace

void barrier_sync(uint32_t id, uint32_t count, site at) {
  named_barrier &barrier = self().block->barriers[id & 15];
  arrive(barrier, id, count, "bar.sync", at);
  barrier.waiting.push_back(&self());
  if (id == 0 && count == 0 && (barrier.at.line != at.line || barrier.at.file != at.file))
    stop(fault::barrier_misuse, at, "threads of the block meet at different __syncthreads: lines %d and %d",
         barrier.at.line, at.line);
  if (barrier.arrived == barrier.expected) {
    finish_if_complete(barrier);
    return;
  }
  wait(count == 0 ? wait_kind::block_barrier : wait_kind::named_barrier, id, at);
}

void barrier_arrive(uint32_t id, uint32_t count, site at) {
  named_barrier &barrier = self().block->barriers[id & 15];
  if (count == 0) stop(fault::barrier_misuse, at, "bar.arrive needs a thread count");
  arrive(barrier, id, count, "bar.arrive", at);
  finish_if_complete(barrier);
}

void leave_block(thread &t) {
  for (const auto &group : t.groups)
    if (!group.empty()) stop(fault::in_flight, group.front().at, "the thread exits before it waited for its cp.async");
}

void mbarrier_init(uint32_t offset, uint32_t count, site at) {
  machine &m = *g_machine;
  thread &t = self();
  if (offset % 8 != 0) stop(fault::misaligned, at, "mbarrier at shared offset %u; expected a multiple of 8", offset);
  if (size_t(offset) + 8 > t.block->shadow.size())
    stop(fault::out_of_bounds, at, "mbarrier at shared offset %u of %zu bytes", offset, t.block->shadow.size());
  if (count == 0 || count >= 1u << 20) stop(fault::barrier_misuse, at, "mbarrier.init with count %u", count);
  if (t.block->mbarriers.count(offset) != 0)
    stop(fault::barrier_misuse, at, "mbarrier at shared offset %u initialised twice", offset);
  t.block->shadow.write(t, offset, 8, touch::plain, at);
  mbarrier &b = t.block->mbarriers[offset];
  b.count = b.pending = count;
  b.gathering.assign(m.clock_count(), 0);
  b.at = at;
}

void mbarrier_invalidate(uint32_t offset, site at) {
  find(self().block->rank, offset, "mbarrier.inval", at);
  self().block->mbarriers.erase(offset);
}

// Every operation but init reads the shadow of the barrier's word: using it before the initialisation is visible
// (no barrier in between) is a race like any other.
void mbarrier_arrive(uint32_t block_rank, uint32_t offset, uint32_t count, site at) {
  machine &m = *g_machine;
  mbarrier &b = find(block_rank, offset, "mbarrier.arrive", at);
  m.blocks[block_rank].shadow.read(self(), offset, 8, touch::atomic, at);
  if (b.pending < count)
    stop(fault::barrier_misuse, at, "mbarrier at shared offset %u: %u arrivals, but this phase misses only %u of %u",
         offset, count, b.pending, b.count);
  ++m.count->barriers;
  release_into(b.gathering, self());
  b.pending -= count;
  finish_phase(m, b);
}

void mbarrier_expect(uint32_t block_rank, uint32_t offset, uint32_t bytes, site at) {
  mbarrier &b = find(block_rank, offset, "mbarrier.expect_tx", at);
  g_machine->blocks[block_rank].shadow.read(self(), offset, 8, touch::atomic, at);
  b.transactions += bytes;
  if (b.transactions >= int64_t(1) << 20)
    stop(fault::barrier_misuse, at, "mbarrier at shared offset %u: transaction count beyond 2^20 - 1", offset);
}

void mbarrier_complete(machine &m, uint32_t block_rank, uint32_t offset, uint32_t bytes,
                       const std::vector<uint32_t> &clocks, uint32_t agent_clock) {
  mbarrier &b = m.blocks[block_rank].mbarriers[offset];
  for (size_t i = 0; i < clocks.size(); ++i) b.gathering[i] = std::max(b.gathering[i], clocks[i]);
  b.gathering[m.agent()] = std::max(b.gathering[m.agent()], agent_clock);
  b.transactions -= bytes;
  finish_phase(m, b);
}

void mbarrier_arrive_later(machine &m, uint32_t block_rank, uint32_t offset, const std::vector<uint32_t> &clocks,
                           uint32_t clock, site at) {
  mbarrier &b = find(block_rank, offset, "tcgen05.commit", at);
  if (b.pending == 0)
    stop(fault::barrier_misuse, at, "tcgen05.commit: mbarrier at shared offset %u misses no arrival of %u", offset,
         b.count);
  for (size_t i = 0; i < clocks.size(); ++i) b.gathering[i] = std::max(b.gathering[i], clocks[i]);
  b.gathering[m.tensor_agent()] = std::max(b.gathering[m.tensor_agent()], clock);
  --b.pending;
  finish_phase(m, b);
}

bool mbarrier_test_parity(uint32_t offset, uint32_t parity, site at) {
  mbarrier &b = find(self().block->rank, offset, "mbarrier.test_wait", at);
  self().block->shadow.read(self(), offset, 8, touch::atomic, at);
  if ((b.phase & 1) == (parity & 1)) return false;
  acquire_from(self(), b.completed);
  return true;
}

void mbarrier_wait_parity(uint32_t offset, uint32_t parity, site at) {
  while (!mbarrier_test_parity(offset, parity, at)) {
    find(self().block->rank, offset, "mbarrier.try_wait", at).waiting.push_back(&self());
    wait(wait_kind::mbarrier, offset, at);
  }
}

void cluster_sync(site at) {
  machine &m = *g_machine;
  named_barrier &barrier = m.cluster_barrier;
  thread &t = self();
  if (barrier.arrived == 0) barrier.clocks.assign(m.clock_count(), 0);
  release_into(barrier.clocks, t);
  barrier.expected = m.thread_count;
  ++barrier.arrived;
  barrier.waiting.push_back(&t);
  ++m.count->barriers;
  if (barrier.arrived == barrier.expected) {
    finish_if_complete(barrier);
    return;
  }
  wait(wait_kind::block_barrier, 16, at);
}

bool complete_one_bulk_operation(machine &m) {
  if (m.bulk.empty()) return false;
  const size_t index = m.how.seed == 0 ? 0 : m.next_random() % m.bulk.size();
  bulk_operation operation = std::move(m.bulk[index]);
  m.bulk.erase(m.bulk.begin() + std::ptrdiff_t(index));
  operation.perform(m, operation);
  return true;
}

void check_barriers_at_exit(machine &m) {
  const auto report = [&](fault kind, site at, const std::string &text, const block &b) {
    m.found.kind = kind;
    m.found.where = at;
    m.found.message = text;
    m.found.block[0] = b.index.x;
    m.found.block[1] = b.index.y;
    m.found.block[2] = b.index.z;
  };
  if (!m.bulk.empty()) {
    const bulk_operation &left = m.bulk.front();
    report(fault::in_flight, left.at,
           "the block exits while an asynchronous operation on its shared memory is in flight",
           m.blocks[left.barrier_block]);
    return;
  }
  for (const block &b : m.blocks)
    for (const auto &[offset, barrier] : b.mbarriers)
      if (barrier.transactions != 0) {
        report(fault::barrier_misuse, barrier.at,
               "mbarrier at shared offset " + std::to_string(offset) + " ends with a transaction count of " +
                   std::to_string(barrier.transactions),
               b);
        return;
      }
}

namespace {

void change_registers(warp &w, uint32_t, void *const *arguments) {
  w.registers = *static_cast<const uint32_t *>(arguments[0]);
}

}  // namespace

void set_registers(uint32_t registers, site at) {
  constexpr uint32_t k_multiprocessor = 65536, k_most = 255, k_least = 24;
  collective("setmaxnreg", k_full_mask, true, &registers, change_registers, at);
  const block &b = *self().block;
  const uint32_t threads = threads_of(*g_machine);
  const uint32_t each = std::min(k_multiprocessor / threads, k_most) / 8 * 8;
  uint32_t wanted = 0;
  for (const warp &w : g_machine->warps) {
    if (w.lanes[0] == nullptr || w.lanes[0]->block != &b) continue;
    // Who has not said so yet may still go down to the least.
    wanted += (w.registers != 0 ? w.registers : k_least) * k_warp_size;
  }
  const uint32_t pool = each * ((threads + k_warp_size - 1) / k_warp_size) * k_warp_size;
  if (wanted > pool)
    stop(fault::deadlock, at,
         "setmaxnreg %u: the warps of the block want %u registers together, and it has %u (%u a thread)", registers,
         wanted, pool, each);
}

}  // namespace gonka::emulator
