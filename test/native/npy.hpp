// A reader for NumPy's .npy files, version 1.0, little-endian, C order. Throws std::runtime_error.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace npy {

struct array {
  std::string type;  // "<f8", "<u2", "|i1"
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;

  int64_t count() const {
    int64_t product = 1;
    for (const int64_t extent : shape) product *= extent;
    return product;
  }

  // The elements; wanted is the dtype text they must have.
  template <class T>
  std::vector<T> as(const std::string &wanted) const {
    if (type != wanted || sizeof(T) != size_t(wanted[2] - '0'))
      throw std::runtime_error("npy: type is " + type + ", expected " + wanted);
    std::vector<T> out(bytes.size() / sizeof(T));
    if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
};

inline array read(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("npy: cannot open " + path);
  const std::string file{std::istreambuf_iterator<char>(in), {}};
  const auto bad = [&](const char *what) { return std::runtime_error("npy: " + path + ": " + what); };
  if (file.size() < 10 || file.compare(0, 8, std::string("\x93NUMPY\x01\x00", 8)) != 0) throw bad("not version 1.0");
  const size_t header_size = uint8_t(file[8]) | size_t(uint8_t(file[9])) << 8;
  if (file.size() < 10 + header_size) throw bad("short header");
  const std::string header = file.substr(10, header_size);
  const auto after = [&](const std::string &key) {
    const size_t at = header.find("'" + key + "': ");
    if (at == std::string::npos) throw bad("header lacks a key");
    return at + key.size() + 4;
  };
  array out;
  const size_t type = after("descr");
  out.type = header.substr(type + 1, header.find('\'', type + 1) - type - 1);
  if (out.type.size() != 3 || (out.type[0] != '<' && out.type[0] != '|')) throw bad("type is not plain little-endian");
  if (header.compare(after("fortran_order"), 5, "False") != 0) throw bad("not in C order");
  const size_t shape = after("shape"), close = header.find(')', shape);
  for (size_t at = shape + 1; at < close;) {
    out.shape.push_back(std::stoll(header.substr(at, close - at)));
    const size_t comma = header.find(',', at);
    if (comma == std::string::npos || comma > close) break;
    at = comma + 1;
    while (at < close && header[at] == ' ') ++at;
  }
  out.bytes.assign(file.begin() + long(10 + header_size), file.end());
  if (out.bytes.size() != size_t(out.count()) * size_t(out.type[2] - '0')) throw bad("size does not match the shape");
  return out;
}

}  // namespace npy
