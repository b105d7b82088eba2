// Reader of one safetensors file: 8 bytes little-endian header length, a JSON header, the tensors' bytes.
// The file may be hostile: everything is checked before any tensor can be read.
// Source: github.com/huggingface/safetensors, "Format".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mapped_file.hpp"

namespace gonka {

struct tensor_info {
  std::string name;
  std::string dtype_name;      // as in the file: "BF16"
  uint32_t dtype = 0;          // gk_dtype; 0 for a type that the engine does not compute with (I64, BOOL, ...)
  std::vector<int64_t> shape;  // each >= 0; the product fits int64
  uint64_t offset = 0;         // of the first byte in the file
  uint64_t bytes = 0;

  std::string describe_shape() const;  // "[128, 64]"
};

// Checks the header of a safetensors file whose first bytes are `head` (the whole file, or at least its header) and
// whose length is file_size. `name` begins every error message. Returns the tensors in the order of their offsets.
// Throws status_error(GK_INVALID_ARGUMENT) naming file, tensor and cause:
//   header length (0, past the end, over 100 MB), header JSON, duplicate names, unknown fields and types, negative or
//   overflowing shapes, offsets outside the data, lengths that do not match type and shape, overlaps, gaps, bytes after
//   the last tensor.
std::vector<tensor_info> parse_safetensors(std::string_view head, uint64_t file_size, std::string_view name);

class safetensors_file {
 public:
  // `path` is opened and mapped; throws as parse_safetensors does.
  explicit safetensors_file(const std::string &path);

  const std::string &path() const { return path_; }
  const mapped_file &file() const { return file_; }
  // Ordered by name.
  std::span<const tensor_info> tensors() const { return tensors_; }
  // Null if there is none of that name.
  const tensor_info *find(std::string_view name) const;
  // The bytes of a tensor of this file; not aligned to anything.
  const std::byte *data(const tensor_info &tensor) const { return file_.data() + tensor.offset; }

 private:
  std::string path_;
  mapped_file file_;
  std::vector<tensor_info> tensors_;
};

}  // namespace gonka
