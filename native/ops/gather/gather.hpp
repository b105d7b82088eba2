// Picking rows and columns: see gk_gather in gonka_backend.h for the definition.
#pragma once

#include "op.hpp"

namespace gonka {

// Order of gather_op.operands().
enum gather_operand { k_gather_x, k_gather_row_index, k_gather_column_index, k_gather_out };

void gather_reference(void *problem, operand_pointers pointers);

}  // namespace gonka
