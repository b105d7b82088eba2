#include "affinity.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

#include "device.hpp"

namespace gonka {
namespace {

constexpr uint32_t k_most_cpus = 1u << 20;

struct cpu_mask {
  explicit cpu_mask(uint32_t capacity) : set(CPU_ALLOC(capacity)), size(CPU_ALLOC_SIZE(capacity)) {
    if (set == nullptr) throw status_error(GK_OUT_OF_MEMORY, "no memory for a processor mask");
    CPU_ZERO_S(size, set);
  }
  ~cpu_mask() { CPU_FREE(set); }
  cpu_mask(const cpu_mask &) = delete;
  cpu_mask &operator=(const cpu_mask &) = delete;
  cpu_set_t *set;
  size_t size;
};

}  // namespace

std::vector<uint32_t> allowed_cpus() {
  // The kernel refuses a mask smaller than its own.
  for (uint32_t capacity = 1024; capacity <= k_most_cpus; capacity *= 2) {
    const cpu_mask mask(capacity);
    if (sched_getaffinity(0, mask.size, mask.set) != 0) {
      if (errno == EINVAL) continue;
      break;
    }
    std::vector<uint32_t> out;
    for (uint32_t cpu = 0; cpu < capacity; ++cpu)
      if (CPU_ISSET_S(cpu, mask.size, mask.set)) out.push_back(cpu);
    return out;
  }
  throw status_error(GK_INTERNAL, std::string("cannot read the processor affinity: ") + std::strerror(errno));
}

void pin_process(std::span<const uint32_t> cpus) {
  if (cpus.empty()) throw status_error(GK_INVALID_ARGUMENT, "no processor given; expected at least one number");
  const uint32_t highest = *std::ranges::max_element(cpus);
  if (highest >= k_most_cpus)
    throw status_error(GK_INVALID_ARGUMENT, "processor " + std::to_string(highest) + " does not exist");
  const cpu_mask mask(std::max(highest + 1, 1024u));
  for (uint32_t cpu : cpus) CPU_SET_S(cpu, mask.size, mask.set);
  std::error_code failed;
  for (const auto &entry : std::filesystem::directory_iterator("/proc/self/task", failed)) {
    const std::string name = entry.path().filename().string();
    pid_t thread = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), thread).ec != std::errc()) continue;
    // A thread that has ended meanwhile needs no affinity.
    if (sched_setaffinity(thread, mask.size, mask.set) == 0 || errno == ESRCH) continue;
    throw status_error(GK_INVALID_ARGUMENT,
                       errno == EINVAL ? "none of these processors exists or may be used by this process"
                                       : std::string("cannot set the processor affinity: ") + std::strerror(errno));
  }
  if (failed) throw status_error(GK_INTERNAL, "cannot list this process's threads: " + failed.message());
}

}  // namespace gonka
