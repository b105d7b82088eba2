// Implementations of permuted_distance on the CPU: the reference only. Where the host is the device, PoC v1 measures
// without this op.
#include "implementation.hpp"
#include "permuted_distance/permuted_distance.hpp"

namespace gonka::cpu {
namespace {

constexpr implementation k_list[] = {
    {"ref", [](const void *, const features &) -> const char * { return nullptr; },
     [](void *problem, operand_pointers pointers, context &) { permuted_distance_reference(problem, pointers); }}};

}  // namespace

std::span<const implementation> permuted_distance_list() noexcept {
  return k_list;
}

}  // namespace gonka::cpu
