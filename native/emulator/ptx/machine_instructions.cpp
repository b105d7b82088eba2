// Index registers, barriers, lanes.
#include "ptx/machine_instructions.hpp"

#include "barrier.hpp"
#include "ptx/address.hpp"

namespace gonka::emulator::translated {
namespace {

const char *g_file = "";  // of the kernel that runs; launches take turns

// Lanes beyond the end of a block count as exited; a mask may name them.
uint32_t present(uint32_t mask) {
  return mask & self().warp->present;
}

}  // namespace

site here(int line) {
  return {g_file, line};
}

void begin(const char *file) {
  g_file = file;
}

uint32_t tid_x() {
  return self().index.x;
}
uint32_t tid_y() {
  return self().index.y;
}
uint32_t tid_z() {
  return self().index.z;
}
uint32_t ntid_x() {
  return g_machine->config.block.x;
}
uint32_t ntid_y() {
  return g_machine->config.block.y;
}
uint32_t ntid_z() {
  return g_machine->config.block.z;
}
uint32_t ctaid_x() {
  return self().block->index.x;
}
uint32_t ctaid_y() {
  return self().block->index.y;
}
uint32_t ctaid_z() {
  return self().block->index.z;
}
uint32_t nctaid_x() {
  return g_machine->config.grid.x;
}
uint32_t nctaid_y() {
  return g_machine->config.grid.y;
}
uint32_t nctaid_z() {
  return g_machine->config.grid.z;
}
uint32_t laneid() {
  return self().lane;
}
uint32_t warpid() {
  return (self().id - self().block->rank * (g_machine->thread_count / uint32_t(g_machine->blocks.size()))) / 32;
}
uint32_t cluster_ctarank() {
  return self().block->rank;
}
uint32_t cluster_nctarank() {
  return uint32_t(g_machine->blocks.size());
}

void bar_sync(uint32_t id, uint32_t count, int line) {
  barrier_sync(id, count, here(line));
}
void bar_arrive(uint32_t id, uint32_t count, int line) {
  barrier_arrive(id, count, here(line));
}
void bar_warp_sync(uint32_t mask, int line) {
  collective("bar.warp.sync", present(mask), false, nullptr, nullptr, here(line));
}
void cluster_sync(int line) {
  emulator::cluster_sync(here(line));
}

namespace {

struct shuffle_operand {
  shuffle mode;
  uint32_t value, b, c, result;
  bool in_range;
  int line;
};

// PTX ISA, "shfl.sync": the pseudo-code of its semantics.
void perform_shuffle(warp &, uint32_t mask, void *const *arguments) {
  for (uint32_t lane = 0; lane < k_warp_size; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    auto &own = *static_cast<shuffle_operand *>(arguments[lane]);
    const uint32_t b = own.b & 31, c = own.c & 31, segment = own.c >> 8 & 31;
    const uint32_t last = (lane & segment) | (c & ~segment), first = lane & segment;
    int32_t from = 0;
    switch (own.mode) {
      case shuffle::up:
        from = int32_t(lane - b);
        own.in_range = from >= int32_t(last);
        break;
      case shuffle::down:
        from = int32_t(lane + b);
        own.in_range = from <= int32_t(last);
        break;
      case shuffle::bfly:
        from = int32_t(lane ^ b);
        own.in_range = from <= int32_t(last);
        break;
      case shuffle::idx:
        from = int32_t(first | (b & ~segment));
        own.in_range = from <= int32_t(last);
        break;
    }
    if (!own.in_range) from = int32_t(lane);
    if ((mask >> from & 1) == 0)
      stop(fault::divergent_collective, here(own.line), "shfl.sync reads lane %d, which takes no part", from);
    own.result = static_cast<shuffle_operand *>(arguments[from])->value;
  }
}

struct vote_operand {
  bool predicate;
  uint32_t result;
};

}  // namespace

uint32_t shfl(shuffle mode, uint32_t value, uint32_t b, uint32_t c, uint32_t mask, bool *in_range, int line) {
  shuffle_operand own{mode, value, b, c, 0, false, line};
  ++g_machine->count->shuffles;
  collective("shfl.sync", present(mask), false, &own, perform_shuffle, here(line));
  if (in_range != nullptr) *in_range = own.in_range;
  return own.result;
}
uint32_t vote_ballot(bool predicate, uint32_t mask, int line) {
  vote_operand own{predicate, 0};
  ++g_machine->count->votes;
  collective(
      "vote.sync", present(mask), false, &own,
      [](warp &, uint32_t mask, void *const *arguments) {
        uint32_t result = 0;
        for (uint32_t lane = 0; lane < k_warp_size; ++lane)
          if (mask >> lane & 1) result |= uint32_t(static_cast<vote_operand *>(arguments[lane])->predicate) << lane;
        for (uint32_t lane = 0; lane < k_warp_size; ++lane)
          if (mask >> lane & 1) static_cast<vote_operand *>(arguments[lane])->result = result;
      },
      here(line));
  return own.result;
}
bool vote_any(bool predicate, uint32_t mask, int line) {
  return vote_ballot(predicate, mask, line) != 0;
}
bool vote_all(bool predicate, uint32_t mask, int line) {
  return vote_ballot(predicate, mask, line) == present(mask);
}
void setmaxnreg(uint32_t registers, int line) {
  if (registers % 8 != 0 || registers < 24 || registers > 256)
    stop(fault::bad_operand, here(line), "setmaxnreg %u; expected a multiple of 8 from 24 to 256", registers);
  set_registers(registers, here(line));
}
void trap(int line) {
  stop(fault::bad_operand, here(line), "trap");
}

}  // namespace gonka::emulator::translated
