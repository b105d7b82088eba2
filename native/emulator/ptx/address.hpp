// Addresses and places as translated code gives them; see machine_instructions.hpp.
#pragma once

#include "machine.hpp"

namespace gonka::emulator::translated {

constexpr uint64_t k_generic_shared = uint64_t(1) << 62;
constexpr uint32_t k_rank_shift = 24;
constexpr uint32_t k_offset_mask = (1u << k_rank_shift) - 1;

// The line of the running kernel's PTX.
site here(int line);

// Offset in the running block's own shared memory; another block's is a finding.
inline uint32_t own_offset(uint32_t address, const char *what, int line) {
  const uint32_t rank = address >> k_rank_shift;
  if (rank != 0 && rank - 1 != self().block->rank)
    stop(fault::bad_operand, here(line), "%s of another block's shared memory is not modelled", what);
  return address & k_offset_mask;
}

}  // namespace gonka::emulator::translated
