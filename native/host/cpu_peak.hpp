// What the host's processor can do, for those who may not include the CPU backend.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gonka {

// Measured ceilings; see native/cpu/peak.hpp for how and in which units. 0 where the CPU has no such unit.
struct cpu_peak {
  uint32_t threads = 0;
  double f32_gflops = 0, bf16_gflops = 0, i8_gops = 0, sha_mblocks = 0, copy_gb_per_s = 0, clock_ghz = 0;
};

// threads: 0 = all this process may use. brief: three repetitions of each loop instead of seven, about 0.15 s.
cpu_peak measure_cpu_peak(uint32_t threads, bool brief);

// Instruction sets in use under the names of GONKA_CPU_FEATURES, and those the machine has but the variable forces off.
struct cpu_feature_names {
  std::vector<std::string> used, disabled;
};
cpu_feature_names cpu_features();

}  // namespace gonka
