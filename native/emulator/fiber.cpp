#include "fiber.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#if defined(__x86_64__)
// Saves what the System V ABI lets a callee rely on (rbx, rbp, r12-r15), stores the stack pointer through the first
// argument and continues on the second. mxcsr and the x87 control word are never changed here, so they are not saved.
asm(R"(.text
.p2align 4
.type gonka_fiber_switch,@function
gonka_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size gonka_fiber_switch,.-gonka_fiber_switch
)");
extern "C" void gonka_fiber_switch(void **from, void *to);
#endif

namespace gonka::emulator {

void fiber::start(void *stack, size_t size, size_t filled, void (*entry)()) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack, size);  // frames of an abandoned run left their red zones here
#endif
  std::memset(static_cast<char *>(stack) + size - filled, 0xff, filled);
#if defined(__x86_64__)
  // At entry the stack must look as after a call: 16-byte aligned plus the return address.
  void **top = reinterpret_cast<void **>((reinterpret_cast<uintptr_t>(stack) + size) & ~uintptr_t(15));
  *--top = nullptr;  // return address of entry, which never returns
  *--top = reinterpret_cast<void *>(entry);
  for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
  stack_pointer_ = top;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack;
  context_.uc_stack.ss_size = size;
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
#endif
}

void fiber::switch_to(fiber &from, fiber &to) {
#if defined(__x86_64__)
  gonka_fiber_switch(&from.stack_pointer_, to.stack_pointer_);
#else
  swapcontext(&from.context_, &to.context_);
#endif
}

stack_pool::~stack_pool() {
  for (size_t i = 0; i < map_count_; ++i) munmap(maps_[i], (k_stack_bytes + k_guard_bytes) * k_stacks_per_map);
  std::free(maps_);
}

void *stack_pool::at(size_t index) {
  constexpr size_t slot = k_stack_bytes + k_guard_bytes;
  while (index / k_stacks_per_map >= map_count_) {
    void **grown = static_cast<void **>(std::realloc(maps_, (map_count_ + 1) * sizeof *maps_));
    if (grown == nullptr) throw std::bad_alloc();
    maps_ = grown;
    void *map = mmap(nullptr, slot * k_stacks_per_map, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) throw std::bad_alloc();
    for (size_t i = 0; i < k_stacks_per_map; ++i)
      mprotect(static_cast<char *>(map) + i * slot, k_guard_bytes, PROT_NONE);
    maps_[map_count_++] = map;
  }
  return static_cast<char *>(maps_[index / k_stacks_per_map]) + (index % k_stacks_per_map) * slot + k_guard_bytes;
}

}  // namespace gonka::emulator
