// RMS normalisation: see gk_rms_norm in gonka_backend.h for the definition.
#pragma once

#include "op.hpp"

namespace gonka {

// Order of rms_norm_op.operands(). sum is there if and only if residual, reflector or both are.
enum rms_norm_operand {
  k_rms_norm_x,
  k_rms_norm_residual,
  k_rms_norm_sum,
  k_rms_norm_w,
  k_rms_norm_y,
  k_rms_norm_reflector
};

void rms_norm_reference(void *problem, operand_pointers pointers);

}  // namespace gonka
