// What gemm_pack makes on this backend: B, then B2, row by row, every row at a multiple of k_row_alignment. A pack is a
// plain operand that bulk copies and 16-byte loads can take wherever B itself began; any implementation multiplies it.
#pragma once

#include "gemm/gemm.hpp"

namespace gonka::cuda {

constexpr uint64_t k_row_alignment = 128;               // bytes; a line of L2
constexpr uint64_t k_largest_pack = uint64_t(1) << 46;  // bytes; as for any buffer

struct packed_layout {
  uint64_t row_bytes = 0, stride_bytes = 0;
  uint64_t matrix_bytes = 0;  // of B, and of B2
  uint64_t size = 0;
  bool too_large = false;  // the rest is then 0
};

inline packed_layout layout_of_pack(int64_t n, int64_t k, uint32_t type, bool pair) noexcept {
  packed_layout out;
  if (k > int64_t(1) << 40 || n > int64_t(1) << 40) return {.too_large = true};
  out.row_bytes = uint64_t(k) * dtype_size(type);
  out.stride_bytes = (out.row_bytes + k_row_alignment - 1) / k_row_alignment * k_row_alignment;
  if (out.stride_bytes != 0 && uint64_t(n) > k_largest_pack / 2 / out.stride_bytes) return {.too_large = true};
  out.matrix_bytes = uint64_t(n) * out.stride_bytes;
  out.size = out.matrix_bytes * (pair ? 2 : 1);
  return out;
}

// The same gemm with its packed B as a plain one; false if no pack can be that large.
inline bool unpacked(const gk_gemm &p, gk_gemm *out) noexcept {
  const bool pair = p.epilogue == GK_EPILOGUE_SWIGLU;
  const packed_layout layout = layout_of_pack(p.n, p.k, p.b_type, pair);
  if (layout.too_large) return false;
  *out = p;
  out->struct_size = sizeof *out;
  out->b_packed = 0;
  out->ldb = int64_t(layout.stride_bytes / dtype_size(p.b_type));
  if (pair) out->b2 = {.buffer = p.b.buffer, .offset = layout.matrix_bytes};
  return true;
}

}  // namespace gonka::cuda
