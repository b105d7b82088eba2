// Scratch memory that ops borrow, kept warm between calls: fresh pages cost more to fault in than a small op takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace gonka::cpu {

// A block of at least `size` bytes aligned to 64, contents undefined, given back on destruction. Blocks are kept for
// reuse up to a total of 64 MiB per process; larger ones go back to the system at once. Any thread; throws
// std::bad_alloc.
class workspace {
 public:
  explicit workspace(uint64_t size);
  ~workspace();
  workspace(workspace &&other) noexcept
      : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}
  workspace &operator=(workspace &&) = delete;

  std::byte *data() const { return data_; }

 private:
  std::byte *data_ = nullptr;
  uint64_t capacity_ = 0;
};

}  // namespace gonka::cpu
