// Times one op on a device: operands made and, where asked, packed beforehand; only run() and synchronize() are timed.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "device.hpp"

namespace gonka {

struct timing_request {
  gk_op op = GK_OP_GEMM;
  // The op's struct without operands; host pointers inside (seeds, cu_seqlens, hit lists) must outlive the call.
  void *problem = nullptr;
  std::string implementation;  // empty: the device's choice
  bool pack_b = false;         // gemm: B packed once, outside the timed region
  uint32_t samples = 20;       // timed calls, at least 3
  double seconds = 2;          // stop sampling after this long, but not before 3 samples
};

struct timing_result {
  std::vector<double> samples_ns;  // wall time of each call, in order
  work one_call;
  std::string implementation;  // that ran; "cpu:<name>" where the op fell back to the host
};

// Fills inputs with seeded random values (floats uniform in [-1, 1], integers over their range). Throws status_error.
timing_result time_op(const std::shared_ptr<device> &device, const timing_request &request,
                      const std::atomic<bool> &cancelled);

}  // namespace gonka
