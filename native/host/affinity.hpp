// Which processors this process may use.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gonka {

// Processor numbers, ascending.
std::vector<uint32_t> allowed_cpus();

// Confines every thread of this process, and so those they start later, to these processors. Throws status_error where
// the list is empty or the kernel refuses: a processor that does not exist or that a control group withholds.
void pin_process(std::span<const uint32_t> cpus);

}  // namespace gonka
