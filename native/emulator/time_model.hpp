// How long what was counted takes on an architecture: a bound per unit, from published rates, not a simulation.
#pragma once

#include <cstdint>
#include <string>

#include "emulator.hpp"

namespace gonka::emulator {

// Rates of one device, from its data sheet. L2 to an SM: A100's whitepaper has 5120 bytes per cycle for all of them; of
// an H100 our own gemm drew at least this much (native/cuda/MODEL.md); for L40S and B200 it is assumed.
struct architecture {
  uint32_t compute_capability;
  const char *name;
  uint32_t multiprocessors;
  double hertz;
  double mma_operations;       // of F16 and BF16, per cycle and SM; of 8-bit types twice that
  double l2_bytes;             // to an SM per cycle
  double memory_bytes_second;  // of the device
};

// nullptr for one that has no entry.
const architecture *architecture_of(uint32_t compute_capability) noexcept;

// Seconds that each unit needs for a launch whose blocks keep all SMs equally busy.
struct modelled_time {
  double tensor_cores, shared_memory, l2, memory;
  double total;       // of the slowest unit: the others hide behind it
  const char *limit;  // its name
  double roofline;    // what remains if only products and compulsory bytes of device memory count
  double peak_share;  // of the tensor cores' peak that the units of the SM and L2 leave, however large the problem
};

// operand_bytes: of an element of the products, 2 or 1. compulsory_bytes: every operand of the problem once.
modelled_time model_time(const counters &c, const architecture &on, uint32_t operand_bytes, double compulsory_bytes);

// "tensor cores 0.1 us, shared memory 0.2 us, ...".
std::string to_text(const modelled_time &t);

}  // namespace gonka::emulator
