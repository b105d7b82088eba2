// Distance of shuffled, normalised rows from a target: see gk_permuted_distance in gonka_backend.h for the definition.
#pragma once

#include <cstdint>
#include <vector>

#include "op.hpp"

namespace gonka {

// Order of permuted_distance_op.operands().
enum permuted_distance_operand { k_distance_x, k_distance_target, k_distance_out };

void permuted_distance_reference(void *problem, operand_pointers pointers);

// NumPy's pairwise sum of `count` terms as a list: leaves of up to 128 terms from left to right. After the sum of a
// leaf is there, the last two sums that are not yet joined are added, `joins` times.
struct sum_leaf {
  uint32_t begin, count, joins;
};

// count < 2^32.
std::vector<sum_leaf> pairwise_leaves(uint32_t count);

}  // namespace gonka
