// wgmma: asynchronous matrix products of a warp group on shared memory, after PTX ISA, "Asynchronous Warpgroup Level
// Matrix Multiply-Accumulate". Each warp owns 16 of the 64 rows and computes them when it waits.
#pragma once

#include "machine.hpp"
#include "matrix.hpp"

namespace gonka::emulator {

enum class wgmma_type : uint8_t { f16, bf16, s8, e4m3, e5m2 };

// One instruction as a lane gives it. a_registers null: A is described by a.
struct wgmma_operands {
  wgmma_type type;
  uint32_t n;
  void *d;  // n / 2 accumulators of this lane, float or int32_t
  uint64_t a, b;
  const uint32_t *a_registers;
  bool transpose_b, accumulate;
};

void wgmma_issue(const wgmma_operands &operands, site at);
void wgmma_fence(site at);
void wgmma_commit(site at);
void wgmma_wait(uint32_t groups_left, site at);

}  // namespace gonka::emulator
