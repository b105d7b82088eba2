// Runs a grid: cluster by cluster, each thread a fiber, until all have exited or the first finding.
#include "machine.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "barrier.hpp"
#include "counters.hpp"
#include "tensor_memory.hpp"

namespace gonka::emulator {

machine *g_machine = nullptr;
std::recursive_mutex g_turn;

const char *fault_name(fault kind) noexcept {
  switch (kind) {
    case fault::none:
      return "none";
    case fault::out_of_bounds:
      return "out_of_bounds";
    case fault::misaligned:
      return "misaligned";
    case fault::uninitialized:
      return "uninitialized";
    case fault::data_race:
      return "data_race";
    case fault::in_flight:
      return "in_flight";
    case fault::divergent_collective:
      return "divergent_collective";
    case fault::barrier_misuse:
      return "barrier_misuse";
    case fault::deadlock:
      return "deadlock";
    case fault::bad_operand:
      return "bad_operand";
    case fault::leak:
      return "leak";
  }
  return "?";
}

std::string finding::text() const {
  if (kind == fault::none) return {};
  const char *name = std::strrchr(where.file, '/');
  char head[160], tail[96];
  std::snprintf(head, sizeof head, "%.100s:%d: %s: ", name != nullptr ? name + 1 : where.file, where.line,
                fault_name(kind));
  std::snprintf(tail, sizeof tail, " (block %u,%u,%u thread %u)", block[0], block[1], block[2], thread);
  return head + message + tail;
}

uint64_t machine::next_random() {  // splitmix64
  uint64_t z = random += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

namespace {

constexpr size_t k_poisoned_stack = 8192;  // of each fiber's stack, where a kernel's frame lies

void switch_to_host(thread &from) {
  fiber::switch_to(from.context, g_machine->host);
}

void record(fault kind, site at, const char *format, va_list args) {
  machine &m = *g_machine;
  char text[600];
  std::vsnprintf(text, sizeof text, format, args);
  const thread &t = *m.current;
  m.found.kind = kind;
  m.found.message = text;
  m.found.where = at;
  m.found.block[0] = t.block->index.x;
  m.found.block[1] = t.block->index.y;
  m.found.block[2] = t.block->index.z;
  m.found.thread = t.id - t.block->rank * uint32_t(m.thread_count / m.blocks.size());
}

const char *wait_name(const thread &t) {
  switch (t.waits) {
    case wait_kind::none:
      return "nothing";
    case wait_kind::collective:
      return "lanes of its warp";
    case wait_kind::block_barrier:
      return "bar.sync 0";
    case wait_kind::named_barrier:
      return "a named barrier";
    case wait_kind::mbarrier:
      return "an mbarrier";
  }
  return "?";
}

// Nobody can run and nothing is in flight: name what the threads wait for.
[[noreturn]] void report_deadlock() {
  machine &m = *g_machine;
  fault kind = fault::deadlock;
  std::string text;
  site first = {"", 0};
  uint32_t exited = 0;
  struct group {
    site at;
    wait_kind waits;
    uint64_t on;
    uint32_t count, example;
  };
  std::vector<group> groups;
  for (uint32_t i = 0; i < m.thread_count; ++i) {
    thread &t = m.threads[i];
    if (t.exited) {
      ++exited;
      continue;
    }
    if (t.waits == wait_kind::collective) kind = fault::divergent_collective;
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const group &g) {
      return g.at.line == t.waits_at.line && g.waits == t.waits && g.on == t.waits_on;
    });
    if (same == groups.end())
      groups.push_back({t.waits_at, t.waits, t.waits_on, 1, i});
    else
      ++same->count;
  }
  for (const group &g : groups) {
    char line[160];
    std::snprintf(line, sizeof line, "%s%u thread%s (%u...) at line %d for %s", text.empty() ? "" : "; ", g.count,
                  g.count == 1 ? "" : "s", g.example, g.at.line, wait_name(m.threads[g.example]));
    if (text.size() < 400) text += line;
    if (first.line == 0) first = g.at;
    if (g.waits == wait_kind::block_barrier && exited != 0 && kind == fault::deadlock) kind = fault::barrier_misuse;
  }
  m.current = &m.threads[groups.empty() ? 0 : groups[0].example];
  stop(kind, first, "nothing can go on: %s; %u exited", text.c_str(), exited);
}

thread *take_ready() {
  machine &m = *g_machine;
  const size_t capacity = m.ready.size();
  if (m.how.seed != 0 && m.ready_size > 1) {
    const size_t other = (m.ready_head + m.next_random() % m.ready_size) % capacity;
    std::swap(m.ready[m.ready_head], m.ready[other]);
  }
  thread *t = m.ready[m.ready_head];
  m.ready_head = (m.ready_head + 1) % capacity;
  --m.ready_size;
  return t;
}

// Leaves the running thread for the next one that can run.
void schedule() {
  machine &m = *g_machine;
  thread *from = m.current;
  while (m.ready_size == 0) {
    if (m.running == 0) {
      switch_to_host(*from);
      return;
    }
    if (!complete_one_bulk_operation(m)) report_deadlock();
  }
  thread *to = take_ready();
  if (to == from) return;
  m.current = to;
  fiber::switch_to(from->context, to->context);
}

void thread_main() {
  machine &m = *g_machine;
  m.entry(m.argument);
  thread &t = self();
  leave_block(t);
  t.exited = true;
  if (m.how.count && std::all_of(t.warp->lanes, t.warp->lanes + k_warp_size,
                                 [](const thread *l) { return l == nullptr || l->exited; }))
    flush_access_log(*t.warp, t.warp->present);
  --t.block->running;
  --m.running;
  schedule();
  __builtin_unreachable();
}

void prepare_cluster(machine &m) {
  const launch_config &c = m.config;
  const uint32_t block_threads = c.block.x * c.block.y * c.block.z;
  const uint32_t warps_per_block = (block_threads + k_warp_size - 1) / k_warp_size;
  for (uint32_t rank = 0; rank < c.cluster; ++rank) {
    block &b = m.blocks[rank];
    const uint32_t linear = m.cluster_index * c.cluster + rank;
    b.index = {linear % c.grid.x, linear / c.grid.x % c.grid.y, linear / c.grid.x / c.grid.y};
    b.rank = rank;
    b.storage.assign(size_t(c.shared_bytes) + 1024, 0xb7);
    b.shared = b.storage.data() + (1024 - reinterpret_cast<uintptr_t>(b.storage.data()) % 1024) % 1024;
    b.shadow.reset(c.shared_bytes);
    b.running = block_threads;
    for (named_barrier &barrier : b.barriers) barrier = named_barrier{};
    b.mbarriers.clear();
    b.tensor.reset();
    for (uint32_t w = 0; w < warps_per_block; ++w) {
      warp &p = m.warps[rank * warps_per_block + w];
      p.present = 0;
      p.registers = 0;
      std::fill(p.lanes, p.lanes + k_warp_size, nullptr);
      p.known.assign(m.clock_count(), 0);
      for (rendezvous &r : p.open) r.mask = r.arrived = 0;
      p.wgmma_fenced = false;
      p.wgmma_open.clear();
      p.wgmma_groups.clear();
    }
    for (uint32_t i = 0; i < block_threads; ++i) {
      thread &t = m.threads[rank * block_threads + i];
      t.id = rank * block_threads + i;
      t.lane = i % k_warp_size;
      t.index = {i % c.block.x, i / c.block.x % c.block.y, i / c.block.x / c.block.y};
      t.block = &b;
      t.warp = &m.warps[rank * warps_per_block + i / k_warp_size];
      t.warp->lanes[t.lane] = &t;
      t.warp->present |= 1u << t.lane;
      t.clock = 1;
      t.proxy_fence_clock = t.tensor_fence_clock = 0;
      t.tensor_known.clear();
      t.tensor_loads.clear();
      t.own.clear();
      t.exited = false;
      t.waits = wait_kind::none;
      t.uncommitted.clear();
      t.groups.clear();
      t.log.clear();
      // Registers that a kernel does not initialise live on the stack here: they begin as NaN.
      t.context.start(m.stacks->at(t.id), stack_pool::k_stack_bytes, k_poisoned_stack, thread_main);
    }
  }
  m.agent_clock = m.tensor_clock = 0;
  m.bulk.clear();
  m.known_clusters.clear();
  m.cluster_barrier = named_barrier{};
  m.running = m.thread_count;
  m.ready_head = m.ready_size = 0;
  for (uint32_t i = 0; i < m.thread_count; ++i) make_ready(m.threads[i]);
}

}  // namespace

void stop(fault kind, site at, const char *format, ...) {
  va_list args;
  va_start(args, format);
  record(kind, at, format, args);
  va_end(args);
  fiber abandoned;
  fiber::switch_to(abandoned, g_machine->host);
  __builtin_unreachable();
}

void make_ready(thread &t) {
  machine &m = *g_machine;
  t.waits = wait_kind::none;
  m.ready[(m.ready_head + m.ready_size++) % m.ready.size()] = &t;
}

void wait(wait_kind kind, uint64_t on, site at) {
  thread &t = self();
  t.waits = kind;
  t.waits_on = on;
  t.waits_at = at;
  schedule();
}

finding launch(const launch_config &config, const options &how, counters *count, void (*entry)(const void *),
               const void *argument) {
  const std::lock_guard guard(g_turn);
  static stack_pool *stacks = new stack_pool;  // kept: mapping stacks costs more than a small launch

  machine m;
  m.config = config;
  m.how = how;
  counters unused;
  m.count = count != nullptr ? count : &unused;
  m.how.count = how.count && count != nullptr;
  m.entry = entry;
  m.argument = argument;
  m.random = how.seed;
  const auto refuse = [&](const char *why) {
    m.found.kind = fault::bad_operand;
    m.found.message = why;
    return m.found;
  };
  const uint64_t block_threads = uint64_t(config.block.x) * config.block.y * config.block.z;
  const uint64_t grid_blocks = uint64_t(config.grid.x) * config.grid.y * config.grid.z;
  if (block_threads == 0 || block_threads > 1024) return refuse("launch: a block has 1 to 1024 threads");
  if (grid_blocks == 0 || config.grid.x > 0x7fffffff || config.grid.y > 65535 || config.grid.z > 65535)
    return refuse("launch: grid limits are 2^31-1, 65535, 65535 and no extent may be 0");
  if (config.cluster == 0 || config.cluster > 16 || config.grid.x % config.cluster != 0)
    return refuse("launch: cluster size must be 1 to 16 and divide grid.x");
  const uint32_t shared_limit = how.compute_capability >= 90 && how.compute_capability < 120 ? 227 * 1024
                                : how.compute_capability == 80                               ? 163 * 1024
                                                                                             : 99 * 1024;
  if (config.shared_bytes > shared_limit) return refuse("launch: more shared memory than a block can have");

  m.count->block_threads = std::max(m.count->block_threads, block_threads);
  m.count->block_shared_bytes = std::max(m.count->block_shared_bytes, uint64_t(config.shared_bytes));
  m.thread_count = uint32_t(block_threads * config.cluster);
  m.threads.reset(new thread[m.thread_count]);
  m.blocks.resize(config.cluster);
  m.warps.resize((block_threads + k_warp_size - 1) / k_warp_size * config.cluster);
  m.ready.resize(m.thread_count + 1);
  m.stacks = stacks;
  g_machine = &m;
  begin_launch_epoch();
  for (uint64_t cluster = 0; cluster < grid_blocks / config.cluster && m.found.kind == fault::none; ++cluster) {
    m.cluster_index = uint32_t(cluster);
    prepare_cluster(m);
    m.current = m.ready[0];
    thread *first = take_ready();
    m.current = first;
    fiber::switch_to(m.host, first->context);
    if (m.found.kind == fault::none) check_barriers_at_exit(m);
    if (m.found.kind == fault::none) check_tensor_memory_at_exit(m);
  }
  g_machine = nullptr;
  return m.found;
}

}  // namespace gonka::emulator
