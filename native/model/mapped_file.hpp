// A file mapped into memory, read-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace gonka {

// The mapping is private and read-only. A file that another process shortens while it is mapped faults on access: model
// files must not be changed while a model is being loaded. Not copyable; may be read from any thread.
class mapped_file {
 public:
  mapped_file() = default;
  // Throws status_error(GK_INVALID_ARGUMENT) if the path is not a readable regular file.
  explicit mapped_file(const std::string &path);
  ~mapped_file();
  mapped_file(mapped_file &&other) noexcept : data_(other.data_), size_(other.size_) {
    other.data_ = nullptr;
    other.size_ = 0;
  }
  mapped_file &operator=(mapped_file &&other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }

  const std::byte *data() const { return data_; }
  uint64_t size() const { return size_; }
  std::string_view text() const { return {reinterpret_cast<const char *>(data_), size_}; }

  // Asks the system to read [offset, offset + bytes) ahead, or tells it that the pages there are no longer needed: they
  // leave this process's resident memory and stay in the page cache. Hints; the range is clipped to the file.
  void will_need(uint64_t offset, uint64_t bytes) const;
  void release(uint64_t offset, uint64_t bytes) const;

 private:
  void advise(uint64_t offset, uint64_t bytes, int advice) const;
  std::byte *data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace gonka
