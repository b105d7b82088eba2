// Implementations of attention on the CPU.
#include "attention/attention.hpp"
#include "implementation.hpp"

namespace gonka::cpu {
namespace {

const char *accept(const void *, const features &) {
  return nullptr;
}

void run_reference(void *problem, operand_pointers pointers, context &) {
  attention_reference(problem, pointers);
}

constexpr implementation k_list[] = {
    {"ref", accept, run_reference},
};

}  // namespace

std::span<const implementation> attention_list() noexcept {
  return k_list;
}

}  // namespace gonka::cpu
