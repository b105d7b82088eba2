// Conversions between F32 and the short float formats, bit-exact, round to nearest even. Plain C++.
// Kept in an unnamed namespace so that a copy compiled with wider instructions never replaces another file's.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace gonka {
namespace {

[[maybe_unused]] inline float f16_to_f32(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000) << 16;
  const uint32_t exponent = (h >> 10) & 0x1f;
  const uint32_t fraction = h & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000 | (fraction << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  const float magnitude = float(fraction) * 0x1p-24f;  // exact: subnormal halves are multiples of 2^-24
  return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
}

[[maybe_unused]] inline uint16_t f32_to_f16(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  const uint16_t sign = uint16_t((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return uint16_t(sign | 0x7e00 | ((magnitude >> 13) & 0x1ff));
  if (magnitude >= 0x477ff000) return uint16_t(sign | 0x7c00);     // 65520 and above round to infinity
  if (magnitude < 0x38800000) {                                    // below 2^-14: subnormal or zero
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;  // ulp of 0.5 is 2^-24: the add does the rounding
    return uint16_t(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000));
  }
  const uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return uint16_t(sign | ((rounded - 0x38000000) >> 13));
}

[[maybe_unused]] inline float bf16_to_f32(uint16_t h) {
  return std::bit_cast<float>(uint32_t(h) << 16);
}

[[maybe_unused]] inline uint16_t f32_to_bf16(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  if ((bits & 0x7fffffff) > 0x7f800000) return uint16_t((bits >> 16) | 0x40);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// OCP OFP8 E4M3: bias 7, no infinity, S.1111.111 is NaN.
[[maybe_unused]] inline float e4m3_to_f32(uint8_t v) {
  const uint32_t sign = uint32_t(v & 0x80) << 24;
  const uint32_t exponent = (v >> 3) & 0xf;
  const uint32_t fraction = v & 7;
  if (exponent == 0xf && fraction == 7) return std::bit_cast<float>(sign | 0x7fc00000);
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 120) << 23) | (fraction << 20));
  return std::bit_cast<float>(std::bit_cast<uint32_t>(float(fraction) * 0x1p-9f) | sign);
}

// OCP OFP8 E5M2 is the upper byte of an F16.
[[maybe_unused]] inline float e5m2_to_f32(uint8_t v) {
  return f16_to_f32(uint16_t(v << 8));
}

}  // namespace
}  // namespace gonka
