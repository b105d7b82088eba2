// Gated activation: see gk_silu_mul in gonka_backend.h for the definition.
#pragma once

#include "op.hpp"

namespace gonka {

// Order of silu_mul_op.operands().
enum silu_mul_operand { k_silu_mul_gate, k_silu_mul_up, k_silu_mul_out };

void silu_mul_reference(void *problem, operand_pointers pointers);

}  // namespace gonka
