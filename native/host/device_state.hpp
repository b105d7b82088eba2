// What a device keeps; for device.cpp, stream.cpp and buffer.cpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "device.hpp"
#include "host_cpu.hpp"
#include "selftest.hpp"

namespace gonka {

struct op_state {
  std::mutex testing;
  std::atomic<bool> tested{false};
  // Constant once tested.
  std::vector<tested_implementation> implementations;
  bool any_disabled = false;
  std::atomic<uint64_t> fallbacks{0};
};

// Sets a problem's implementation field for one call.
class chosen_implementation {
 public:
  chosen_implementation(void *problem, uint32_t index)
      : header_(static_cast<problem_header *>(problem)), before_(header_->implementation) {
    header_->implementation = index;
  }
  ~chosen_implementation() { header_->implementation = before_; }
  chosen_implementation(const chosen_implementation &) = delete;
  chosen_implementation &operator=(const chosen_implementation &) = delete;

 private:
  problem_header *header_;
  uint32_t before_;
};

struct device::state {
  // By position in all_ops().
  std::vector<op_state> ops{all_ops().size()};

  std::mutex notice_mutex;
  std::function<void(const std::string &)> notice_sink;

  mutable std::shared_mutex sizes_mutex;
  std::unordered_map<const gk_buffer *, uint64_t> sizes;  // buffers that the host asked for

  host_cpu fallback;

  std::string tuning_file;  // empty: nothing is kept
  std::string tuning_kept;  // what is in it

  op_state &of(const op_spec &spec) {
    const auto all = all_ops();
    return ops[size_t(std::find(all.begin(), all.end(), &spec) - all.begin())];
  }

  void notice(const std::string &sentence) {
    const std::lock_guard lock(notice_mutex);
    if (notice_sink)
      notice_sink(sentence);
    else
      std::fprintf(stderr, "gonka-miner: %s\n", sentence.c_str());
  }
};

}  // namespace gonka
