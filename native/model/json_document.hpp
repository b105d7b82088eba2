// A strict JSON reader for files that may be hostile (RFC 8259): model configurations and safetensors headers.
//
// Refused, with the line and column: anything RFC 8259 does not allow, invalid UTF-8, unpaired surrogates, duplicate
// keys, numbers that a double cannot hold, integers outside int64, and documents past the limits. Work and memory are
// linear in the input (n log n for the duplicate check).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gonka::json {

struct limits {
  uint32_t depth = 32;          // nested arrays and objects
  size_t bytes = 100'000'000;   // of the document; the limit safetensors has for its header
  size_t values = 4'000'000;    // arrays, objects and what they hold
  size_t string_bytes = 65536;  // of one string, decoded
};

class value;

struct member;
using array = std::vector<value>;
using object = std::vector<member>;  // in document order; keys are unique

// A number as written: `integer` is exact where is_integer; `real` is the nearest double.
struct number {
  double real = 0;
  int64_t integer = 0;
  bool is_integer = false;  // no fraction and no exponent in the text
};

class value {
 public:
  using storage = std::variant<std::monostate, bool, number, std::string, array, object>;

  value() = default;
  explicit value(storage held) : held_(std::move(held)) {}

  bool is_null() const { return std::holds_alternative<std::monostate>(held_); }
  // Null if the value is of another kind.
  const bool *as_boolean() const { return std::get_if<bool>(&held_); }
  const number *as_number() const { return std::get_if<number>(&held_); }
  const std::string *as_string() const { return std::get_if<std::string>(&held_); }
  const array *as_array() const { return std::get_if<array>(&held_); }
  const object *as_object() const { return std::get_if<object>(&held_); }

  // "null", "true", "3", "\"text\"", "an array", "an object": for error messages; long strings are cut.
  std::string describe() const;

 private:
  storage held_;
};

struct member {
  std::string key;
  value held;
};

// The value of a key, or null. Linear.
const value *find(const object &members, std::string_view key);

// Parses a whole document. Throws status_error(GK_INVALID_ARGUMENT) whose message begins with `name` (a file name).
value parse(std::string_view text, std::string_view name, const limits &limit = {});

// Text fit for an error message: control characters and broken UTF-8 replaced, cut at `bytes`.
std::string printable(std::string_view text, size_t bytes = 120);

}  // namespace gonka::json
