// Householder reflection: see gk_householder in gonka_backend.h for the definition.
//
// For F16 and BF16 the dot product is the sum of the rounded products, taken in F64 and then rounded to F32 and to the
// type. The half-precision reference sums in F32 in an order of its own; F64 makes the result independent of any order
// up to ties of measure zero, so implementations agree with each other and differ from the reference only where its own
// F32 error crosses a rounding boundary (by one ulp of the dot product).
#pragma once

#include "op.hpp"

namespace gonka {

// Order of householder_op.operands().
enum householder_operand { k_householder_x, k_householder_v };

void householder_reference(void *problem, operand_pointers pointers);

}  // namespace gonka
