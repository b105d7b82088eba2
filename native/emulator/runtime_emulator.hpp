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
// Launches so far.
uint64_t emulated_launches();

// What the backend is about to launch: the kernel's function, bytes of its parameter, threads of a block, and the
// device.
struct launch_request {
  const void *function;
  uint64_t argument_bytes;
  uint32_t threads, compute_capability;
};
// If set, says what runs in place of the kernel as the host compiler has it; called with the address of the kernel's
// parameter. Null: the kernel itself. Throws cuda::device_error if it has nothing for this kernel.
using translation_finder = void (*(*)(const launch_request &))(const void *argument);
translation_finder &emulated_translation();

}  // namespace gonka::emulator
