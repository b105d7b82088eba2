// The device side of ptx.cuh. Include ptx.cuh.
#pragma once

#define GK_DEVICE __device__ __forceinline__
#define GK_KERNEL(threads, blocks_per_sm) __global__ void __launch_bounds__(threads, blocks_per_sm)
#define GK_UNROLL _Pragma("unroll")
#define GK_UNROLL_4 _Pragma("unroll 4")
#define GK_NO_UNROLL _Pragma("unroll 1")
#define GK_GRID_CONSTANT const __grid_constant__

namespace gonka::ptx {

template <class T>
struct same {
  using type = T;
};

template <class T>
using gptr = T *;
template <class T>
using sptr = T *;

struct index3 {
  uint32_t x, y, z;
};

GK_DEVICE index3 thread_idx() {
  return {threadIdx.x, threadIdx.y, threadIdx.z};
}
GK_DEVICE index3 block_idx() {
  return {blockIdx.x, blockIdx.y, blockIdx.z};
}
GK_DEVICE index3 block_dim() {
  return {blockDim.x, blockDim.y, blockDim.z};
}
GK_DEVICE index3 grid_dim() {
  return {gridDim.x, gridDim.y, gridDim.z};
}
GK_DEVICE uint32_t lane_id() {
  return threadIdx.x % 32;
}  // blocks are one-dimensional wherever lanes matter
GK_DEVICE uint32_t warp_id() {
  return threadIdx.x / 32;
}

// ---------------------------------------------------------------------------------------------------------- memory

extern __shared__ __align__(1024) uint8_t gk_shared_memory[];

template <class T>
GK_DEVICE sptr<T> shared_at(uint32_t offset) {
  return reinterpret_cast<T *>(gk_shared_memory + offset);
}
template <class U, class T>
GK_DEVICE U *ptr_cast(T *p) {
  return reinterpret_cast<U *>(p);
}
GK_DEVICE uint32_t shared_address(const void *p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}
template <class T>
GK_DEVICE bool is_aligned(T *p, uint32_t bytes) {
  return reinterpret_cast<uintptr_t>(p) % bytes == 0;
}

template <class T>
GK_DEVICE T ld_global(const T *p) {
  return *p;
}
GK_DEVICE u32x4 ld_global(const u32x4 *p) {
  const uint4 v = *reinterpret_cast<const uint4 *>(p);
  return {v.x, v.y, v.z, v.w};
}
template <class T>
GK_DEVICE void st_global(T *p, typename same<T>::type value) {
  *p = value;
}
GK_DEVICE void st_global(u32x4 *p, u32x4 v) {
  *reinterpret_cast<uint4 *>(p) = make_uint4(v.x, v.y, v.z, v.w);
}
template <class T>
GK_DEVICE T ld_shared(const T *p) {
  return *p;
}
GK_DEVICE u32x4 ld_shared(const u32x4 *p) {
  const uint4 v = *reinterpret_cast<const uint4 *>(p);
  return {v.x, v.y, v.z, v.w};
}
template <class T>
GK_DEVICE void st_shared(T *p, typename same<T>::type value) {
  *p = value;
}
GK_DEVICE void st_shared(u32x4 *p, u32x4 v) {
  *reinterpret_cast<uint4 *>(p) = make_uint4(v.x, v.y, v.z, v.w);
}

// Relaxed, device scope.
GK_DEVICE uint32_t atom_add_global(uint32_t *p, uint32_t v) {
  return atomicAdd(p, v);
}
GK_DEVICE uint32_t atom_min_global(uint32_t *p, uint32_t v) {
  return atomicMin(p, v);
}
GK_DEVICE uint32_t atom_add_shared(uint32_t *p, uint32_t v) {
  return atomicAdd(p, v);
}
// Acquire and release, device scope: orders everything this thread knows of before and after it.
GK_DEVICE uint32_t atom_add_acq_rel_global(uint32_t *p, uint32_t v) {
  uint32_t old;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;" : "=r"(old) : "l"(p), "r"(v) : "memory");
  return old;
}

// ------------------------------------------------------------------------------------------------ barriers and lanes

GK_DEVICE void bar_sync() {
  __syncthreads();
}
GK_DEVICE void bar_sync(uint32_t id, uint32_t threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
GK_DEVICE void bar_arrive(uint32_t id, uint32_t threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
GK_DEVICE void bar_warp_sync() {
  __syncwarp();
}

template <class T>
GK_DEVICE T shfl_idx(T value, uint32_t lane) {
  return __shfl_sync(0xffffffff, value, lane);
}
template <class T>
GK_DEVICE T shfl_xor(T value, uint32_t mask) {
  return __shfl_xor_sync(0xffffffff, value, mask);
}
template <class T>
GK_DEVICE T shfl_up(T value, uint32_t distance) {
  return __shfl_up_sync(0xffffffff, value, distance);
}
template <class T>
GK_DEVICE T shfl_down(T value, uint32_t distance) {
  return __shfl_down_sync(0xffffffff, value, distance);
}
GK_DEVICE uint32_t vote_ballot(bool predicate) {
  return __ballot_sync(0xffffffff, predicate);
}
GK_DEVICE bool vote_any(bool predicate) {
  return __any_sync(0xffffffff, predicate) != 0;
}
GK_DEVICE bool vote_all(bool predicate) {
  return __all_sync(0xffffffff, predicate) != 0;
}

// ---------------------------------------------------------------------------------------------------- copies (sm_80)

template <class D, class S>
GK_DEVICE void cp_async_16(D *to, const S *from, uint32_t valid_bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid_bytes)
               : "memory");
}
template <class D, class S>
GK_DEVICE void cp_async_8(D *to, const S *from, uint32_t valid_bytes) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid_bytes)
               : "memory");
}
template <class D, class S>
GK_DEVICE void cp_async_4(D *to, const S *from, uint32_t valid_bytes) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid_bytes)
               : "memory");
}
GK_DEVICE void cp_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int Left>
GK_DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Left) : "memory");
}

// ---------------------------------------------------------------------------------------------------------- matrices

template <class T>
GK_DEVICE void ldmatrix_x4(uint32_t (&r)[4], const T *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
template <class T>
GK_DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], const T *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
template <class T>
GK_DEVICE void ldmatrix_x2(uint32_t (&r)[2], const T *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
template <class T>
GK_DEVICE void stmatrix_x4(T *row, const uint32_t (&r)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)), "r"(r[0]),
               "r"(r[1]), "r"(r[2]), "r"(r[3])
               : "memory");
}
#endif

// d += a b. T: f16 or bf16.
template <class T>
GK_DEVICE void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
template <>
GK_DEVICE void mma_m16n8k16<f16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
template <>
GK_DEVICE void mma_m16n8k16<bf16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
GK_DEVICE void mma_m16n8k32_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 890
// T: e4m3 or e5m2. Sums keep about 14 bits on sm_89 and sm_90.
template <class T>
GK_DEVICE void mma_m16n8k32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
template <>
GK_DEVICE void mma_m16n8k32<e4m3>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
template <>
GK_DEVICE void mma_m16n8k32<e5m2>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.f32.e5m2.e5m2.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

// ----------------------------------------------------------------------------------------------------------- numbers

GK_DEVICE float fma(float a, float b, float c) {
  return __fmaf_rn(a, b, c);
}
GK_DEVICE double fma(double a, double b, double c) {
  return __fma_rn(a, b, c);
}
GK_DEVICE float max_f32(float a, float b) {  // of a number and NaN: the number
  return fmaxf(a, b);
}
GK_DEVICE float ex2_approx(float x) {  // 2^x, relative error 2^-22; flushes subnormal results
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
GK_DEVICE float rcp_approx(float x) {  // 1 / x, at most 1 ulp; flushes subnormal results
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
GK_DEVICE float lg2_approx(float x) {
  float y;
  asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
GK_DEVICE float sqrt_rn(float x) {
  return __fsqrt_rn(x);
}
GK_DEVICE float div_rn(float a, float b) {
  return __fdiv_rn(a, b);
}
GK_DEVICE float exp_f32(float x) {
  return expf(x);
}  // at most 2 ulp
GK_DEVICE float log_f32(float x) {
  return logf(x);
}  // at most 1 ulp
GK_DEVICE float sin_f32(float x) {
  return sinf(x);
}  // at most 2 ulp
GK_DEVICE float cos_f32(float x) {
  return cosf(x);
}  // at most 2 ulp
GK_DEVICE double sqrt_f64(double x) {
  return __dsqrt_rn(x);
}
GK_DEVICE double exp_f64(double x) {
  return exp(x);
}
GK_DEVICE double log1p_f64(double x) {
  return log1p(x);
}
GK_DEVICE uint32_t bits_of(float x) {
  return __float_as_uint(x);
}
GK_DEVICE float f32_of_bits(uint32_t x) {
  return __uint_as_float(x);
}
GK_DEVICE uint64_t mul_hi(uint64_t a, uint64_t b) {
  return __umul64hi(a, b);
}
GK_DEVICE uint32_t mul_hi(uint32_t a, uint32_t b) {
  return __umulhi(a, b);
}
GK_DEVICE uint32_t rotate_right(uint32_t x, uint32_t n) {
  return __funnelshift_r(x, x, n);
}

GK_DEVICE float to_f32(float x) {
  return x;
}
GK_DEVICE float to_f32(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
GK_DEVICE float to_f32(bf16 x) {
  return __uint_as_float(uint32_t(x.bits) << 16);
}

// Two E4M3 in the low 16 bits to two F16, exactly.
GK_DEVICE uint32_t cvt_f16x2_e4m3x2(uint32_t pair) {
  uint32_t y;
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 890
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(y) : "h"(uint16_t(pair)));
#else
  // The 7 magnitude bits, moved to F16's exponent and fraction, read as 2^-8 of the value: biases are 15 and 7.
  const uint32_t spread = (pair & 0xff) | (pair & 0xff00) << 8;
  const uint32_t small = (spread & 0x007f007f) << 7 | (spread & 0x00800080) << 8;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(y) : "r"(small), "r"(0x5c005c00));  // 2^8
  if ((pair & 0x7f) == 0x7f) y |= 0x7fff;
  if ((pair & 0x7f00) == 0x7f00) y |= 0x7fff0000;
#endif
  return y;
}

template <class T>
GK_DEVICE T from_f32(float x);
template <>
GK_DEVICE float from_f32<float>(float x) {
  return x;
}
template <>
GK_DEVICE f16 from_f32<f16>(float x) {
  f16 y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
template <>
GK_DEVICE bf16 from_f32<bf16>(float x) {
  bf16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
// Two values in one register, the first in the low half.
template <class T>
GK_DEVICE uint32_t pack_f32x2(float low, float high);
template <>
GK_DEVICE uint32_t pack_f32x2<f16>(float low, float high) {
  uint32_t y;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}
template <>
GK_DEVICE uint32_t pack_f32x2<bf16>(float low, float high) {
  uint32_t y;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}

}  // namespace gonka::ptx

#include "bulk_nvcc.cuh"
#include "tcgen05_nvcc.cuh"
#include "wgmma_nvcc.cuh"
