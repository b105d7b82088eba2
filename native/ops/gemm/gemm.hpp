// GEMM: see gk_gemm in gonka_backend.h for the definition.
#pragma once

#include "op.hpp"

namespace gonka {

// Order of gemm_op.operands().
enum gemm_operand {
  k_gemm_a,
  k_gemm_b,
  k_gemm_c,
  k_gemm_d,
  k_gemm_b2,
  k_gemm_a_scale,
  k_gemm_b_scale,
  k_gemm_b2_scale
};

// Largest extent and leading dimension gemm takes: products of two of them and an element size stay below 2^84 and are
// checked against 2^62, so that no later sum of offsets can overflow.
inline constexpr int64_t k_gemm_max_extent = int64_t(1) << 40;

// Checks a request to pack as gemm_op.validate checks a gemm: everything but the buffers.
gk_status gemm_pack_validate(const gk_gemm_pack &pack, gk_error *err) noexcept;

// What the compiled-in types of gk_gemm say: may these three go together?
bool gemm_types_known(uint32_t a_type, uint32_t b_type, uint32_t d_type) noexcept;

}  // namespace gonka
