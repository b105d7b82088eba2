// tcgen05 (sm_100a) as inline PTX. Include ptx.cuh.
#pragma once

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM100_ALL)

namespace gonka::ptx {

template <uint32_t Columns>
GK_DEVICE void tcgen05_alloc(uint32_t *to) {
  asm volatile("tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%0], %1;" ::"r"(shared_address(to)),
               "n"(Columns)
               : "memory");
}
template <uint32_t Columns>
GK_DEVICE void tcgen05_dealloc(uint32_t address) {
  asm volatile("tcgen05.dealloc.cta_group::1.sync.aligned.b32 %0, %1;" ::"r"(address), "n"(Columns) : "memory");
}
GK_DEVICE void tcgen05_relinquish_alloc_permit() {
  asm volatile("tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned;" ::: "memory");
}

#define GK_TCGEN05_MMA(kind)                                                                   \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %4, 0;\ntcgen05.mma.cta_group::1.kind::" kind \
               " [%0], %1, %2, %3, p;\n}" ::"r"(d),                                            \
               "l"(a), "l"(b), "r"(instruction), "r"(uint32_t(accumulate))                     \
               : "memory")
template <tcgen05_kind Kind>
GK_DEVICE void tcgen05_mma(uint32_t d, uint64_t a, uint64_t b, uint32_t instruction, bool accumulate) {
  if constexpr (Kind == tcgen05_kind::f16)
    GK_TCGEN05_MMA("f16");
  else if constexpr (Kind == tcgen05_kind::f8f6f4)
    GK_TCGEN05_MMA("f8f6f4");
  else
    GK_TCGEN05_MMA("i8");
}
#undef GK_TCGEN05_MMA

GK_DEVICE void tcgen05_commit(uint64_t *bar) {
  asm volatile("tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64 [%0];" ::"r"(shared_address(bar))
               : "memory");
}
GK_DEVICE void tcgen05_fence_before_thread_sync() {
  asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory");
}
GK_DEVICE void tcgen05_fence_after_thread_sync() {
  asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory");
}

#define GK_OUT_8(i)                                                                                           \
  "=r"(r[i]), "=r"(r[i + 1]), "=r"(r[i + 2]), "=r"(r[i + 3]), "=r"(r[i + 4]), "=r"(r[i + 5]), "=r"(r[i + 6]), \
      "=r"(r[i + 7])
GK_DEVICE void tcgen05_ld_32x32b(uint32_t (&r)[16], uint32_t address) {
  asm volatile(
      "tcgen05.ld.sync.aligned.32x32b.x16.b32 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, "
      "[%16];"
      : GK_OUT_8(0), GK_OUT_8(8)
      : "r"(address)
      : "memory");
}
#undef GK_OUT_8
// The registers change here as far as the compiler knows, so that no use of them moves before the wait.
template <int N>
GK_DEVICE void tcgen05_wait_ld(uint32_t (&r)[N]) {
  asm volatile("tcgen05.wait::ld.sync.aligned;" ::: "memory");
  GK_UNROLL
  for (int i = 0; i < N; ++i) asm volatile("" : "+r"(r[i])::"memory");
}

}  // namespace gonka::ptx

#endif
