// Warp-wide matrix instructions of PTX on registers and shared memory: fragment layouts from the PTX ISA document,
// sections "Matrix Fragments for mma.m16n8k16 / m16n8k32" and "ldmatrix".
#pragma once

#include <cstdint>

#include "emulator.hpp"

namespace gonka::emulator {

enum class element : uint8_t { f16, bf16, e4m3, e5m2 };

// count in {1, 2, 4} matrices of 8x8 16-bit elements; row addresses are shared offsets, from lanes 8 i .. 8 i + 7.
void ldmatrix(uint32_t *registers, uint32_t count, bool transposed, uint32_t row_offset, site at);
void stmatrix(const uint32_t *registers, uint32_t count, bool transposed, uint32_t row_offset, site at);

// d += a b; m16n8k16 for 16-bit elements, m16n8k32 for 8-bit ones.
void mma(element type, float *d, const uint32_t *a, const uint32_t *b, site at);
void mma_s8(int32_t *d, const uint32_t *a, const uint32_t *b, site at);

}  // namespace gonka::emulator
