// Golden vectors: where they are and how they are compared.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "check.hpp"
#include "json.hpp"
#include "npy.hpp"
#include "sha256.hpp"

inline std::string golden_path(const std::string &name) {
  return std::string(GONKA_SOURCE_DIR) + "/test/golden/" + name;
}

// SHA-256 of an array's little-endian bytes, as the vectors state it.
template <class T>
std::string sha256_of_array(std::span<const T> values) {
  return gonka::to_hex(
      gonka::sha256_of(std::span(reinterpret_cast<const uint8_t *>(values.data()), values.size_bytes())));
}

template <class T>
std::string sha256_of_array(const std::vector<T> &values) {
  return sha256_of_array(std::span<const T>(values));
}

inline std::vector<uint64_t> u64_list(const json::value &list) {
  std::vector<uint64_t> out;
  for (const json::value &item : list) out.push_back(item.u64());
  return out;
}
