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

}  // namespace gonka
