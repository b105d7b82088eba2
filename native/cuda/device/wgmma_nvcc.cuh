// wgmma (sm_90a) as inline PTX. Include ptx.cuh.
// wgmma_m64: d (this thread's share of a 64 x N tile) += or = A B, 32 bytes of k. A and B as shared-memory descriptors,
// or A in registers. See ptx.cuh for the layouts.
#pragma once

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

#define GK_REGISTERS_32                                                                                             \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, %25, %26, %27, %28, %29, %30, %31"
#define GK_REGISTERS_64                                                                                              \
  GK_REGISTERS_32                                                                                                    \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, " \
  "%54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define GK_REGISTERS_128                                                                                               \
  GK_REGISTERS_64                                                                                                      \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, "   \
  "%86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, "   \
  "%107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, " \
  "%126, %127"
#define GK_OPERANDS_8(c, i) \
  c(d[i]), c(d[i + 1]), c(d[i + 2]), c(d[i + 3]), c(d[i + 4]), c(d[i + 5]), c(d[i + 6]), c(d[i + 7])
#define GK_OPERANDS_32(c, i) \
  GK_OPERANDS_8(c, i), GK_OPERANDS_8(c, i + 8), GK_OPERANDS_8(c, i + 16), GK_OPERANDS_8(c, i + 24)
#define GK_OPERANDS_64(c, i) GK_OPERANDS_32(c, i), GK_OPERANDS_32(c, i + 32)
#define GK_OPERANDS_128(c, i) GK_OPERANDS_64(c, i), GK_OPERANDS_64(c, i + 64)

// count: accumulators per thread, N / 2; p0..: numbers of the operands that follow them.
#define GK_WGMMA_SS(n, count, p0, p1, p2, type, trans)                                                             \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" p2 ", 0;\nwgmma.mma_async.sync.aligned.m64n" n "k16.f32." type \
               "." type " " GK_REGISTERS_##count "}, %" p0 ", %" p1 ", p, 1, 1, 0, " trans ";\n}"                  \
               : GK_OPERANDS_##count("+f", 0)                                                                      \
               : "l"(a), "l"(b), "r"(int(accumulate)))
#define GK_WGMMA_RS(n, count, p0, p1, p2, p3, p4, p5, type, trans)                                                   \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" p5 ", 0;\nwgmma.mma_async.sync.aligned.m64n" n "k16.f32." type   \
               "." type " " GK_REGISTERS_##count "}, {%" p0 ", %" p1 ", %" p2 ", %" p3 "}, %" p4 ", p, 1, 1, " trans \
                                                 ";\n}"                                                              \
               : GK_OPERANDS_##count("+f", 0)                                                                        \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(accumulate)))
#define GK_WGMMA_S8(n, count, p0, p1, p2)                                                          \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" p2 ", 0;\nwgmma.mma_async.sync.aligned.m64n" n \
               "k32.s32.s8.s8 " GK_REGISTERS_##count "}, %" p0 ", %" p1 ", p;\n}"                  \
               : GK_OPERANDS_##count("+r", 0)                                                      \
               : "l"(a), "l"(b), "r"(int(accumulate)))

#define GK_WGMMA_F8(n, count, p0, p1, p2, type)                                                                    \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" p2 ", 0;\nwgmma.mma_async.sync.aligned.m64n" n "k32.f32." type \
               "." type " " GK_REGISTERS_##count "}, %" p0 ", %" p1 ", p, 1, 1;\n}"                                \
               : GK_OPERANDS_##count("+f", 0)                                                                      \
               : "l"(a), "l"(b), "r"(int(accumulate)))

namespace gonka::ptx {

// T: f16 or bf16. TransposeB: B is stored with n contiguous.
template <class T, bool TransposeB = false>
GK_DEVICE void wgmma_m64(float (&d)[32], uint64_t a, uint64_t b, bool accumulate) {
  if constexpr (sizeof(T) == 2 && !TransposeB) {
    if constexpr (is_bf16<T>)
      GK_WGMMA_SS("64", 32, "32", "33", "34", "bf16", "0");
    else
      GK_WGMMA_SS("64", 32, "32", "33", "34", "f16", "0");
  } else {
    if constexpr (is_bf16<T>)
      GK_WGMMA_SS("64", 32, "32", "33", "34", "bf16", "1");
    else
      GK_WGMMA_SS("64", 32, "32", "33", "34", "f16", "1");
  }
}
template <class T, bool TransposeB = false>
GK_DEVICE void wgmma_m64(float (&d)[64], uint64_t a, uint64_t b, bool accumulate) {
  if constexpr (!TransposeB) {
    if constexpr (is_bf16<T>)
      GK_WGMMA_SS("128", 64, "64", "65", "66", "bf16", "0");
    else
      GK_WGMMA_SS("128", 64, "64", "65", "66", "f16", "0");
  } else {
    if constexpr (is_bf16<T>)
      GK_WGMMA_SS("128", 64, "64", "65", "66", "bf16", "1");
    else
      GK_WGMMA_SS("128", 64, "64", "65", "66", "f16", "1");
  }
}
template <class T, bool TransposeB = false>
GK_DEVICE void wgmma_m64(float (&d)[128], uint64_t a, uint64_t b, bool accumulate) {
  static_assert(!TransposeB);
  if constexpr (is_bf16<T>)
    GK_WGMMA_SS("256", 128, "128", "129", "130", "bf16", "0");
  else
    GK_WGMMA_SS("256", 128, "128", "129", "130", "f16", "0");
}
// A in registers, in the layout of an accumulator that was packed two by two; B with n contiguous.
template <class T, bool TransposeB>
GK_DEVICE void wgmma_m64(float (&d)[32], const uint32_t (&a)[4], uint64_t b, bool accumulate) {
  static_assert(TransposeB);
  if constexpr (is_bf16<T>)
    GK_WGMMA_RS("64", 32, "32", "33", "34", "35", "36", "37", "bf16", "1");
  else
    GK_WGMMA_RS("64", 32, "32", "33", "34", "35", "36", "37", "f16", "1");
}
template <class T, bool TransposeB>
GK_DEVICE void wgmma_m64(float (&d)[64], const uint32_t (&a)[4], uint64_t b, bool accumulate) {
  static_assert(TransposeB);
  if constexpr (is_bf16<T>)
    GK_WGMMA_RS("128", 64, "64", "65", "66", "67", "68", "69", "bf16", "1");
  else
    GK_WGMMA_RS("128", 64, "64", "65", "66", "67", "68", "69", "f16", "1");
}
template <class T, bool TransposeB>
GK_DEVICE void wgmma_m64(float (&d)[128], const uint32_t (&a)[4], uint64_t b, bool accumulate) {
  static_assert(TransposeB);
  if constexpr (is_bf16<T>)
    GK_WGMMA_RS("256", 128, "128", "129", "130", "131", "132", "133", "bf16", "1");
  else
    GK_WGMMA_RS("256", 128, "128", "129", "130", "131", "132", "133", "f16", "1");
}
// s8, exact.
GK_DEVICE void wgmma_m64_s8(int32_t (&d)[64], uint64_t a, uint64_t b, bool accumulate) {
  GK_WGMMA_S8("128", 64, "64", "65", "66");
}
GK_DEVICE void wgmma_m64_s8(int32_t (&d)[128], uint64_t a, uint64_t b, bool accumulate) {
  GK_WGMMA_S8("256", 128, "128", "129", "130");
}

// T: e4m3 or e5m2.
template <class T>
GK_DEVICE void wgmma_m64_f8(float (&d)[32], uint64_t a, uint64_t b, bool accumulate) {
  if constexpr (is_e5m2<T>)
    GK_WGMMA_F8("64", 32, "32", "33", "34", "e5m2");
  else
    GK_WGMMA_F8("64", 32, "32", "33", "34", "e4m3");
}
template <class T>
GK_DEVICE void wgmma_m64_f8(float (&d)[64], uint64_t a, uint64_t b, bool accumulate) {
  if constexpr (is_e5m2<T>)
    GK_WGMMA_F8("128", 64, "64", "65", "66", "e5m2");
  else
    GK_WGMMA_F8("128", 64, "64", "65", "66", "e4m3");
}

GK_DEVICE void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
GK_DEVICE void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int Left>
GK_DEVICE void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Left) : "memory");
}
// Tells the compiler that accumulators change at a wait; wgmma writes them behind its back.
template <class D, int N>
GK_DEVICE void wgmma_hold(D (&d)[N]) {
  GK_UNROLL
  for (int i = 0; i < N; ++i) {
    if constexpr (sizeof(D) == 4 && D(0.5f) != 0)
      asm volatile("" : "+f"(d[i])::"memory");
    else
      asm volatile("" : "+r"(d[i])::"memory");
  }
}
// Shared-memory descriptor of an operand tile in 128-byte swizzled rows; at is its first byte, 1024-byte aligned but
// for steps along a row. leading, stride: bytes between neighbouring atoms; see ptx.cuh.
template <class T>
GK_DEVICE uint64_t wgmma_descriptor(const T *at, uint32_t leading, uint32_t stride) {
  return uint64_t(shared_address(at) >> 4 & 0x3fff) | uint64_t(leading >> 4 & 0x3fff) << 16 |
         uint64_t(stride >> 4 & 0x3fff) << 32 | uint64_t(1) << 62;
}
// The descriptor of a tile that begins `bytes` (a multiple of 16) further on: one addition, where making it anew is
// four instructions beside every product. Shared memory ends before the address field does.
GK_DEVICE uint64_t wgmma_advance(uint64_t descriptor, uint32_t bytes) {
  return (descriptor & 0xffffffff00000000) | uint32_t(uint32_t(descriptor) + (bytes >> 4));
}

}  // namespace gonka::ptx

#endif
