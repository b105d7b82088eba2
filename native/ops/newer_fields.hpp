// For backends: op structs of a newer host.
#pragma once

#include <cstdint>
#include <cstring>

#include "op.hpp"

namespace gonka {

// False if the problem is longer than its struct is here and has anything but zero there: it asks for something that
// this code does not know. To be asked before anything else of the problem is read.
inline bool knows_all_fields(const op_spec &spec, const void *problem) noexcept {
  uint32_t struct_size;
  std::memcpy(&struct_size, problem, sizeof struct_size);
  const auto *bytes = static_cast<const unsigned char *>(problem);
  for (uint32_t at = spec.problem_size; at < struct_size; ++at)
    if (bytes[at] != 0) return false;
  return true;
}

}  // namespace gonka
