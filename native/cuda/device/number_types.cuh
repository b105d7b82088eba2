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

template <class T>
inline constexpr bool is_bf16 = false;
template <>
inline constexpr bool is_bf16<bf16> = true;
template <class T>
inline constexpr bool is_e5m2 = false;
template <>
inline constexpr bool is_e5m2<e5m2> = true;

// What a bulk tensor copy knows of a tensor in device memory: made by runtime::make_tensor_map on the host, opaque to
// kernels, passed to them inside their arguments (which must be GK_GRID_CONSTANT).
struct alignas(64) tensor_map {
  uint8_t opaque[128];
};

}  // namespace gonka::ptx
