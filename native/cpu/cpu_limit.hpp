// How many processors this process may use.
#pragma once

#include <cstdint>
#include <string>

namespace gonka::cpu {

// Its affinity mask, further limited by the CPU quotas of its cgroup and of that cgroup's ancestors (rounded up). >= 1.
uint32_t usable_cpus();

// Smallest quota in processors of the cgroup that `membership` (a file like /proc/self/cgroup) names and of its
// ancestors, below `root` (a folder like /sys/fs/cgroup); 0 if there is none. Versions 1 and 2 and the hybrid of both.
// In a container the file may name a path of the host that is not there; its nearest ancestor that is counts.
double cgroup_quota(const std::string &membership, const std::string &root);

}  // namespace gonka::cpu
