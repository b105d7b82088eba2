// Implementations of normal_fill, best first.
#include "normal_fill.hpp"

namespace gonka::cpu {
namespace {

#if defined(__x86_64__)
template <const normal_kernels &Kernels>
void run(void *problem, operand_pointers pointers, context &ctx) {
  normal_fill_with(Kernels, *static_cast<const gk_normal_fill *>(problem), pointers[0], ctx);
}
#endif

constexpr implementation k_list[] = {
#if defined(__x86_64__)
    {"avx512", [](const void *, const features &cpu) { return cpu.avx512 ? nullptr : "needs AVX-512"; },
     run<k_normal_avx512>},
    {"avx2", [](const void *, const features &cpu) { return cpu.avx2 ? nullptr : "needs AVX2"; }, run<k_normal_avx2>},
#endif
    {"ref", [](const void *, const features &) -> const char * { return nullptr; },
     [](void *problem, operand_pointers pointers, context &) { normal_fill_reference(problem, pointers); }}};

}  // namespace

std::span<const implementation> normal_fill_list() noexcept {
  return k_list;
}

}  // namespace gonka::cpu
