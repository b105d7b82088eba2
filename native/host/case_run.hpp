// Runs one case of an op through one implementation and judges the result against the reference.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "placed_case.hpp"

namespace gonka {

// How a case is run.
struct case_variant {
  uint32_t implementation = 0;  // as in op structs
  uint64_t lead_elements = 0;   // operands begin this many elements into their buffers
  bool packed = false;          // gemm: B goes through gemm_pack first
  poison_bytes poison = k_poison;
};

struct case_outcome {
  gk_status dry_run = GK_OK;  // the answer before
  gk_status status = GK_OK;   // of the call itself, or of the pack before it
  std::string message;        // of the first of them that is not GK_OK
  std::string damage;         // what it wrote that is not its to write; empty if nothing
  operand_bytes operands;     // after the call; empty unless status is GK_OK
  std::vector<std::byte> host_result;
};

// Builds the case, places it with guards around every operand, asks, and runs it whatever the answer was: the answer
// may be wrong. Throws status_error where the device fails apart from the op (no memory, lost).
case_outcome run_case(const gk_backend &table, gk_device *device, gk_stream *stream, const op_spec &spec,
                      const op_case &test, const case_variant &variant);

// A case's right answer.
struct expected_result {
  expected_result(const op_spec &spec, const op_case &test);
  built_case problem;
  operand_bytes operands;
  std::vector<std::byte> host_result;
};

// Why the outcome is wrong, or an empty string. Fills *measures if the operands were compared. An outcome whose status
// is not GK_OK is wrong here; whoever accepts GK_UNSUPPORTED looks at that first.
std::string find_fault(const op_case &test, const case_outcome &outcome, const expected_result &want,
                       comparison *measures);

}  // namespace gonka
