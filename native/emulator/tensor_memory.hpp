// tcgen05: tensor memory and the matrix instructions on it, after PTX ISA 9.0, chapter "TensorCore 5th Generation
// Family Instructions" (Tensor memory addressing and allocation, Matrix and data movement shapes, Shared memory
// descriptor, Instruction descriptor, Memory consistency model). cta_group::1 only.
//
// Modelled: alloc, dealloc, relinquish_alloc_permit; mma with M = 128, kinds f16, f8f6f4 and i8, both operands
// described in shared memory with k contiguous and 128-byte swizzle, accumulators in layout D (row = lane); commit;
// ld.32x32b and its wait; both fences. Anything else in a descriptor is refused.
//
// Order. Instructions of the tensor agent take effect in the order of their issue, at the latest when a commit behind
// them arrives at its mbarrier; which commit arrives when, the seed decides. Everything in between is checked against
// clocks, so a kernel may not rely on either end:
//   mma, then ld          a commit, a wait for its mbarrier, fence::after_thread_sync;
//   ld, then mma          wait::ld, fence::before_thread_sync, synchronisation, fence::after_thread_sync;
//   mma, then any write to the shared memory that it reads: a commit and a wait for its mbarrier.
#pragma once

#include <deque>

#include "cuda/device/tcgen05_descriptor.hpp"
#include "machine.hpp"

namespace gonka::emulator {

using tensor_kind = ptx::tcgen05_kind;

// A tcgen05.ld of a warp before and after its wait.
struct tensor_load {
  uint32_t *registers[k_warp_size];
  std::vector<uint32_t> values[k_warp_size];
  thread *lanes[k_warp_size];
  uint32_t clocks[k_warp_size];  // of the lanes at the load
  uint32_t lanes_waiting = k_warp_size;
  site at;
};

constexpr uint32_t k_tensor_lanes = 128, k_tensor_columns = 512;

// State of one SM's tensor memory, in the hands of one block.
class tensor_memory {
 public:
  struct allocation {
    uint32_t column, columns;
    site at;
  };
  // 32 lanes of one column: what one warp may touch.
  struct cell {
    uint32_t write_clock = 0;  // of the tensor agent; 0: nothing was written
    uint32_t issuer = 0;       // thread
    int32_t write_line = 0;
    std::vector<std::shared_ptr<tensor_load>> readers;
  };
  // Issued and not yet performed: an mma or a commit.
  struct operation {
    bool commit;
    thread *issuer;
    uint32_t clock;  // of the tensor agent
    tensor_kind kind;
    uint32_t d, instruction;
    uint64_t a, b;
    bool accumulate;
    uint32_t barrier;              // commit: shared offset
    std::vector<uint32_t> clocks;  // commit: of the issuer
    site at;
  };

  std::vector<allocation> allocations;
  bool may_allocate = true;
  std::vector<uint32_t> values = std::vector<uint32_t>(k_tensor_lanes * k_tensor_columns);  // [lane][column]
  std::vector<cell> cells = std::vector<cell>(4 * k_tensor_columns);                        // [quarter][column]
  std::deque<operation> queue;
};

// The running block's; refuses devices that have none.
tensor_memory &tensor_memory_of(const char *what, site at);
// First of the columns at `address`, all of them allocated.
uint32_t check_tensor_columns(const tensor_memory &memory, const char *what, uint32_t address, uint32_t columns,
                              site at);
// Was the agent's instruction at `clock` over, as far as the thread could know at its last fence::after_thread_sync?
bool knew_at_fence(const thread &t, uint32_t agent, uint32_t clock);

// Whole warps. The address of `columns` free columns goes to shared offset `to`: as high as they are free, so that
// nobody takes it for 0.
void tensor_allocate(uint32_t to, uint32_t columns, site at);
void tensor_release(uint32_t address, uint32_t columns, site at);
void tensor_relinquish(site at);
// One thread.
void tensor_mma(tensor_kind kind, uint32_t d, uint64_t a, uint64_t b, uint32_t instruction, bool accumulate, site at);
void tensor_commit(uint32_t barrier, site at);
void tensor_fence_before();
void tensor_fence_after();
// Whole warps: column address + i of lane 32 (warp % 4) + l to register i of lane l.
void tensor_read(uint32_t *registers, uint32_t count, uint32_t address, site at);
void tensor_wait_read(site at);

// After the last thread: columns still allocated, instructions that no commit covers.
void check_tensor_memory_at_exit(machine &m);

}  // namespace gonka::emulator
