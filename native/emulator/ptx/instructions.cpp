#include "ptx/instructions.hpp"

#include <cmath>

#include "number.hpp"

namespace gonka::emulator::translated {

float fma_directed(float a, float b, float c, rounding to) {
  const double product = double(a) * double(b), sum = product + double(c);
  if (!(std::fabs(sum) < HUGE_VAL)) return float(sum);
  // Knuth's two-sum: sum + error is exact.
  const double back = sum - product, error = (product - (sum - back)) + (double(c) - back);
  const bool zero = sum == 0 && error == 0;
  if (zero) return to == rounding::rm && std::signbit(product) != std::signbit(double(c)) ? -0.0f : float(sum);
  const bool negative = sum < 0 || (sum == 0 && error < 0);
  const bool down = to == rounding::rm || (to == rounding::rz && !negative);
  float f = float(sum);
  if (std::fabs(f) > 3.402823466e38f) f = f > 0 ? 3.402823466e38f : -3.402823466e38f;
  const auto above = [&](float x) { return double(x) > sum || (double(x) == sum && error < 0); };  // the exact sum
  const auto below = [&](float x) { return double(x) < sum || (double(x) == sum && error > 0); };
  if (down && above(f)) f = std::nextafterf(f, -HUGE_VALF);
  if (!down && below(f)) f = std::nextafterf(f, HUGE_VALF);
  return f;
}

float ex2_approx(float x) {
  return std::exp2(x);
}
float lg2_approx(float x) {
  return std::log2(x);
}
float rsqrt_approx(float x) {
  return float(1 / std::sqrt(double(x)));
}

double rcp_approx_ftz(double x) {
  const uint64_t upper = as_u64(x) & 0xffffffff00000000;
  const uint64_t sign = upper & 0x8000000000000000;
  if ((upper & 0x7ff0000000000000) == 0) return as_f64(sign | 0x7ff0000000000000);
  const uint64_t result = as_u64(1 / as_f64(upper)) & 0xffffffff00000000;
  if ((result & 0x7ff0000000000000) == 0) return as_f64(sign);
  return as_f64(result);
}
double rsqrt_approx_ftz(double x) {
  const uint64_t upper = as_u64(x) & 0xffffffff00000000;
  if ((upper & 0x7ff0000000000000) == 0) return as_f64((upper & 0x8000000000000000) | 0x7ff0000000000000);
  return as_f64(as_u64(1 / std::sqrt(as_f64(upper))) & 0xffffffff00000000);
}

float round_to_integral(float x, char mode) {
  switch (mode) {
    case 'z':
      return std::trunc(x);
    case 'm':
      return std::floor(x);
    case 'p':
      return std::ceil(x);
    default:
      return std::nearbyint(x);
  }
}
double round_to_integral(double x, char mode) {
  switch (mode) {
    case 'z':
      return std::trunc(x);
    case 'm':
      return std::floor(x);
    case 'p':
      return std::ceil(x);
    default:
      return std::nearbyint(x);
  }
}

float f16_to_f32(uint16_t x) {
  return gonka::f16_to_f32(x);
}
uint16_t f32_to_f16(float x) {
  return gonka::f32_to_f16(x);
}
float bf16_to_f32(uint16_t x) {
  return gonka::bf16_to_f32(x);
}
uint16_t f32_to_bf16(float x) {
  return gonka::f32_to_bf16(x);
}
uint32_t e4m3x2_to_f16x2(uint16_t x) {
  return f32_to_f16(e4m3_to_f32(uint8_t(x))) | uint32_t(f32_to_f16(e4m3_to_f32(uint8_t(x >> 8)))) << 16;
}
uint32_t e5m2x2_to_f16x2(uint16_t x) {
  return uint32_t(x & 0xff) << 8 | uint32_t(x >> 8) << 24;
}
uint32_t mul_f16x2(uint32_t a, uint32_t b) {
  const auto half = [](uint32_t x, uint32_t y) {  // 22 bits of product: exact in F32
    return uint32_t(gonka::f32_to_f16(gonka::f16_to_f32(uint16_t(x)) * gonka::f16_to_f32(uint16_t(y))));
  };
  return half(a, b) | half(a >> 16, b >> 16) << 16;
}

}  // namespace gonka::emulator::translated
