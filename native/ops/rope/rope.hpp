// Rotary position embedding: see gk_rope in gonka_backend.h for the definition.
#pragma once

#include "op.hpp"

namespace gonka {

// Order of rope_op.operands().
enum rope_operand { k_rope_x, k_rope_table, k_rope_positions };

void rope_reference(void *problem, operand_pointers pointers);

}  // namespace gonka
