// State of the cluster that is running: threads, warps, blocks, their clocks and who waits for what.
// Internal to the emulator and to the wrappers in device/.
#pragma once

#include <cstdarg>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "counters.hpp"
#include "emulator.hpp"
#include "fiber.hpp"
#include "shadow.hpp"

namespace gonka::emulator {

constexpr uint32_t k_warp_size = 32;
constexpr uint32_t k_full_mask = 0xffffffff;

struct warp;
struct block;
struct wgmma_operation;
class tensor_memory;
struct tensor_load;

// A copy whose bytes have been promised but not delivered.
struct async_copy {
  uint32_t block;        // of the destination, index in the cluster
  uint32_t destination;  // shared-memory offset
  const uint8_t *source;
  uint32_t bytes, source_bytes;  // the rest is filled with zeros
  site at;
};

enum class wait_kind : uint8_t { none, collective, block_barrier, named_barrier, mbarrier };

struct thread {
  fiber context;
  index3 index;
  uint32_t id = 0;  // in the cluster; names it in shadow cells and clock vectors
  uint32_t lane = 0;
  emulator::warp *warp = nullptr;
  emulator::block *block = nullptr;
  uint32_t clock = 1;              // of its next accesses
  uint32_t proxy_fence_clock = 0;  // generic writes up to here are visible to the async proxy
  uint32_t tensor_fence_clock =
      0;  // tcgen05 operations up to here are ordered before what follows (before_thread_sync)
  std::vector<uint32_t> tensor_known;                      // what it knew at its last tcgen05.fence::after_thread_sync
  std::vector<std::shared_ptr<tensor_load>> tensor_loads;  // tcgen05.ld not waited for
  std::vector<uint32_t> own;  // what it knows beyond its warp; empty: exactly what the warp knows
  bool exited = false;
  wait_kind waits = wait_kind::none;
  site waits_at = {"", 0};
  uint64_t waits_on = 0;  // barrier number or address
  std::vector<async_copy> uncommitted;
  std::vector<std::vector<async_copy>> groups;  // committed cp.async groups, oldest first
  std::vector<access_record> log;               // for counters
};

// Lanes that have arrived at a collective and what they brought.
struct rendezvous {
  uint32_t mask = 0, arrived = 0;
  const char *what = nullptr;
  site at = {"", 0};
  void *arguments[k_warp_size];
};

struct warp {
  thread *lanes[k_warp_size];
  uint32_t present = 0;         // lanes that exist
  uint32_t registers = 0;       // per thread, by setmaxnreg; 0: those of the launch
  std::vector<uint32_t> known;  // clock of every thread of the cluster (and of both agents) it knows about
  rendezvous open[4];           // collectives under way; disjoint masks
  bool wgmma_fenced = false;    // wgmma.fence since the last wait
  std::vector<std::shared_ptr<wgmma_operation>> wgmma_open;  // issued, not committed
  std::vector<std::vector<std::shared_ptr<wgmma_operation>>> wgmma_groups;
};

struct named_barrier {
  uint32_t expected = 0, arrived = 0;
  site at = {"", 0};
  std::vector<thread *> waiting;
  std::vector<uint32_t> clocks;
};

struct mbarrier {
  uint32_t count = 0;        // arrivals per phase
  uint32_t pending = 0;      // arrivals missing in this phase
  int64_t transactions = 0;  // bytes announced and not yet delivered
  uint32_t phase = 0;
  std::vector<thread *> waiting;
  std::vector<uint32_t> gathering, completed;  // clocks of this phase; of all phases that are over
  site at = {"", 0};
};

struct block {
  index3 index;
  uint32_t rank = 0;  // in the cluster
  std::vector<uint8_t> storage;
  uint8_t *shared = nullptr;  // 1024-byte aligned
  shadow_memory shadow;
  uint32_t running = 0;
  named_barrier barriers[16];
  std::unordered_map<uint32_t, mbarrier> mbarriers;  // by shared offset
  std::shared_ptr<tensor_memory> tensor;             // null until the first tcgen05 instruction
};

// A bulk operation whose completion is reported to an mbarrier.
struct bulk_operation {
  void (*perform)(struct machine &, bulk_operation &);  // moves the bytes, clears "in flight"
  uint32_t barrier_block, barrier_offset;
  uint32_t agent_clock;
  std::vector<uint32_t> clocks;  // of the issuer at issue
  uint32_t bytes;                // transaction count
  site at;
  alignas(8) uint8_t details[160];  // of the operation's own kind
};

// A word that atomics with acquire and release semantics meet at.
struct meeting_point {
  std::vector<uint32_t> clusters;  // that released
  std::vector<uint32_t> clocks;    // of the threads of `cluster`
  uint32_t cluster = 0;
};

struct machine {
  launch_config config;
  options how;
  counters *count = nullptr;
  void (*entry)(const void *) = nullptr;
  const void *argument = nullptr;
  uint32_t cluster_index = 0;

  uint32_t thread_count = 0;  // of the cluster
  uint32_t running = 0;
  std::unique_ptr<thread[]> threads;
  std::vector<warp> warps;
  std::vector<block> blocks;
  thread *current = nullptr;
  fiber host;
  stack_pool *stacks = nullptr;
  std::vector<thread *> ready;  // ring
  size_t ready_head = 0, ready_size = 0;
  uint64_t random = 0;
  uint32_t agent_clock = 0;   // of the async agent: bulk copies
  uint32_t tensor_clock = 0;  // of the tensor agent: tcgen05 instructions, in the order of issue
  std::vector<bulk_operation> bulk;
  named_barrier cluster_barrier;
  std::unordered_map<const void *, meeting_point> meetings;
  std::vector<uint32_t> known_clusters;  // that released something this one acquired
  finding found;

  uint32_t agent() const { return thread_count; }
  uint32_t tensor_agent() const { return thread_count + 1; }
  uint32_t clock_count() const { return thread_count + 2; }
  uint64_t next_random();
};

// The launch in progress. Host threads take turns, so a plain global serves and costs no thread-local lookup.
extern machine *g_machine;
// Held by a launch from start to end and by whatever changes the device memory that kernels look their addresses up in.
extern std::recursive_mutex g_turn;
inline thread &self() {
  return *g_machine->current;
}

// Ends the launch with a finding of the running thread.
[[noreturn, gnu::format(printf, 3, 4)]] void stop(fault kind, site at, const char *format, ...);

// Scheduling.
void make_ready(thread &t);
void wait(wait_kind kind, uint64_t on, site at);  // the running thread sleeps until make_ready

// Clocks. A clock vector has one entry per thread of the cluster and one for each agent.
inline bool knows(const thread &t, uint32_t agent, uint32_t clock) {
  if (agent == t.id) return true;
  const std::vector<uint32_t> &known = t.own.empty() ? t.warp->known : t.own;
  return clock <= known[agent];
}
void release_into(std::vector<uint32_t> &clocks, thread &t);        // what t did and knows so far
void acquire_from(thread &t, const std::vector<uint32_t> &clocks);  // t now knows that
// Whole warps among the threads acquire at once, which is cheaper.
void acquire_all(const std::vector<thread *> &threads, const std::vector<uint32_t> &clocks);
void synchronize_lanes(warp &w, uint32_t mask);
// An acquire-release atomic of the running thread at `word`. Across clusters knowledge is kept per cluster, not per
// thread: whoever acquires is ordered after all that the releasing clusters did.
void synchronize_through(const void *word);

// Lanes named by mask meet; the last to arrive runs perform over every lane's argument. `aligned`: all must come from
// the same source line.
using perform_function = void (*)(warp &, uint32_t mask, void *const *arguments);
void collective(const char *what, uint32_t mask, bool aligned, void *argument, perform_function perform, site at);

}  // namespace gonka::emulator
