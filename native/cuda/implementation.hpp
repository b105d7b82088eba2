// How CUDA implementations are listed. Each <op>_list.cu holds the ordered list of one op: the one place to register.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "device/runtime.hpp"
#include "op.hpp"

namespace gonka::cuda {

// Device memory that recorded work uses: it stays as it is for as long as the recording may be replayed.
struct recorded_memory {
  struct block {
    uint32_t slot;
    device_memory memory;
  };
  std::vector<block> scratch;
  std::vector<device_memory> constants;
};

// A stream with the scratch memory of the ops that run on it. Scratch is reused by the next op, in stream order.
class context {
 public:
  context(uint32_t device, const capability &can) : device_(device), can_(can), stream_(runtime::stream_open(device)) {}
  ~context() { runtime::stream_close(stream_); }
  context(const context &) = delete;
  context &operator=(const context &) = delete;

  runtime::stream *stream() const { return stream_; }
  const capability &can() const { return can_; }
  uint32_t device() const { return device_; }

  // Which of implementation::variants run() takes; 0: what the tables say.
  uint32_t variant() const { return variant_; }
  void take_variant(uint32_t variant) { variant_ = variant; }

  // Device memory for this op, contents undefined; each slot is its own allocation.
  void *scratch(uint32_t slot, uint64_t bytes);
  // Gives back the memory of slots from first on, when queued work is done with it.
  void free_scratch(uint32_t first);
  // A copy of host memory in device memory.
  void *upload(uint32_t slot, const void *from, uint64_t bytes);

  // From here on scratch and upload take their memory from *memory, which outlives the recording; nullptr: as usual.
  void record_into(recorded_memory *memory) { recording_ = memory; }
  bool records() const { return recording_ != nullptr; }

 private:
  uint32_t device_;
  const capability &can_;
  runtime::stream *stream_;
  std::vector<device_memory> slots_;
  recorded_memory *recording_ = nullptr;
  uint32_t variant_ = 0;
};

// Where the operands lie: address and alignment are known before an implementation is chosen for a real run; in a dry
// run there are none and only the problem itself decides.
using places = std::span<void *const>;

struct implementation {
  const char *name;  // "sm90_wgmma", "sm80_mma", "simt": shown by devices, conformance, bench and in errors
  // Null if it can run this (valid) problem on such a device, otherwise the reason it cannot. A pure function.
  const char *(*reject)(const void *problem, const capability &can);
  // Optional: the same for what only the operands' addresses show. Never called in a dry run.
  const char *(*reject_places)(const void *problem, places operands);
  // Queues the work; operands in the order of op_spec::operands.
  void (*run)(void *problem, places operands, context &ctx);
  // Optional: why a later one in the list is expected to be faster for this problem; null: none is. Looked at only when
  // the backend chooses, and only if a later one accepts.
  const char *(*slower)(const void *problem, const capability &can) = nullptr;
  // Optional: in how many ways run() can do this problem, all with the same bits: 0 is what the tables say, 1 to n - 1
  // are told apart by context::variant. A pure function. The backend measures which is fastest.
  uint32_t (*variants)(const void *problem, const capability &can) = nullptr;
  // With variants: problems that are likely to share the answer share a name of [a-z0-9_ ]. A pure function.
  std::string (*shape_class)(const void *problem) = nullptr;
};

// Best first. Empty for an op without a CUDA implementation.
std::span<const implementation> implementations(uint32_t op) noexcept;

std::span<const implementation> gemm_list() noexcept;
std::span<const implementation> attention_list() noexcept;
std::span<const implementation> matmul_pow_list() noexcept;
std::span<const implementation> sha256_search_list() noexcept;
std::span<const implementation> normal_fill_list() noexcept;
std::span<const implementation> rms_norm_list() noexcept;
std::span<const implementation> rope_list() noexcept;
std::span<const implementation> silu_mul_list() noexcept;
std::span<const implementation> householder_list() noexcept;
std::span<const implementation> gather_list() noexcept;
std::span<const implementation> l2_normalize_list() noexcept;
std::span<const implementation> permuted_distance_list() noexcept;

}  // namespace gonka::cuda
