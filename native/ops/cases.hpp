// Cases of an op: the shapes, layouts and data that conformance, self-test and bench share.
//
// A case is a recipe. Building it allocates host memory for every operand, fills the inputs from the case's seed and
// fills in the problem struct except for its gk_refs; whoever runs it places the operands in device memory.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "op.hpp"

namespace gonka {

// A problem with the host data of its operands. Host pointers inside the problem (targets, seeds, hit lists) point into
// `owned`. operands[i].ref->buffer is null here for present operands too; `present[i]` tells.
struct built_case {
  std::shared_ptr<void> problem;             // the op's struct
  std::vector<operand> operands;             // as op_spec::operands(problem)
  std::vector<bool> present;                 // false for optional operands this case leaves out
  std::vector<std::vector<std::byte>> data;  // initial bytes of each operand, extent_bytes long; empty if absent
  std::shared_ptr<void> owned;               // whatever the problem's host pointers point into
  // In-place cases: operand i lies where operand same_place[i] < i lies (same refs, data equal); -1: in its own place.
  // Empty: every operand has its own.
  std::vector<int> same_place;

  // Result in host memory besides the operands (hits, shares, folds), as bytes to compare; may be empty.
  std::vector<std::byte> (*host_result)(const void *problem) = nullptr;
};

// The two error measures. A result passes if aggregate <= aggregate_limit and no element exceeds its own bound.
struct comparison {
  double aggregate = 0;  // sqrt(sum (got-want)^2 / sum want^2)
  double aggregate_limit = 0;
  double worst = 0;          // largest |got - want| / bound over the elements; <= 1 passes
  int64_t worst_index = -1;  // element index in the operand's written part
  double got = 0, want = 0;  // at worst_index
  const char *operand = "";
  bool passed() const { return aggregate <= aggregate_limit && worst <= 1; }
};

enum case_use : uint32_t {
  use_selftest = 1,     // few, tiny: the gate at first use of a device; together under 50 ms on one core
  use_conformance = 2,  // seconds at most per case
  use_full = 4,         // slower or larger; only with --full
  use_bench = 8,        // sizes worth timing
};

struct op_case {
  std::string name;  // unique within the op: "f32 m=5 n=7 k=3 ldb+1 beta=1"
  uint32_t uses;     // case_use flags
  uint64_t seed;
  built_case (*build)(const op_case &self);
  std::shared_ptr<const void> parameters;  // what build needs; its type is the op's secret

  // Compares device results with the reference's. Both hold every operand (as built_case::data) after the run.
  // Where the bound needs the inputs (sum |a||b|), they are taken from `reference`.
  comparison (*compare)(const op_case &self, const built_case &problem, const std::vector<std::vector<std::byte>> &got,
                        const std::vector<std::vector<std::byte>> &want);
  uint32_t abi_minor = 0;  // least version of the backend's header that has all fields the case sets
};

// Built once; lives for ever.
const std::vector<op_case> &cases_of(gk_op op);

}  // namespace gonka
