// Barriers of a block and asynchronous copies, as PTX names them. Called on the fiber of the thread concerned.
#pragma once

#include "machine.hpp"

namespace gonka::emulator {

// barrier.sync / bar.sync id, count. count 0: every thread of the block.
void barrier_sync(uint32_t id, uint32_t count, site at);
void barrier_arrive(uint32_t id, uint32_t count, site at);
// setmaxnreg, by a whole warp. A launch gets the most registers that let one block run, in eights; warps that want more
// together would wait for each other for ever (PTX ISA, setmaxnreg: .inc blocks until the block's pool has enough).
void set_registers(uint32_t registers, site at);
void leave_block(thread &t);  // a thread exits

// mbarrier at a shared offset of a block of the cluster. See PTX ISA, "mbarrier".
void mbarrier_init(uint32_t offset, uint32_t count, site at);
void mbarrier_invalidate(uint32_t offset, site at);
void mbarrier_arrive(uint32_t block, uint32_t offset, uint32_t count, site at);
void mbarrier_expect(uint32_t block, uint32_t offset, uint32_t bytes, site at);  // expect_tx alone
void mbarrier_wait_parity(uint32_t offset, uint32_t parity, site at);
bool mbarrier_test_parity(uint32_t offset, uint32_t parity, site at);
// Delivered bytes; called when a bulk copy completes.
void mbarrier_complete(machine &m, uint32_t block, uint32_t offset, uint32_t bytes, const std::vector<uint32_t> &clocks,
                       uint32_t agent_clock);

// One arrival by the tensor agent at its `clock`; clocks: of the thread that asked for it.
void mbarrier_arrive_later(machine &m, uint32_t block, uint32_t offset, const std::vector<uint32_t> &clocks,
                           uint32_t clock, site at);

// barrier.cluster.arrive + wait.
void cluster_sync(site at);

// cp.async: copies nothing until the group is waited for. source may be null if source_bytes is 0.
void copy_async(uint32_t destination, const void *source, uint32_t bytes, uint32_t source_bytes, site at);
void copy_async_commit();
void copy_async_wait(uint32_t groups_left, site at);

// Completes one bulk operation, chosen by the seed. False if none is in flight.
bool complete_one_bulk_operation(machine &m);
// After the last thread: barriers with undelivered or surplus transactions, copies nobody waited for.
void check_barriers_at_exit(machine &m);

}  // namespace gonka::emulator
