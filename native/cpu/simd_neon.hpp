// Four 32-bit lanes of Armv8-A Advanced SIMD. Include from *_neon*.cpp only; everything is local to the including file.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace gonka::cpu {
namespace {

struct lanes_neon {
  static constexpr int width = 4;
  using f32 = float32x4_t;
  using i32 = int32x4_t;

  static void prefetch(const void *p) { __builtin_prefetch(p); }

  static f32 zero() { return vdupq_n_f32(0); }
  static f32 set1(float v) { return vdupq_n_f32(v); }
  static f32 load(const float *p) { return vld1q_f32(p); }
  static void store(float *p, f32 v) { vst1q_f32(p, v); }
  static f32 fma(f32 a, f32 b, f32 c) { return vfmaq_f32(c, a, b); }
  static f32 fnma(f32 a, f32 b, f32 c) { return vfmsq_f32(c, a, b); }
  static f32 mul(f32 a, f32 b) { return vmulq_f32(a, b); }
  static f32 add(f32 a, f32 b) { return vaddq_f32(a, b); }
  static f32 sub(f32 a, f32 b) { return vsubq_f32(a, b); }
  static f32 div(f32 a, f32 b) { return vdivq_f32(a, b); }
  // NaN in either survives.
  static f32 min(f32 a, f32 b) { return vminq_f32(a, b); }
  static f32 max(f32 a, f32 b) { return vmaxq_f32(a, b); }
  static f32 round(f32 a) { return vrndnq_f32(a); }
  // a * 2^n for integers n in [-252, 254], in two steps because one exponent reaches only half as far.
  static f32 scale2(f32 a, f32 n) {
    const i32 whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1);
    const auto power = [](i32 e) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(e, vdupq_n_s32(127)), 23)); };
    return mul(mul(a, power(half)), power(vsubq_s32(whole, half)));
  }

  static i32 zero_i() { return vdupq_n_s32(0); }
  static i32 set1_i(int32_t v) { return vdupq_n_s32(v); }
  static i32 load_i(const void *p) { return vreinterpretq_s32_u8(vld1q_u8(static_cast<const uint8_t *>(p))); }
  static void store_i(void *p, i32 v) { vst1q_u8(static_cast<uint8_t *>(p), vreinterpretq_u8_s32(v)); }
  static i32 add_i(i32 a, i32 b) { return vaddq_s32(a, b); }
  static i32 sub_i(i32 a, i32 b) { return vsubq_s32(a, b); }
  static i32 xor_i(i32 a, i32 b) { return veorq_s32(a, b); }

  // The first n elements; the rest 0. Nothing behind them is read.
  static f32 load_f32(const float *p, int n) { return vreinterpretq_f32_s32(load_bytes(p, 4 * n)); }
  static f32 load_f16(const uint16_t *p, int n) { return widen_f16(load_u16(p, n)); }
  static f32 load_bf16(const uint16_t *p, int n) { return widen_bf16(load_u16(p, n)); }
  static i32 load_i32(const void *p, int n) { return load_bytes(p, 4 * n); }
  static void store_f32(float *p, f32 v, int n) { store_bytes(p, vreinterpretq_s32_f32(v), 4 * n); }
  static void store_f16(uint16_t *p, f32 v, int n) { store_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)), n); }
  static void store_bf16(uint16_t *p, f32 v, int n) {
    const uint32x4_t bits = vreinterpretq_u32_f32(v);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    store_u16(p, vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), rounded, quiet), 16), n);
  }
  static void store_i32(void *p, i32 v, int n) { store_bytes(p, v, 4 * n); }

  static f32 load_f16(const void *p) { return load_f16(static_cast<const uint16_t *>(p), 4); }
  static f32 load_bf16(const void *p) { return load_bf16(static_cast<const uint16_t *>(p), 4); }

  // 16 bytes of which the first n are there; the rest 0.
  static i32 load_bytes(const void *p, int64_t n) {
    if (n >= 16) return load_i(p);
    uint8_t bytes[16] = {};
    std::memcpy(bytes, p, size_t(n));
    return load_i(bytes);
  }
  static i32 as_i32(f32 v) { return vreinterpretq_s32_f32(v); }
  // Low and high half of every lane as 4 values of 16 bits.
  static void store_low16(void *p, i32 v) { store_u16(p, vmovn_u32(vreinterpretq_u32_s32(v)), 4); }
  static void store_high16(void *p, i32 v) { store_u16(p, vshrn_n_u32(vreinterpretq_u32_s32(v), 16), 4); }

  // r[i] lane j <-> r[j] lane i.
  static void transpose(i32 (&r)[4]) {
    const int32x4x2_t a = vtrnq_s32(r[0], r[1]), b = vtrnq_s32(r[2], r[3]);
    r[0] = vcombine_s32(vget_low_s32(a.val[0]), vget_low_s32(b.val[0]));
    r[1] = vcombine_s32(vget_low_s32(a.val[1]), vget_low_s32(b.val[1]));
    r[2] = vcombine_s32(vget_high_s32(a.val[0]), vget_high_s32(b.val[0]));
    r[3] = vcombine_s32(vget_high_s32(a.val[1]), vget_high_s32(b.val[1]));
  }

 private:
  static f32 widen_f16(uint16x4_t v) { return vcvt_f32_f16(vreinterpret_f16_u16(v)); }
  static f32 widen_bf16(uint16x4_t v) { return vreinterpretq_f32_u32(vshll_n_u16(v, 16)); }
  static uint16x4_t load_u16(const uint16_t *p, int n) {
    uint16_t elements[4] = {};
    std::memcpy(elements, p, size_t(n) * 2);
    return vld1_u16(elements);
  }
  static void store_u16(void *p, uint16x4_t v, int n) {
    uint16_t elements[4];
    vst1_u16(elements, v);
    std::memcpy(p, elements, size_t(n) * 2);
  }
  static void store_bytes(void *p, i32 v, int n) {
    int32_t elements[4];
    vst1q_s32(elements, v);
    std::memcpy(p, elements, size_t(n));
  }
};

}  // namespace
}  // namespace gonka::cpu
