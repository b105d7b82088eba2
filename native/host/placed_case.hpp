// A built case in device memory: what the self-test gate and conformance have in common.
//
// Works on the raw table, below gonka::device, because it decides whether an implementation may be used at all.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "cases.hpp"
#include "gonka_backend.h"

namespace gonka {

// One value per operand, each the operand's extent_bytes (empty if absent), as built_case::data.
using operand_bytes = std::vector<std::vector<std::byte>>;

struct buffer_deleter {
  void (*free)(gk_buffer *);
  void operator()(gk_buffer *buffer) const { free(buffer); }
};
using raw_buffer = std::unique_ptr<gk_buffer, buffer_deleter>;

struct stream_deleter {
  void (*close)(gk_stream *);
  void operator()(gk_stream *stream) const { close(stream); }
};
using raw_stream = std::unique_ptr<gk_stream, stream_deleter>;

// Both throw status_error.
raw_buffer allocate(const gk_backend &table, gk_device *device, uint64_t size);
raw_stream open_stream(const gk_backend &table, gk_device *device);

// Where operands lie in their buffers. Each operand has its own buffer of lead + extent + trail bytes.
struct placement {
  uint64_t lead_elements = 0;  // elements before the operand; an odd number breaks any assumption about alignment
  uint64_t trail_bytes = 0;    // bytes after it
};

class placed_case {
 public:
  // Allocates the buffers and points the problem's refs at them. problem must outlive this object. Throws status_error.
  placed_case(const gk_backend &table, gk_device *device, gk_stream *stream, built_case &problem, placement where);
  placed_case(const placed_case &) = delete;
  placed_case &operator=(const placed_case &) = delete;

  // Fills the operands with these bytes and everything around them with the guard byte.
  void upload(const operand_bytes &data);
  // Runs the problem as it is; implementation as in op structs. Does not throw: the status is the answer.
  gk_status run(gk_op op, uint32_t implementation, bool dry_run, gk_error *err);
  // Reads the operands back. Names the first operand whose guard bytes before or after it changed, or nullptr.
  const char *download(operand_bytes &data);

 private:
  uint64_t lead_bytes(size_t index) const;

  const gk_backend &table_;
  gk_stream *stream_;
  built_case &problem_;
  placement where_;
  std::vector<raw_buffer> buffers_;
};

constexpr std::byte k_guard_byte{0x5c};
constexpr uint64_t k_trail_bytes = 256;  // wider than any vector store

// The reference's result: the operands after spec.reference() ran over a copy of data. The problem's host pointers
// (hits, shares) receive the reference's results too, so give it a built case of its own.
operand_bytes reference_result(const op_spec &spec, built_case &problem, const operand_bytes &data);

// What outputs hold before a call. All ones are NaN in every float format.
struct poison_bytes {
  uint8_t floats, integers;
};
constexpr poison_bytes k_poison{0xff, 0xa5};
constexpr poison_bytes k_other_poison{0x5a, 0x5a};  // so that a result that depends on its old contents shows

// Initial operands with every byte that the op must write replaced by poison. Gaps between rows keep what the case put
// there; what is read in place too.
operand_bytes poisoned(const built_case &problem, poison_bytes poison = k_poison);

// Index of the first operand where `after` differs from `before` in a byte that the op must leave alone: all of an
// input, the gaps between the rows of an output. -1 if none; *at receives the byte offset.
int first_illegal_write(const built_case &problem, const operand_bytes &before, const operand_bytes &after,
                        uint64_t *at);

}  // namespace gonka
