// Fibers: threads of a block that switch by hand, a few nanoseconds each. One host thread runs them all.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace gonka::emulator {

// A context that can be switched away from and back to. The fiber that runs a host thread's own stack needs no start().
class fiber {
 public:
  fiber() = default;
  fiber(const fiber &) = delete;
  fiber &operator=(const fiber &) = delete;
  fiber(fiber &&) = default;

  // Prepares a run of entry() on [stack, stack + size), of which the upper `filled` bytes begin as 0xff; entry must
  // never return. 16-byte aligned, filled <= size.
  void start(void *stack, size_t size, size_t filled, void (*entry)());
  // Leaves `from` (the running fiber) and continues `to`.
  static void switch_to(fiber &from, fiber &to);

 private:
#if defined(__x86_64__)
  void *stack_pointer_ = nullptr;
#else
  ucontext_t context_;
#endif
};

// Stacks of equal size with an unmapped page below each, so that an overflow faults instead of corrupting a neighbour.
class stack_pool {
 public:
  static constexpr size_t k_stack_bytes = size_t(256) << 10;
  ~stack_pool();
  void *at(size_t index);  // lowest usable address of stack `index`, mapped at first use

 private:
  static constexpr size_t k_guard_bytes = size_t(64) << 10;  // a multiple of every page size in use
  static constexpr size_t k_stacks_per_map = 64;
  void **maps_ = nullptr;
  size_t map_count_ = 0;
};

}  // namespace gonka::emulator
