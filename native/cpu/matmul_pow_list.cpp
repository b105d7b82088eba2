// Implementations of matmul_pow, best first.
#include "matmul_pow.hpp"

namespace gonka::cpu {
namespace {

#if defined(__x86_64__)
template <const pow_kernel &Kernel>
void run(void *problem, operand_pointers pointers, context &ctx) {
  matmul_pow_with(Kernel, *static_cast<gk_matmul_pow *>(problem), pointers, ctx);
}
#endif

constexpr implementation k_list[] = {
#if defined(__x86_64__)
    {"avx512vnni", [](const void *, const features &cpu) { return cpu.avx512vnni ? nullptr : "needs AVX512-VNNI"; },
     run<k_pow_avx512vnni>},
    {"avx2", [](const void *, const features &cpu) { return cpu.avx2 ? nullptr : "needs AVX2"; }, run<k_pow_avx2>},
#endif
    {"ref", [](const void *, const features &) -> const char * { return nullptr; },
     [](void *problem, operand_pointers pointers, context &) { matmul_pow_reference(problem, pointers); }}};

}  // namespace

std::span<const implementation> matmul_pow_list() noexcept {
  return k_list;
}

}  // namespace gonka::cpu
