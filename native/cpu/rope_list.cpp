// Implementations of rope on the CPU.
#include "rope/rope.hpp"
#include "row_kernels.hpp"
#include "row_parallel.hpp"

namespace gonka::cpu {
namespace {

const char *accept(const void *, const features &) {
  return nullptr;
}

void run_reference(void *problem, operand_pointers pointers, context &) {
  rope_reference(problem, pointers);
}

#if defined(__x86_64__)
const char *reject_avx512(const void *, const features &cpu) {
  return cpu.avx512 ? nullptr : "this processor has no AVX-512";
}

const char *reject_avx2(const void *, const features &cpu) {
  return cpu.avx2 ? nullptr : "this processor has no AVX2";
}

template <void (*Rows)(const gk_rope &, void *const *, int64_t, int64_t)>
void run_vector(void *problem, operand_pointers pointers, context &ctx) {
  const auto &p = *static_cast<const gk_rope *>(problem);
  run_rows<gk_rope, Rows>(p, pointers, ctx, p.tokens, find_op(GK_OP_ROPE)->count(problem).bytes);
}
#endif

constexpr implementation k_list[] = {
#if defined(__x86_64__)
    {"avx512", reject_avx512, run_vector<rope_avx512>},
    {"avx2", reject_avx2, run_vector<rope_avx2>},
#endif
    {"ref", accept, run_reference},
};

}  // namespace

std::span<const implementation> rope_list() noexcept {
  return k_list;
}

}  // namespace gonka::cpu
