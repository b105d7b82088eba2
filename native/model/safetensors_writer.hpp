// Writes a safetensors file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace gonka {

// A tensor to be written. fill gets consecutive pieces of the tensor's bytes, `offset` bytes from its start, and fills
// them; pieces are whole elements and at most a few megabytes.
struct tensor_source {
  std::string name;
  std::string dtype_name;      // "BF16", "F16", "F32", ...
  std::vector<int64_t> shape;  // elements >= 0
  uint32_t element_bytes = 0;
  std::function<void(uint64_t offset, std::span<std::byte> bytes)> fill;
};

// Writes the tensors in the given order to `path`: into a temporary file beside it, then renamed, so that a file of
// that name is always whole. Throws status_error.
void write_safetensors(const std::string &path, const std::vector<tensor_source> &tensors);

// Writes text to `path` in the same way.
void write_whole_file(const std::string &path, const std::string &text);

}  // namespace gonka
