// Implementations of householder on the CPU.
#include "householder/householder.hpp"
#include "implementation.hpp"

namespace gonka::cpu {
namespace {

const char *accept(const void *, const features &) {
  return nullptr;
}

void run_reference(void *problem, operand_pointers pointers, context &) {
  householder_reference(problem, pointers);
}

constexpr implementation k_list[] = {
    {"ref", accept, run_reference},
};

}  // namespace

std::span<const implementation> householder_list() noexcept {
  return k_list;
}

}  // namespace gonka::cpu
