// Implementations of rms_norm on the CPU.
#include "implementation.hpp"
#include "rms_norm/rms_norm.hpp"

namespace gonka::cpu {
namespace {

const char *accept(const void *, const features &) {
  return nullptr;
}

void run_reference(void *problem, operand_pointers pointers, context &) {
  rms_norm_reference(problem, pointers);
}

constexpr implementation k_list[] = {
    {"ref", accept, run_reference},
};

}  // namespace

std::span<const implementation> rms_norm_list() noexcept {
  return k_list;
}

}  // namespace gonka::cpu
