// Control of the emulated devices, for tests.
#pragma once

#include "emulator.hpp"

namespace gonka::emulator {

// Applies to every later launch of the emulated backend. compute_capability is the device's and is not taken from here.
// With count set, counters of all launches add up in emulated_counters().
options &emulated_options();
counters &emulated_counters();
// Multiprocessors of devices opened from now on; 0: as the data sheet says. A small number makes small problems choose
// the tiles, grids and splits of large ones.
uint32_t &emulated_multiprocessors();
// Launches so far, and of them how many ended with a finding.
uint64_t emulated_launches();

}  // namespace gonka::emulator
