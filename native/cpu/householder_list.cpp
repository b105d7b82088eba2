// Implementations of householder on the CPU.
#include "householder/householder.hpp"
#include "row_kernels.hpp"
#include "row_parallel.hpp"

namespace gonka::cpu {
namespace {

const char *accept(const void *, const features &) {
  return nullptr;
}

void run_reference(void *problem, operand_pointers pointers, context &) {
  householder_reference(problem, pointers);
}

#if defined(__x86_64__)
const char *reject_avx512(const void *, const features &cpu) {
  return cpu.avx512 ? nullptr : "this processor has no AVX-512";
}

const char *reject_avx2(const void *, const features &cpu) {
  return cpu.avx2 ? nullptr : "this processor has no AVX2";
}

template <void (*Rows)(const gk_householder &, void *const *, int64_t, int64_t)>
void run_vector(void *problem, operand_pointers pointers, context &ctx) {
  const auto &p = *static_cast<const gk_householder *>(problem);
  run_rows<gk_householder, Rows>(p, pointers, ctx, p.rows, find_op(GK_OP_HOUSEHOLDER)->count(problem).bytes);
}
#endif

constexpr implementation k_list[] = {
#if defined(__x86_64__)
    {"avx512", reject_avx512, run_vector<householder_avx512>},
    {"avx2", reject_avx2, run_vector<householder_avx2>},
#endif
    {"ref", accept, run_reference},
};

}  // namespace

std::span<const implementation> householder_list() noexcept {
  return k_list;
}

}  // namespace gonka::cpu
