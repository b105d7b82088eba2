// The self-test gate: known answers that an implementation must reproduce on this device before it is used.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gonka_backend.h"
#include "op.hpp"

namespace gonka {

struct tested_implementation {
  uint32_t index = 0;     // for the op struct's field `implementation`; 0 where the backend does not list them
  std::string name;       // "avx512"; "default" where the backend does not list them
  uint32_t passed = 0;    // known answers reproduced
  uint32_t rejected = 0;  // cases it said it cannot run
  bool disabled = false;  // it erred or was wrong
  std::string reason;     // the failing case and how it failed, or the backend's words at the last rejection
};

// The backend's implementations of op, best first, untested. One unnamed "default" where it does not list them.
std::vector<tested_implementation> list_implementations(const gk_backend &table, gk_device *device, gk_op op);

// Runs every self-test case of op through every implementation, packed too where the backend packs. Throws status_error
// for what says nothing about an implementation: no stream, out of memory, device lost.
std::vector<tested_implementation> self_test(const gk_backend &table, gk_device *device, const op_spec &spec);

}  // namespace gonka
