// Where the operands of a problem lie in a backend's buffers; for the backends that are built here.
#pragma once

#include "op.hpp"

namespace gonka {

struct buffer_memory {
  void *data;  // an address of the device
  uint64_t size;
};

// In the order of op_spec::operands.
struct operand_places {
  std::vector<void *> pointers;  // nullptr for absent ones
  std::vector<uint64_t> sizes;   // bytes from the operand's beginning to the end of its buffer
};

// GK_INVALID_ARGUMENT unless bytes [offset, offset + size) are there; the message begins "<backend>: <what> needs".
gk_status check_range(const char *backend, const char *what, uint64_t offset, uint64_t size, uint64_t buffer_size,
                      gk_error *err) noexcept;

// Fills places; GK_INVALID_ARGUMENT for an operand that is required and absent, leaves its buffer or is not aligned to
// its elements. May throw std::bad_alloc.
gk_status place_operands(const char *backend, const op_spec &spec, const std::vector<operand> &operands,
                         buffer_memory (*memory)(const gk_buffer *), operand_places &places, gk_error *err);

}  // namespace gonka
