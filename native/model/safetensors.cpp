#include "safetensors.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "device.hpp"
#include "json_document.hpp"

namespace gonka {
namespace {

constexpr uint64_t k_max_header_bytes = 100'000'000;  // the limit of the reference implementation
constexpr size_t k_max_rank = 8;

struct stored_type {
  const char *name;
  uint32_t bytes;
  uint32_t dtype;
};

constexpr stored_type k_types[] = {
    {"F32", 4, GK_F32},
    {"F16", 2, GK_F16},
    {"BF16", 2, GK_BF16},
    {"F64", 8, GK_F64},
    {"I8", 1, GK_I8},
    {"I32", 4, GK_I32},
    {"F8_E4M3", 1, GK_F8_E4M3},
    {"F8_E5M2", 1, GK_F8_E5M2},
    {"I64", 8, 0},
    {"I16", 2, 0},
    {"U8", 1, 0},
    {"U16", 2, 0},
    {"U32", 4, 0},
    {"U64", 8, 0},
    {"BOOL", 1, 0},
};

// One tensor's entry of the header, with the file's name and its own for errors.
class entry_reader {
 public:
  entry_reader(std::string_view file, const json::member &entry) : file_(file), entry_(entry) {}

  tensor_info read(uint64_t data_begin, uint64_t data_bytes) const {
    if (entry_.key.empty()) error("the name is empty");
    const json::object *fields = entry_.held.as_object();
    if (fields == nullptr)
      error("expected an object with dtype, shape and data_offsets, got " + entry_.held.describe());
    for (const json::member &field : *fields)
      if (field.key != "dtype" && field.key != "shape" && field.key != "data_offsets")
        error("unknown field \"" + json::printable(field.key) + "\"");
    tensor_info tensor;
    tensor.name = entry_.key;
    const uint64_t element_bytes = read_type(*fields, tensor);
    const uint64_t expected = read_shape(*fields, element_bytes, tensor);
    read_offsets(*fields, data_begin, data_bytes, tensor);
    if (tensor.bytes != expected)
      error("data_offsets span " + std::to_string(tensor.bytes) + " bytes; " + tensor.dtype_name + ' ' +
            tensor.describe_shape() + " takes " + std::to_string(expected));
    return tensor;
  }

 private:
  [[noreturn]] void error(const std::string &what) const {
    throw status_error(GK_INVALID_ARGUMENT,
                       std::string(file_) + ": tensor \"" + json::printable(entry_.key) + "\": " + what);
  }

  const json::value &require(const json::object &fields, std::string_view key) const {
    const json::value *found = json::find(fields, key);
    if (found == nullptr) error("\"" + std::string(key) + "\" is missing");
    return *found;
  }

  uint64_t read_type(const json::object &fields, tensor_info &tensor) const {
    const json::value &field = require(fields, "dtype");
    if (field.as_string() == nullptr) error("dtype is " + field.describe() + "; expected a string");
    for (const stored_type &type : k_types)
      if (*field.as_string() == type.name) {
        tensor.dtype_name = type.name;
        tensor.dtype = type.dtype;
        return type.bytes;
      }
    error("unknown dtype " + field.describe());
  }

  // Returns the bytes that type and shape ask for.
  uint64_t read_shape(const json::object &fields, uint64_t element_bytes, tensor_info &tensor) const {
    const json::value &field = require(fields, "shape");
    const json::array *extents = field.as_array();
    if (extents == nullptr) error("shape is " + field.describe() + "; expected an array");
    if (extents->size() > k_max_rank)
      error("shape has " + std::to_string(extents->size()) + " dimensions; expected at most " +
            std::to_string(k_max_rank));
    for (const json::value &extent : *extents) {
      const json::number *count = extent.as_number();
      if (count == nullptr || !count->is_integer || count->integer < 0)
        error("shape holds " + extent.describe() + "; expected integers >= 0");
      tensor.shape.push_back(count->integer);
    }
    uint64_t bytes = element_bytes;
    for (const int64_t extent : tensor.shape)
      if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(extent), &bytes) || bytes > INT64_MAX)
        error("the size of shape " + tensor.describe_shape() + " overflows");
    return bytes;
  }

  void read_offsets(const json::object &fields, uint64_t data_begin, uint64_t data_bytes, tensor_info &tensor) const {
    const json::value &field = require(fields, "data_offsets");
    const json::array *range = field.as_array();
    if (range == nullptr || range->size() != 2) error("data_offsets is not an array of two integers");
    uint64_t ends[2];
    for (int i = 0; i < 2; ++i) {
      const json::number *offset = (*range)[i].as_number();
      if (offset == nullptr || !offset->is_integer || offset->integer < 0)
        error("data_offsets holds " + (*range)[i].describe() + "; expected integers >= 0");
      ends[i] = static_cast<uint64_t>(offset->integer);
    }
    if (ends[0] > ends[1])
      error("data_offsets begin at " + std::to_string(ends[0]) + " after their end at " + std::to_string(ends[1]));
    if (ends[1] > data_bytes)
      error("data_offsets end at " + std::to_string(ends[1]) + "; the file holds " + std::to_string(data_bytes) +
            " bytes of data");
    tensor.offset = data_begin + ends[0];
    tensor.bytes = ends[1] - ends[0];
  }

  const std::string_view file_;
  const json::member &entry_;
};

void check_metadata(const json::value &metadata, std::string_view file) {
  const json::object *entries = metadata.as_object();
  bool strings = entries != nullptr;
  if (strings)
    for (const json::member &entry : *entries) strings = strings && entry.held.as_string() != nullptr;
  if (!strings)
    throw status_error(GK_INVALID_ARGUMENT,
                       std::string(file) + ": header: __metadata__ is not an object whose values are strings");
}

// The format allows neither overlaps nor bytes that belong to no tensor.
void check_coverage(const std::vector<tensor_info> &tensors, uint64_t data_begin, uint64_t file_size,
                    std::string_view file) {
  uint64_t covered = data_begin;
  const tensor_info *previous = nullptr;
  for (const tensor_info &tensor : tensors) {
    if (tensor.offset != covered) {
      const std::string neighbour =
          previous == nullptr ? "the start of the data" : "tensor \"" + json::printable(previous->name) + "\"";
      const char *what = tensor.offset < covered ? "overlaps " : "leaves a gap after ";
      throw status_error(GK_INVALID_ARGUMENT, std::string(file) + ": tensor \"" + json::printable(tensor.name) +
                                                  "\": its data " + what + neighbour);
    }
    covered += tensor.bytes;
    previous = &tensor;
  }
  if (covered != file_size) {
    const std::string last =
        previous == nullptr ? "the header" : "the last tensor \"" + json::printable(previous->name) + "\"";
    throw status_error(GK_INVALID_ARGUMENT,
                       std::string(file) + ": " + std::to_string(file_size - covered) + " bytes follow " + last);
  }
}

}  // namespace

std::string tensor_info::describe_shape() const {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

std::vector<tensor_info> parse_safetensors(std::string_view head, uint64_t file_size, std::string_view name) {
  const auto refuse = [&](const std::string &what) {
    throw status_error(GK_INVALID_ARGUMENT, std::string(name) + ": header: " + what);
  };
  if (file_size < 8 || head.size() < 8)
    refuse("a safetensors file has at least 8 bytes, this one " + std::to_string(file_size));
  uint64_t header_bytes = 0;
  for (int i = 7; i >= 0; --i) header_bytes = header_bytes << 8 | uint8_t(head[static_cast<size_t>(i)]);
  if (header_bytes > k_max_header_bytes)
    refuse("its length is given as " + std::to_string(header_bytes) + " bytes; expected at most " +
           std::to_string(k_max_header_bytes));
  if (header_bytes > file_size - 8 || header_bytes > head.size() - 8)
    refuse("its length is given as " + std::to_string(header_bytes) + " bytes; the file has " +
           std::to_string(file_size - 8) + " after the length");
  const std::string_view text = head.substr(8, header_bytes);
  if (text.empty() || text[0] != '{') refuse("does not begin with '{'");
  const json::value header = json::parse(text, std::string(name) + ": header");

  const uint64_t data_begin = 8 + header_bytes;
  std::vector<tensor_info> tensors;
  for (const json::member &entry : *header.as_object()) {
    if (entry.key == "__metadata__") {
      check_metadata(entry.held, name);
      continue;
    }
    tensors.push_back(entry_reader(name, entry).read(data_begin, file_size - data_begin));
  }
  // Empty tensors share their offset with the next one; by end as well, they come first.
  std::stable_sort(tensors.begin(), tensors.end(), [](const tensor_info &a, const tensor_info &b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  check_coverage(tensors, data_begin, file_size, name);
  return tensors;
}

safetensors_file::safetensors_file(const std::string &path) : path_(path), file_(path) {
  tensors_ = parse_safetensors(file_.text(), file_.size(), path);
  std::sort(tensors_.begin(), tensors_.end(),
            [](const tensor_info &a, const tensor_info &b) { return a.name < b.name; });
}

const tensor_info *safetensors_file::find(std::string_view name) const {
  const auto found =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const tensor_info &tensor, std::string_view key) { return tensor.name < key; });
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

}  // namespace gonka
