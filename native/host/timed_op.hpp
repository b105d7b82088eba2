// One op on a device with its operands made, so that calls of it can be timed: made and, where asked, packed
// beforehand; only run() and synchronize() are timed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "device.hpp"

namespace gonka {

struct timed_request {
  gk_op op = GK_OP_GEMM;
  // The op's struct without operands; copied. Host pointers inside (seeds, cu_seqlens, hit lists) must outlive the
  // timed_op.
  const void *problem = nullptr;
  std::string implementation;  // empty: the device's choice
  bool pack_b = false;         // gemm: B packed once, outside the timed region
};

// One thread at a time.
class timed_op {
 public:
  // Fills inputs with seeded random values (floats uniform in [-1, 1], integers over their range). Throws status_error;
  // GK_CANCELLED if cancelled is set while operands are made.
  timed_op(std::shared_ptr<device> device, const timed_request &request, const std::atomic<bool> &cancelled);

  // Wall time of one call in nanoseconds. Throws status_error.
  double call();
  // Puts other data into the caches between the operands and the processor: on devices whose memory the host can
  // address by writing twice the last-level cache (64 to 256 MiB), elsewhere by writing 256 MiB of device memory, more
  // than any accelerator caches.
  void evict();

  const work &one_call() const { return one_call_; }
  // That runs; "cpu:<name>" where the op falls back to the host.
  const std::string &implementation() const { return implementation_; }
  // Of all operands before packing.
  uint64_t operand_bytes() const { return operand_bytes_; }
  uint32_t threads() const;

 private:
  std::shared_ptr<device> device_;
  stream stream_;
  gk_op op_;
  std::unique_ptr<std::max_align_t[]> problem_;
  std::vector<buffer> buffers_;
  bool host_memory_ = false;
  std::vector<std::byte> scratch_;
  buffer device_scratch_;
  work one_call_;
  std::string implementation_;
  uint64_t operand_bytes_ = 0;
};

}  // namespace gonka
