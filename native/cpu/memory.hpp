// How much memory this process may use.
#pragma once

#include <cstdint>

namespace gonka::cpu {

struct memory_limits {
  uint64_t total = 0;      // of the machine, or the cgroup's limit if that is lower
  uint64_t available = 0;  // without swapping; page cache counts as available
};

memory_limits memory_now();

}  // namespace gonka::cpu
