#include "cpu_limit.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

namespace gonka::cpu {
namespace {

uint32_t affinity_cpus() {
  // The kernel refuses a mask smaller than its own; machines with more than 1024 processors need more than cpu_set_t.
  for (int capacity = 1024; capacity <= 1 << 20; capacity *= 2) {
    const auto free_set = [](cpu_set_t *set) { CPU_FREE(set); };
    const std::unique_ptr<cpu_set_t, decltype(free_set)> set(CPU_ALLOC(size_t(capacity)), free_set);
    if (set == nullptr) break;
    const size_t size = CPU_ALLOC_SIZE(size_t(capacity));
    if (sched_getaffinity(0, size, set.get()) == 0) return uint32_t(std::max(1, CPU_COUNT_S(size, set.get())));
    if (errno != EINVAL) break;
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

// Version 2, cpu.max: "quota period" or "max period", in microseconds. 0 if there is no limit.
double quota_v2(const std::string &folder) {
  std::string quota;
  double period = 0;
  std::ifstream file(folder + "/cpu.max");
  if (!(file >> quota >> period) || quota == "max" || !(period > 0)) return 0;
  std::istringstream number(quota);
  double value = 0;
  return number >> value && value > 0 ? value / period : 0;
}

// Version 1: two files; a quota of -1 is no limit.
double quota_v1(const std::string &folder) {
  double quota = 0, period = 0;
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us"), period_file(folder + "/cpu.cfs_period_us");
  return quota_file >> quota && period_file >> period && quota > 0 && period > 0 ? quota / period : 0;
}

// The smallest limit from a cgroup's folder up to the mount point.
double smallest(const std::string &mount, std::string path, double (*quota)(const std::string &folder)) {
  double least = 0;
  for (;;) {
    while (!path.empty() && path.back() == '/') path.pop_back();
    // A path that climbs out of the container's view says nothing about folders in it.
    if (path.find("/..") != std::string::npos) path.clear();
    if (const double q = quota(mount + path); q > 0) least = least == 0 ? q : std::min(least, q);
    if (path.empty()) return least;
    path.resize(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
  }
}

bool names_cpu(const std::string &controllers) {
  std::istringstream list(controllers);
  for (std::string name; std::getline(list, name, ',');)
    if (name == "cpu") return true;
  return false;
}

}  // namespace

double cgroup_quota(const std::string &membership, const std::string &root) {
  double least = 0;
  const auto consider = [&](double quota) {
    if (quota > 0) least = least == 0 ? quota : std::min(least, quota);
  };
  // Lines of "hierarchy:controllers:path"; version 2 is "0::path".
  std::ifstream file(membership);
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    if (controllers.empty()) {
      consider(smallest(root, path, quota_v2));
      consider(smallest(root + "/unified", path, quota_v2));
    } else if (names_cpu(controllers)) {
      for (const std::string &mount : {std::string("cpu"), std::string("cpu,cpuacct"), controllers})
        consider(smallest(root + "/" + mount, path, quota_v1));
    }
  }
  return least;
}

uint32_t usable_cpus() {
  const uint32_t cpus = affinity_cpus();
  const double quota = cgroup_quota("/proc/self/cgroup", "/sys/fs/cgroup");
  if (quota <= 0) return cpus;
  return uint32_t(std::clamp(std::ceil(quota), 1.0, double(cpus)));
}

}  // namespace gonka::cpu
