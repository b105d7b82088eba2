// Control of the emulated devices, for tests.
#pragma once

#include <functional>

#include "emulator.hpp"

namespace gonka::emulator {

// Applies to every later launch of the emulated backend. compute_capability is the device's and is not taken from here.
// With count set, counters of all launches add up in emulated_counters().
options &emulated_options();
counters &emulated_counters();
// Multiprocessors of devices opened from now on; 0: as the data sheet says. A small number makes small problems choose
// the tiles, grids and splits of large ones.
uint32_t &emulated_multiprocessors();
// Launches so far, those of replays included; and replays of recordings.
uint64_t emulated_launches();
uint64_t emulated_replays();

// What a launch costs, milliseconds, for tests of what is chosen by measuring; empty: nothing is measured.
using launch_cost = std::function<float(uint32_t blocks, uint32_t threads)>;
launch_cost &emulated_cost();

// A launch that fails as hardware does.
struct injected_fault {
  uint32_t device = 0;
  uint64_t launches_before = UINT64_MAX;  // launches of the device that still go well; UINT64_MAX: all
  bool sticky = true;         // as an illegal access: the device is lost. Otherwise the launch alone is refused
  bool seen_at_wait = false;  // the launch returns, and the next call that waits for the device tells
};
void inject(const injected_fault &fault);
// What restarting the process does for a real device.
void repair_devices();

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
