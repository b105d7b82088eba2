// Operand and instruction descriptors of tcgen05.mma. PTX ISA 9.0, sections "Shared memory descriptor" (table of its
// bits) and "Instruction descriptor" of the tcgen05 chapter. Host and device.
#pragma once

#include <cstdint>

namespace gonka::ptx {

enum class tcgen05_kind : uint32_t { f16, f8f6f4, i8 };  // f16: F16 and BF16; f8f6f4: E4M3 and E5M2

// Element types of A and B; the value is what the instruction descriptor of their kind wants.
enum class tcgen05_element : uint32_t { f16 = 0, bf16 = 1, e4m3 = 0, e5m2 = 1, s8 = 1 };

// Dense, both operands with k contiguous. integer: D is S32, otherwise F32. m 128; n a multiple of 16 up to 256.
constexpr uint32_t tcgen05_instruction(tcgen05_element a, tcgen05_element b, bool integer, uint32_t m, uint32_t n) {
  return (integer ? 2u : 1u) << 4 | uint32_t(a) << 7 | uint32_t(b) << 10 | (n >> 3) << 17 | (m >> 4) << 24;
}

// An operand in rows of 128 bytes of k with the 128-byte swizzle, eight rows to an atom of 1024 bytes. address: of its
// first byte in shared memory, 1024-byte aligned but for steps of 32 bytes along a row. stride: from eight rows to the
// next eight. Bits 46 to 48 are the constant 1; the leading dimension is not used by this layout.
constexpr uint64_t tcgen05_operand(uint32_t address, uint32_t stride) {
  return uint64_t(address >> 4 & 0x3fff) | uint64_t(stride >> 4 & 0x3fff) << 32 | uint64_t(1) << 46 | uint64_t(2) << 61;
}

}  // namespace gonka::ptx
