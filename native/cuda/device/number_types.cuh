// Bits of short floats and of vectors in memory; no arithmetic. Same size and layout on host and device.
#pragma once

#include <cstdint>

namespace gonka::ptx {

struct f16 {
  uint16_t bits;
};
struct bf16 {
  uint16_t bits;
};
struct e4m3 {
  uint8_t bits;
};
struct e5m2 {
  uint8_t bits;
};

// Units of vector loads and stores; addresses must be multiples of the size.
struct alignas(8) u32x2 {
  uint32_t x, y;
};
struct alignas(16) u32x4 {
  uint32_t x, y, z, w;
};
struct alignas(8) f32x2 {
  float x, y;
};
struct alignas(16) f32x4 {
  float x, y, z, w;
};

}  // namespace gonka::ptx
