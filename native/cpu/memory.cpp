#include "memory.hpp"

#include <algorithm>
#include <fstream>
#include <string>

namespace gonka::cpu {
namespace {

uint64_t number_in(const char *path) {
  std::ifstream in(path);
  uint64_t value = 0;
  return in >> value ? value : 0;  // "max" reads as no number
}

}  // namespace

memory_limits memory_now() {
  memory_limits out;
  std::ifstream in("/proc/meminfo");
  uint64_t kib;
  for (std::string key, unit; in >> key >> kib; std::getline(in, unit)) {
    if (key == "MemTotal:") out.total = kib << 10;
    if (key == "MemAvailable:") out.available = kib << 10;
  }
  // cgroup v2, then v1, as seen from inside a container.
  struct files {
    const char *limit, *used;
  };
  for (const files &f :
       {files{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
        files{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"}}) {
    const uint64_t limit = number_in(f.limit), used = number_in(f.used);
    if (limit == 0 || limit > out.total) continue;
    out.total = limit;
    out.available = std::min(out.available, limit > used ? limit - used : 0);
  }
  return out;
}

}  // namespace gonka::cpu
