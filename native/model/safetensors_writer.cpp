#include "safetensors_writer.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "device.hpp"

namespace gonka {
namespace {

// A file under a temporary name that becomes the real one at commit().
class whole_file {
 public:
  explicit whole_file(const std::string &path) : path_(path), temporary_(path + ".part") {
    file_.reset(std::fopen(temporary_.c_str(), "wb"));
    if (!file_) fail("cannot be created");
  }
  ~whole_file() {
    if (!file_) return;
    file_.reset();
    std::remove(temporary_.c_str());
  }
  whole_file(const whole_file &) = delete;
  whole_file &operator=(const whole_file &) = delete;

  void write(const void *bytes, size_t count) {
    if (std::fwrite(bytes, 1, count, file_.get()) != count) fail("cannot be written");
  }

  void commit() {
    if (std::fflush(file_.get()) != 0 || ::fsync(::fileno(file_.get())) != 0) fail("cannot be written");
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot be renamed");
    file_.reset();
  }

 private:
  [[noreturn]] void fail(const char *what) {
    throw status_error(GK_INVALID_ARGUMENT, path_ + ": " + what + ": " + std::strerror(errno));
  }
  struct closer {
    void operator()(FILE *file) const { std::fclose(file); }
  };
  const std::string path_, temporary_;
  std::unique_ptr<FILE, closer> file_;
};

uint64_t bytes_of(const tensor_source &tensor) {
  uint64_t bytes = tensor.element_bytes;
  for (const int64_t extent : tensor.shape) bytes *= uint64_t(extent);
  return bytes;
}

// Names are written as they are: parameter names need no escaping.
std::string header_of(const std::vector<tensor_source> &tensors) {
  std::string header = R"({"__metadata__":{"format":"pt"})";
  uint64_t offset = 0;
  for (const tensor_source &tensor : tensors) {
    const uint64_t end = offset + bytes_of(tensor);
    header += ",\"" + tensor.name + "\":{\"dtype\":\"" + tensor.dtype_name + "\",\"shape\":[";
    for (size_t i = 0; i < tensor.shape.size(); ++i) header += (i == 0 ? "" : ",") + std::to_string(tensor.shape[i]);
    header += "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(end) + "]}";
    offset = end;
  }
  header += '}';
  // Tensors begin at a multiple of 8, as other writers do.
  return header + std::string((8 - header.size() % 8) % 8, ' ');
}

}  // namespace

void write_safetensors(const std::string &path, const std::vector<tensor_source> &tensors) {
  constexpr uint64_t k_piece_bytes = uint64_t(4) << 20;
  whole_file file(path);
  const std::string header = header_of(tensors);
  std::byte length[8];
  for (int i = 0; i < 8; ++i) length[i] = std::byte(uint64_t(header.size()) >> (8 * i));
  file.write(length, sizeof length);
  file.write(header.data(), header.size());
  std::vector<std::byte> piece;
  for (const tensor_source &tensor : tensors) {
    const uint64_t total = bytes_of(tensor);
    for (uint64_t offset = 0; offset < total; offset += piece.size()) {
      piece.resize(std::min(k_piece_bytes / tensor.element_bytes * tensor.element_bytes, total - offset));
      tensor.fill(offset, piece);
      file.write(piece.data(), piece.size());
    }
  }
  file.commit();
}

void write_whole_file(const std::string &path, const std::string &text) {
  whole_file file(path);
  file.write(text.data(), text.size());
  file.commit();
}

}  // namespace gonka
