// What the backend needs of the machine: devices, memory, streams, launches. Two implementations, chosen when the
// backend is built: the CUDA runtime (runtime_cuda.cu) and the emulator (emulator/runtime_emulator.cpp).
// Everything here throws device_error; nothing else does.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "gonka_backend.h"
#include "ptx.cuh"

#if !defined(__CUDACC__)
#include <memory>
#include <utility>
#endif

namespace gonka::cuda {

class device_error : public std::runtime_error {
 public:
  device_error(gk_status status, int32_t native_code, const std::string &message)
      : std::runtime_error(message), status(status), native_code(native_code) {}
  const gk_status status;
  const int32_t native_code;  // cudaError_t, or 0
};

// What a device can do; the input of every choice between implementations.
struct capability {
  uint32_t compute_capability = 0;  // 80, 86, 89, 90, 100, 120: major * 10 + minor
  uint32_t multiprocessors = 0;
  uint32_t shared_bytes_per_block = 0;  // with opt-in
  uint32_t l2_bytes = 0;
};

struct device_description {
  capability can;
  std::string name, driver, unique_id;
  std::string pci;  // "0000:1b:00.0"; empty if it has none
  uint64_t memory_bytes = 0, memory_free_bytes = 0;
};

namespace runtime {

struct stream;     // an ordered queue with its staging memory
struct recording;  // launches and fills of a stream, to be queued again as one

// Number of usable devices. 0 sets *why to cause and fix: no driver, driver too old, no device, none new enough.
uint32_t device_count(std::string *why);
device_description describe(uint32_t device);

stream *stream_open(uint32_t device);
void stream_close(stream *s) noexcept;  // waits for queued work
void synchronize(stream *s);
// Makes the stream's device the calling thread's: every other function here does so itself but make_tensor_map.
void make_current(const stream *s);

void *allocate(uint32_t device, uint64_t bytes);
void release(uint32_t device, void *memory) noexcept;
// True if scratch memory must have exactly the size asked for, so that every access can be checked.
extern const bool k_exact_scratch;

// In stream order. to_device: the source may be reused at once. to_host: the bytes are there when it returns.
void copy_to_device(stream *s, void *to, const void *from, uint64_t bytes);
void copy_to_host(stream *s, void *to, const void *from, uint64_t bytes);
void fill(stream *s, void *memory, uint8_t value, uint64_t bytes);
// Rows of row_bytes from one place of the device to another; strides in bytes, at most k_largest_row_stride.
constexpr uint64_t k_largest_row_stride = 0x7fffffff;
void copy_rows(stream *s, void *to, uint64_t to_stride, const void *from, uint64_t from_stride, uint64_t row_bytes,
               uint64_t rows);

// Between these two, launches and fills on s are recorded instead of queued; copies and synchronize are refused. end
// throws if the recording came to nothing; s is then as before. A recording is replayed on the stream that made it.
void record_begin(stream *s);
recording *record_end(stream *s);
void record_cancel(stream *s) noexcept;
void replay(stream *s, recording *r);
void release(recording *r) noexcept;  // no replay is unfinished; nullptr is ignored
// Whether times of this runtime mean something, and the time on the device of what work() queues on s, milliseconds.
bool measures();
float elapsed_ms(stream *s, const std::function<void()> &work);

// A copy beside all streams, done on return; also while one of them records.
void copy_to_device_now(uint32_t device, void *to, const void *from, uint64_t bytes);

struct launch_shape {
  uint32_t grid_x = 1, grid_y = 1, grid_z = 1;
  uint32_t threads = 1;
  uint32_t shared_bytes = 0;  // dynamic
  uint32_t cluster = 1;       // blocks of a cluster along x
};

// A tensor in device memory for bulk copies, dimension 0 contiguous; copied in boxes with the 128-byte swizzle, zeros
// outside. stride_bytes[i]: between neighbours along dimension i + 1. A box has 128 bytes along dimension 0.
struct tensor_request {
  void *base;  // multiple of 16
  uint32_t element_bytes, dimensions;
  uint64_t extent[3];
  uint64_t stride_bytes[2];  // multiples of 16
  uint32_t box[3];           // at most 256 each
};
ptx::tensor_map make_tensor_map(const tensor_request &request);  // the device must be current

// A device address for a kernel's parameters.
template <class T>
ptx::gptr<T> address(void *memory) {
  return ptx::gptr<T>(static_cast<T *>(memory));
}

#if defined(__CUDACC__)
void launch_raw(stream *s, const void *kernel, const launch_shape &shape, void **arguments);

// Queues kernel(arguments). Kernels take one parameter, a plain struct.
template <class Arguments>
void launch(stream *s, void (*kernel)(Arguments), const launch_shape &shape, const Arguments &arguments) {
  Arguments copy = arguments;
  void *list[] = {&copy};
  launch_raw(s, reinterpret_cast<const void *>(kernel), shape, list);
}
#else
// entry(call) runs the kernel as the host compiler has it; function and argument say what it is, for other ways to run
// it.
struct kernel_call {
  void (*entry)(const void *call);
  const void *call;
  const void *function, *argument;
  uint64_t argument_bytes;
  std::shared_ptr<const void> kept;  // what call and argument point into, for as long as a recording may need it
};
void launch_raw(stream *s, const launch_shape &shape, const kernel_call &kernel);

template <class Arguments>
void launch(stream *s, void (*kernel)(Arguments), const launch_shape &shape, const Arguments &arguments) {
  using call = std::pair<void (*)(Arguments), const Arguments>;
  const auto kept = std::make_shared<const call>(kernel, arguments);
  launch_raw(s, shape,
             {[](const void *p) {
                const call &c = *static_cast<const call *>(p);
                c.first(c.second);
              },
              kept.get(), reinterpret_cast<const void *>(kernel), &kept->second, sizeof arguments, kept});
}
#endif

}  // namespace runtime

// RAII for memory that lives as long as its owner.
class device_memory {
 public:
  device_memory() = default;
  device_memory(uint32_t device, uint64_t bytes) : device_(device), bytes_(bytes) {
    data_ = runtime::allocate(device, bytes);
  }
  ~device_memory() { runtime::release(device_, data_); }
  device_memory(device_memory &&other) noexcept { swap(other); }
  device_memory &operator=(device_memory &&other) noexcept {
    swap(other);
    return *this;
  }
  void *data() const { return data_; }
  uint64_t size() const { return bytes_; }

 private:
  void swap(device_memory &other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  uint32_t device_ = 0;
  void *data_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace gonka::cuda
