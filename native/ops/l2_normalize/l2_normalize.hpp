// Division by the Euclidean norm: see gk_l2_normalize in gonka_backend.h for the definition.
#pragma once

#include "op.hpp"

namespace gonka {

// Order of l2_normalize_op.operands().
enum l2_normalize_operand { k_l2_normalize_x, k_l2_normalize_y };

void l2_normalize_reference(void *problem, operand_pointers pointers);

}  // namespace gonka
