// Implementations of gather on the CPU.
#include "gather/gather.hpp"
#include "implementation.hpp"

namespace gonka::cpu {
namespace {

const char *accept(const void *, const features &) {
  return nullptr;
}

void run_reference(void *problem, operand_pointers pointers, context &) {
  gather_reference(problem, pointers);
}

constexpr implementation k_list[] = {
    {"ref", accept, run_reference},
};

}  // namespace

std::span<const implementation> gather_list() noexcept {
  return k_list;
}

}  // namespace gonka::cpu
