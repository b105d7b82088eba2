// Implementations of silu_mul on the CPU.
#include "implementation.hpp"
#include "silu_mul/silu_mul.hpp"

namespace gonka::cpu {
namespace {

const char *accept(const void *, const features &) {
  return nullptr;
}

void run_reference(void *problem, operand_pointers pointers, context &) {
  silu_mul_reference(problem, pointers);
}

constexpr implementation k_list[] = {
    {"ref", accept, run_reference},
};

}  // namespace

std::span<const implementation> silu_mul_list() noexcept {
  return k_list;
}

}  // namespace gonka::cpu
