// From an ABI type to a C++ type, on the host.
#pragma once

#include "device/runtime.hpp"

namespace gonka::cuda {

// Calls f.template operator()<T>() with the float type of `type`, which validate() has restricted to these three.
template <class F>
void with_float_type(uint32_t type, F &&f) {
  if (type == GK_F32)
    f.template operator()<float>();
  else if (type == GK_F16)
    f.template operator()<ptx::f16>();
  else
    f.template operator()<ptx::bf16>();
}

inline bool aligned_16(const void *p) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// For kernels with one block per row: the grid's x extent ends at 2^31 - 1.
template <class Problem>
const char *reject_rows(const void *problem, const capability &) {
  return static_cast<const Problem *>(problem)->rows > 0x7fffffff ? "more than 2^31 - 1 rows" : nullptr;
}

}  // namespace gonka::cuda
