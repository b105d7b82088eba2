// Elements of any float type as F32, one at a time or 16 bytes at a time.
#pragma once

#include <type_traits>

#include "gonka_backend.h"
#include "ptx.cuh"

namespace gonka::cuda {

using namespace gonka::ptx;

inline constexpr float k_infinity = __builtin_huge_valf();

// Elements of a 16-byte load or store.
template <class T>
inline constexpr int k_unit = int(16 / sizeof(T));

template <class T>
GK_DEVICE float low_half(uint32_t packed) {
  return to_f32(T{uint16_t(packed & 0xffff)});
}
template <class T>
GK_DEVICE float high_half(uint32_t packed) {
  return to_f32(T{uint16_t(packed >> 16)});
}

template <class T>
GK_DEVICE void unpack(float (&v)[k_unit<T>], const u32x4 &bits) {
  const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
  GK_UNROLL
  for (int i = 0; i < 4; ++i) {
    if constexpr (sizeof(T) == 4) {
      v[i] = f32_of_bits(words[i]);
    } else {
      v[2 * i] = low_half<T>(words[i]);
      v[2 * i + 1] = high_half<T>(words[i]);
    }
  }
}

template <class T>
GK_DEVICE u32x4 pack(const float (&v)[k_unit<T>]) {
  uint32_t words[4];
  GK_UNROLL
  for (int i = 0; i < 4; ++i) {
    if constexpr (sizeof(T) == 4)
      words[i] = bits_of(v[i]);
    else
      words[i] = pack_f32x2<T>(v[2 * i], v[2 * i + 1]);
  }
  return {words[0], words[1], words[2], words[3]};
}

// N is 1 or k_unit<T>; the latter needs a 16-byte aligned address.
template <class T, int N>
GK_DEVICE void load_elements(float (&v)[N], gptr<const T> p) {
  if constexpr (N == 1)
    v[0] = to_f32(ld_global(p));
  else
    unpack<T>(v, ld_global(ptr_cast<const u32x4>(p)));
}

template <class T, int N>
GK_DEVICE void store_elements(gptr<T> p, const float (&v)[N]) {
  if constexpr (N == 1)
    st_global(p, from_f32<T>(v[0]));
  else
    st_global(ptr_cast<u32x4>(p), pack<T>(v));
}

// Element `index` of an array whose type is known at run time only.
GK_DEVICE float load_any(gptr<const uint8_t> base, uint32_t type, int64_t index) {
  if (type == GK_F32) return ld_global(ptr_cast<const float>(base) + index);
  const uint16_t bits = ld_global(ptr_cast<const uint16_t>(base) + index);
  return type == GK_F16 ? to_f32(f16{bits}) : to_f32(bf16{bits});
}

template <class T>
GK_DEVICE float round_to(float x) {
  return to_f32(from_f32<T>(x));
}

// Two F8 values in the low 16 bits, as two F16: exact. NaN stays NaN.
template <class T>
GK_DEVICE uint32_t f8_pair_to_f16(uint32_t pair) {
  if constexpr (std::is_same_v<T, e5m2>) {
    return (pair & 0xff) << 8 | (pair & 0xff00) << 16;  // E5M2 is the upper byte of an F16
  } else {
    return cvt_f16x2_e4m3x2(pair);
  }
}

// Vectors of four from shared memory, and products added without a choice of rounding.
GK_DEVICE void read_vector(float *v, sptr<float> from) {
  const f32x4 x = ld_shared(ptr_cast<const f32x4>(from));
  v[0] = x.x, v[1] = x.y, v[2] = x.z, v[3] = x.w;
}
GK_DEVICE void read_vector(int32_t *v, sptr<int32_t> from) {
  const u32x4 x = ld_shared(ptr_cast<const u32x4>(from));
  v[0] = int32_t(x.x), v[1] = int32_t(x.y), v[2] = int32_t(x.z), v[3] = int32_t(x.w);
}
GK_DEVICE float multiply_add(float a, float b, float c) {
  return fma(a, b, c);
}
GK_DEVICE int32_t multiply_add(int32_t a, int32_t b, int32_t c) {
  return int32_t(uint32_t(a * b) + uint32_t(c));
}

// Sum over the block, the same in every thread and for every run. scratch: 32 floats; a barrier stands before the
// first use and after the last, so that it can be used again at once.
GK_DEVICE float block_sum(float value, sptr<float> scratch, uint32_t threads) {
  GK_UNROLL
  for (uint32_t d = 16; d != 0; d /= 2) value += shfl_xor(value, d);
  bar_sync();
  if (lane_id() == 0) st_shared(scratch + warp_id(), value);
  bar_sync();
  float sum = 0;
  for (uint32_t w = 0; w < threads / 32; ++w) sum += ld_shared(scratch + w);
  return sum;
}

}  // namespace gonka::cuda
