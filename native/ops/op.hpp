// What the project knows about an op apart from any implementation: name, validation, operands, work and reference.
//
// One op_spec per gk_op. Everything that handles ops in general - host fallback, self-test, conformance, bench - is
// written against this table and never lists ops itself.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gonka_backend.h"

namespace gonka {

enum class access : uint8_t { in, out, inout };

// One device operand of a problem: `planes` times `rows` runs of `row_bytes`; run (p, r) begins at byte
// p * plane_stride_bytes + r * stride_bytes. Only these runs are read or written: the gaps between them must stay
// untouched. Absent optional operands have ref->buffer == nullptr.
struct operand {
  const char *name;
  gk_ref *ref;
  access mode;
  uint32_t dtype;  // gk_dtype of the elements
  uint64_t rows;
  uint64_t row_bytes;
  uint64_t stride_bytes;
  bool required = false;  // absent is an error, unless extent_bytes() is 0
  uint64_t planes = 1;    // heads, for operands with a stride per token and one per head
  uint64_t plane_stride_bytes = 0;

  // From the first to one past the last byte the op may touch.
  uint64_t extent_bytes() const {
    if (planes == 0 || rows == 0 || row_bytes == 0) return 0;
    return (planes - 1) * plane_stride_bytes + (rows - 1) * stride_bytes + row_bytes;
  }

  // Calls f(byte offset, bytes) for every run.
  template <class F>
  void for_each_run(F &&f) const {
    if (row_bytes == 0) return;
    for (uint64_t p = 0; p < planes; ++p)
      for (uint64_t r = 0; r < rows; ++r) f(p * plane_stride_bytes + r * stride_bytes, row_bytes);
  }
};

// Host addresses of a problem's operands, in the order of op_spec::operands; nullptr for absent ones.
using operand_pointers = std::span<void *const>;

// Work of one problem, for figures. bytes: compulsory traffic, each operand once.
struct work {
  double operations = 0;  // flops, integer operations or hashes; see op_spec::operation_unit
  double bytes = 0;
};

// Fills *err (may be null) with printf-formatted text and returns status.
[[gnu::format(printf, 3, 4)]] gk_status fail(gk_error *err, gk_status status, const char *format, ...) noexcept;

// Every op struct begins so.
struct problem_header {
  uint32_t struct_size;
  uint32_t implementation;
};

struct op_spec {
  gk_op op;
  const char *name;            // "gemm"
  const char *operation_unit;  // "flop", "op", "hash", "value"
  uint32_t problem_size;       // sizeof of the op's struct
  bool exact;                  // integers and bits: results must be equal, not close

  // Checks everything about a problem but the buffers: struct_size, enumerators, extents, overflow, null host pointers.
  gk_status (*validate)(const void *problem, gk_error *err) noexcept;
  // The device operands, in a fixed order per op; only valid after validate().
  std::vector<operand> (*operands)(void *problem);
  work (*count)(const void *problem);
  // Plain C++; correct for every valid problem; single-threaded; never tuned.
  void (*reference)(void *problem, operand_pointers pointers);
  // Optional. Checks what only the operands show - which optional ones go together, index values - where the host can
  // read them; called before any implementation of the CPU backend runs, so none has to check again.
  gk_status (*check_operands)(const void *problem, operand_pointers pointers, gk_error *err) noexcept = nullptr;
};

// All ops, ordered by gk_op. nullptr for a value that is not an op.
std::span<const op_spec *const> all_ops() noexcept;
const op_spec *find_op(uint32_t op) noexcept;
const op_spec *find_op(std::string_view name) noexcept;

// Bytes of one element; 0 for an unknown dtype.
uint32_t dtype_size(uint32_t dtype) noexcept;
const char *dtype_name(uint32_t dtype) noexcept;           // "f32"; "?" if unknown
uint32_t dtype_from_name(std::string_view name) noexcept;  // 0 if unknown

}  // namespace gonka
