#include "workspace.hpp"

#include <sys/mman.h>

#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

namespace gonka::cpu {
namespace {

constexpr uint64_t k_kept_bytes = uint64_t(64) << 20;
constexpr uint64_t k_huge_page = uint64_t(2) << 20;

struct block {
  std::byte *data;
  uint64_t capacity;
};

struct store {
  std::mutex mutex;
  std::vector<block> blocks;
  uint64_t bytes = 0;
};

// Never destroyed: a worker may still hold a block while the process runs its static destructors.
store &kept() {
  static store &s = *new store;
  return s;
}

}  // namespace

workspace::workspace(uint64_t size) {
  store &s = kept();
  {
    const std::lock_guard lock(s.mutex);
    // The smallest that fits.
    size_t best = s.blocks.size();
    for (size_t i = 0; i < s.blocks.size(); ++i)
      if (s.blocks[i].capacity >= size && (best == s.blocks.size() || s.blocks[i].capacity < s.blocks[best].capacity))
        best = i;
    if (best != s.blocks.size()) {
      data_ = s.blocks[best].data;
      capacity_ = s.blocks[best].capacity;
      s.bytes -= capacity_;
      s.blocks[best] = s.blocks.back();
      s.blocks.pop_back();
      return;
    }
  }
  const uint64_t alignment = size >= k_huge_page ? k_huge_page : 4096;
  capacity_ = (size + alignment - 1) / alignment * alignment + (size == 0 ? alignment : 0);
  data_ = static_cast<std::byte *>(std::aligned_alloc(alignment, capacity_));
  if (data_ == nullptr) throw std::bad_alloc();
  if (alignment == k_huge_page) madvise(data_, capacity_, MADV_HUGEPAGE);
}

workspace::~workspace() {
  if (data_ == nullptr) return;
  store &s = kept();
  const std::lock_guard lock(s.mutex);
  if (capacity_ > k_kept_bytes) {
    std::free(data_);
    return;
  }
  // Make room by dropping the oldest.
  while (!s.blocks.empty() && s.bytes + capacity_ > k_kept_bytes) {
    s.bytes -= s.blocks.front().capacity;
    std::free(s.blocks.front().data);
    s.blocks.erase(s.blocks.begin());
  }
  try {
    s.blocks.push_back({data_, capacity_});
    s.bytes += capacity_;
  } catch (const std::bad_alloc &) {
    std::free(data_);
  }
}

}  // namespace gonka::cpu
