// Implementations of rope on the CPU.
#include "implementation.hpp"
#include "rope/rope.hpp"

namespace gonka::cpu {
namespace {

const char *accept(const void *, const features &) {
  return nullptr;
}

void run_reference(void *problem, operand_pointers pointers, context &) {
  rope_reference(problem, pointers);
}

constexpr implementation k_list[] = {
    {"ref", accept, run_reference},
};

}  // namespace

std::span<const implementation> rope_list() noexcept {
  return k_list;
}

}  // namespace gonka::cpu
