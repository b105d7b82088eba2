// What translated code calls for arithmetic: PTX instructions that are not one C++ operator. Semantics from PTX ISA,
// "Integer Arithmetic", "Floating Point", "Logic and Shift", "Data Movement and Conversion" instructions. Included by
// every translated module, so it includes little.
#pragma once

#include <cstddef>
#include <cstdint>

#define GK_INLINE [[gnu::always_inline]] inline

namespace gonka::emulator::translated {

__extension__ using u128 = unsigned __int128;
__extension__ using s128 = __int128;

GK_INLINE float as_f32(uint32_t x) {
  return __builtin_bit_cast(float, x);
}
GK_INLINE double as_f64(uint64_t x) {
  return __builtin_bit_cast(double, x);
}
GK_INLINE uint32_t as_u32(float x) {
  return __builtin_bit_cast(uint32_t, x);
}
GK_INLINE uint64_t as_u64(double x) {
  return __builtin_bit_cast(uint64_t, x);
}

// Counts of at least the width shift everything out.
template <class T>
GK_INLINE T shl(T x, uint32_t n) {
  return n < sizeof(T) * 8 ? T(x << n) : T(0);
}
template <class T>
GK_INLINE T shr(T x, uint32_t n) {  // of a signed type: arithmetic
  if (n < sizeof(T) * 8) return T(x >> n);
  return x < T(0) ? T(-1) : T(0);
}
// shf: the upper or lower word of high:low shifted by n, wrapped or clamped to 32.
GK_INLINE uint32_t shf_left(uint32_t low, uint32_t high, uint32_t n) {
  return uint32_t((uint64_t(high) << 32 | low) << n >> 32);
}
GK_INLINE uint32_t shf_right(uint32_t low, uint32_t high, uint32_t n) {
  return uint32_t((uint64_t(high) << 32 | low) >> n);
}
GK_INLINE uint32_t clamp_to_32(uint32_t n) {
  return n < 32 ? n : 32;
}

GK_INLINE uint32_t mul_hi(uint32_t a, uint32_t b) {
  return uint32_t(uint64_t(a) * b >> 32);
}
GK_INLINE int32_t mul_hi(int32_t a, int32_t b) {
  return int32_t(int64_t(a) * b >> 32);
}
GK_INLINE uint64_t mul_hi(uint64_t a, uint64_t b) {
  return uint64_t(u128(a) * b >> 64);
}
GK_INLINE int64_t mul_hi(int64_t a, int64_t b) {
  return int64_t(s128(a) * b >> 64);
}

// Division by zero has no specified result on the device; it must not end the host process either.
template <class T>
GK_INLINE T divide(T a, T b) {
  if (b == 0) return T(-1);
  if (T(-1) < T(0) && b == T(-1)) return T(uint64_t(0) - uint64_t(a));
  return T(a / b);
}
template <class T>
GK_INLINE T remainder(T a, T b) {
  if (b == 0) return a;
  if (T(-1) < T(0) && b == T(-1)) return T(0);
  return T(a % b);
}

template <class T>
GK_INLINE T min_of(T a, T b) {
  return a < b ? a : b;
}
template <class T>
GK_INLINE T max_of(T a, T b) {
  return a > b ? a : b;
}
// The operand that is a number wins over NaN; -0 is below +0.
template <class T>
GK_INLINE T fmin_of(T a, T b) {
  if (a != a) return b;
  if (b != b) return a;
  return a < b || (a == b && __builtin_signbit(a)) ? a : b;
}
template <class T>
GK_INLINE T fmax_of(T a, T b) {
  if (a != a) return b;
  if (b != b) return a;
  return a > b || (a == b && !__builtin_signbit(a)) ? a : b;
}

// Bytes of b:a picked by the nibbles of c; bit 3 of a nibble spreads the byte's sign.
GK_INLINE uint32_t prmt(uint32_t a, uint32_t b, uint32_t c) {
  const uint64_t bytes = uint64_t(b) << 32 | a;
  uint32_t result = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t pick = c >> (4 * i);
    uint32_t byte = uint32_t(bytes >> ((pick & 7) * 8)) & 0xff;
    if (pick & 8) byte = byte & 0x80 ? 0xff : 0;
    result |= byte << (8 * i);
  }
  return result;
}
// f's low `length` bits into b at `start`; both counts have 8 bits and clamp to the width.
template <class T>
GK_INLINE T bfi(T f, T b, uint32_t start, uint32_t length) {
  constexpr uint32_t bits = sizeof(T) * 8;
  start &= 0xff;
  length &= 0xff;
  if (start >= bits || length == 0) return b;
  const T mask = T((length >= bits ? T(-1) : T((T(1) << length) - 1)) << start);
  return T((T(f << start) & mask) | (b & T(~mask)));
}
// `length` bits of a from `start`, signed ones extended from the last bit that exists.
template <class T, class U>
GK_INLINE T bfe(T a, U, uint32_t start, uint32_t length) {
  constexpr uint32_t bits = sizeof(T) * 8;
  start &= 0xff;
  length &= 0xff;
  const U x = U(a);
  const uint32_t last = start + length - 1 < bits - 1 ? start + length - 1 : bits - 1;
  const bool sign = T(-1) < T(0) && length != 0 && (x >> last & 1);
  U result = sign ? U(-1) : U(0);
  for (uint32_t i = 0; i < length && i < bits; ++i) {
    const U bit = start + i < bits ? U(x >> (start + i) & 1) : U(sign);
    result = U((result & U(~(U(1) << i))) | U(bit << i));
  }
  return T(result);
}
GK_INLINE uint32_t brev(uint32_t x) {
  uint32_t r = 0;
  for (uint32_t i = 0; i < 32; ++i) r |= (x >> i & 1) << (31 - i);
  return r;
}

// ------------------------------------------------------------------------------------------------- floating point

enum class rounding : uint8_t { rn, rz, rm, rp };

// The F32 next to the exact a b + c in the direction asked for: product exact in double, sum with its error.
float fma_directed(float a, float b, float c, rounding to);
GK_INLINE float fma_rn(float a, float b, float c) {
  return __builtin_fmaf(a, b, c);
}
GK_INLINE double fma_rn(double a, double b, double c) {
  return __builtin_fma(a, b, c);
}
GK_INLINE float saturate(float x) {  // NaN gives +0
  return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f;
}
GK_INLINE double saturate(double x) {
  return x > 0 ? (x < 1 ? x : 1.0) : 0.0;
}
GK_INLINE float flushed(float x) {
  return (as_u32(x) & 0x7f800000) == 0 ? as_f32(as_u32(x) & 0x80000000) : x;
}

float ex2_approx(float x);
float lg2_approx(float x);
float rsqrt_approx(float x);
// Of the upper 32 bits of x, with the lower 32 bits of the result zero; subnormals count as zero.
double rcp_approx_ftz(double x);
double rsqrt_approx_ftz(double x);

// To an integer, out of range to the nearest one, NaN to 0. mode: i n, z, m, p.
float round_to_integral(float x, char mode);
double round_to_integral(double x, char mode);
template <class T>
GK_INLINE T to_integer(double integral) {
  if (integral != integral) return T(0);
  constexpr bool is_signed = T(-1) < T(0);
  constexpr double half = double(uint64_t(1) << (sizeof(T) * 8 - 1));
  constexpr double top = is_signed ? half : 2 * half;
  if (integral >= top) return is_signed ? T(uint64_t(-1) >> (65 - sizeof(T) * 8)) : T(-1);
  if (is_signed && integral < -top) return T(uint64_t(1) << (sizeof(T) * 8 - 1));
  if (!is_signed && integral < 0) return T(0);
  return T(integral);
}

template <class T, class V>
GK_INLINE T saturate_integer(V x) {
  constexpr s128 top = T(-1) < T(0) ? (s128(1) << (sizeof(T) * 8 - 1)) - 1 : (s128(1) << (sizeof(T) * 8)) - 1;
  constexpr s128 bottom = T(-1) < T(0) ? -top - 1 : 0;
  return s128(x) > top ? T(top) : s128(x) < bottom ? T(bottom) : T(x);
}

float f16_to_f32(uint16_t x);
uint16_t f32_to_f16(float x);
float bf16_to_f32(uint16_t x);
uint16_t f32_to_bf16(float x);
uint32_t e4m3x2_to_f16x2(uint16_t x);
uint32_t e5m2x2_to_f16x2(uint16_t x);
uint32_t mul_f16x2(uint32_t a, uint32_t b);

}  // namespace gonka::emulator::translated
