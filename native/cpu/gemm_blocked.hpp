// Blocked gemm over an instruction set's kernel, and the packed form of B.
#pragma once

#include "gemm/gemm.hpp"
#include "gemm_kernel.hpp"
#include "implementation.hpp"

namespace gonka::cpu {

// The packed form of B: this header, padded to k_packed_header bytes, then ceil(n / columns) panels of
// [ceil(k / group)][columns] units; a pair has columns / 2 of B and of B2 in each panel.
struct gemm_packed {
  uint64_t magic;
  uint32_t layout, b_type;
  uint32_t pair;
  uint32_t reserved;
  int64_t n, k;
  uint64_t bytes;  // header included
};

inline constexpr uint64_t k_packed_header = 64;

// Columns of D that one panel serves, panels for n columns, and bytes of one panel.
int64_t panel_outputs(const gemm_kernel &kernel, bool pair) noexcept;
int64_t panel_count(const gemm_kernel &kernel, int64_t n, bool pair) noexcept;
uint64_t panel_bytes(const gemm_kernel &kernel, int64_t k) noexcept;

uint64_t packed_bytes(const gemm_kernel &kernel, const gk_gemm_pack &pack) noexcept;
void pack_weights(const gemm_kernel &kernel, const gk_gemm_pack &pack, const void *b, const void *b2, void *packed,
                  context &ctx);

// Null if `packed` (of which `size` bytes are there) is B of this problem in the kernel's layout, else why not.
const char *refuse_packed(const gemm_kernel &kernel, const gk_gemm &p, const void *packed, uint64_t size) noexcept;

// The same for turning it back into plain rows, which works for every layout.
const char *refuse_unpacking(const gk_gemm &p, const void *packed, uint64_t size) noexcept;
// Writes B (and B2 of a pair) as dense [n, k]: bit for bit what was packed.
void unpack_weights(const void *packed, std::byte *b, std::byte *b2);

// p is valid and fits the kernel.
void run_blocked(const gemm_kernel &kernel, const gk_gemm &p, operand_pointers pointers, context &ctx);

}  // namespace gonka::cpu
