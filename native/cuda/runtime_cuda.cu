// The runtime over the CUDA runtime library, linked statically. The driver itself is found at run time; without one the
// library still loads and device_count says what is missing.
#include <cuda.h>
#include <cuda_runtime.h>

#include <cstring>
#include <mutex>

#include "device/runtime_cuda.hpp"

namespace gonka::cuda::runtime {
namespace {

// Errors after which the context is gone (CUDA runtime API, "sticky" errors): nothing works until the process ends or
// the device is reset.
bool is_sticky(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorECCUncorrectable:
    case cudaErrorAssert:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorDevicesUnavailable:
      return true;
    default:
      return false;
  }
}

void check(cudaError_t error, const char *what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // a non-sticky error must not surface again in an unrelated call
  const gk_status status = error == cudaErrorMemoryAllocation ? GK_OUT_OF_MEMORY
                           : is_sticky(error)                 ? GK_DEVICE_LOST
                                                              : GK_DEVICE_ERROR;
  throw device_error(status, int32_t(error),
                     std::string(what) + ": " + cudaGetErrorName(error) + ": " + cudaGetErrorString(error));
}

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

constexpr uint64_t k_staging_bytes = uint64_t(4) << 20;

}  // namespace

const bool k_exact_scratch = false;

struct stream {
  uint32_t device;
  cudaStream_t handle = nullptr;
  // Two halves of pinned memory in turn: while one is being copied the other is filled.
  char *staging[2] = {nullptr, nullptr};
  cudaEvent_t staged[2] = {nullptr, nullptr};
  uint32_t turn = 0;
  bool recording = false;
};

struct recording {
  uint32_t device;
  cudaGraphExec_t graph = nullptr;
};

namespace {

void refuse_while_recording(const stream *s, const char *what) {
  if (s->recording) throw device_error(GK_UNSUPPORTED, 0, std::string(what) + " cannot be recorded");
}

}  // namespace

uint32_t device_count(std::string *why) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) {
    int usable = 0;
    for (int i = 0; i < count; ++i) {
      int major = 0;
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, i);
      usable += major >= 8;
    }
    if (usable == count) return uint32_t(count);
    // Devices are numbered by the driver; hiding some of them is the user's business (CUDA_VISIBLE_DEVICES).
    *why = "a device is older than compute capability 8.0 (Ampere); hide it with CUDA_VISIBLE_DEVICES";
    return 0;
  }
  cudaGetLastError();
  int driver = 0, built = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&built);
  if (driver == 0)
    *why = "no NVIDIA driver is installed (libcuda.so.1 was not found); install one for CUDA " + version_text(built) +
           " or newer";
  else if (error == cudaErrorInsufficientDriver || driver / 1000 < built / 1000)
    *why = "the NVIDIA driver serves CUDA " + version_text(driver) + ", this library needs " + version_text(built) +
           "; update the driver";
  else if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0))
    *why = "the driver sees no GPU; check nvidia-smi, CUDA_VISIBLE_DEVICES and the container's device access";
  else
    *why = std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error);
  return 0;
}

device_description describe(uint32_t device) {
  cudaDeviceProp p;
  check(cudaGetDeviceProperties(&p, int(device)), "cudaGetDeviceProperties");
  device_description d;
  d.can.compute_capability = uint32_t(p.major * 10 + p.minor);
  d.can.multiprocessors = uint32_t(p.multiProcessorCount);
  d.can.shared_bytes_per_block = uint32_t(p.sharedMemPerBlockOptin);
  d.can.l2_bytes = uint32_t(p.l2CacheSize);
  d.name = p.name;
  int driver = 0;
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  d.driver = "CUDA " + version_text(driver);
  char uuid[48];
  const auto *b = reinterpret_cast<const unsigned char *>(p.uuid.bytes);
  std::snprintf(uuid, sizeof uuid, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
  d.unique_id = uuid;
  char pci[32] = "";
  check(cudaDeviceGetPCIBusId(pci, sizeof pci, int(device)), "cudaDeviceGetPCIBusId");
  d.pci = pci;
  check(cudaSetDevice(int(device)), "cudaSetDevice");
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  d.memory_bytes = total;
  d.memory_free_bytes = free;
  return d;
}

stream *stream_open(uint32_t device) {
  check(cudaSetDevice(int(device)), "cudaSetDevice");
  stream *s = new stream{device};
  try {
    check(cudaStreamCreateWithFlags(&s->handle, cudaStreamNonBlocking), "cudaStreamCreate");
    for (int i = 0; i < 2; ++i) {
      check(cudaMallocHost(reinterpret_cast<void **>(&s->staging[i]), k_staging_bytes), "pinned staging memory");
      check(cudaEventCreateWithFlags(&s->staged[i], cudaEventDisableTiming), "cudaEventCreate");
    }
  } catch (...) {
    stream_close(s);
    throw;
  }
  return s;
}

void stream_close(stream *s) noexcept {
  if (s == nullptr) return;
  cudaSetDevice(int(s->device));
  record_cancel(s);
  if (s->handle != nullptr) cudaStreamSynchronize(s->handle);
  for (int i = 0; i < 2; ++i) {
    if (s->staging[i] != nullptr) cudaFreeHost(s->staging[i]);
    if (s->staged[i] != nullptr) cudaEventDestroy(s->staged[i]);
  }
  if (s->handle != nullptr) cudaStreamDestroy(s->handle);
  cudaGetLastError();
  delete s;
}

void synchronize(stream *s) {
  refuse_while_recording(s, "waiting for the device");
  check(cudaSetDevice(int(s->device)), "cudaSetDevice");
  check(cudaStreamSynchronize(s->handle), "synchronize");
}

void *allocate(uint32_t device, uint64_t bytes) {
  check(cudaSetDevice(int(device)), "cudaSetDevice");
  void *memory = nullptr;
  const std::string what = "allocation of " + std::to_string(bytes) + " bytes";
  check(cudaMalloc(&memory, bytes), what.c_str());
  return memory;
}

void release(uint32_t device, void *memory) noexcept {
  if (memory == nullptr) return;
  cudaSetDevice(int(device));
  cudaFree(memory);
  cudaGetLastError();
}

void copy_to_device(stream *s, void *to, const void *from, uint64_t bytes) {
  refuse_while_recording(s, "a copy from host memory");
  check(cudaSetDevice(int(s->device)), "cudaSetDevice");
  for (uint64_t done = 0; done < bytes;) {
    const uint64_t part = bytes - done < k_staging_bytes ? bytes - done : k_staging_bytes;
    const uint32_t slot = s->turn++ & 1;
    check(cudaEventSynchronize(s->staged[slot]), "copy to device");
    std::memcpy(s->staging[slot], static_cast<const char *>(from) + done, part);
    check(cudaMemcpyAsync(static_cast<char *>(to) + done, s->staging[slot], part, cudaMemcpyHostToDevice, s->handle),
          "copy to device");
    check(cudaEventRecord(s->staged[slot], s->handle), "copy to device");
    done += part;
  }
}

void copy_to_host(stream *s, void *to, const void *from, uint64_t bytes) {
  refuse_while_recording(s, "a copy to host memory");
  check(cudaSetDevice(int(s->device)), "cudaSetDevice");
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, s->handle), "copy to host");
  check(cudaStreamSynchronize(s->handle), "copy to host");
}

void fill(stream *s, void *memory, uint8_t value, uint64_t bytes) {
  check(cudaSetDevice(int(s->device)), "cudaSetDevice");
  check(cudaMemsetAsync(memory, value, bytes, s->handle), "fill");
}

void copy_rows(stream *s, void *to, uint64_t to_stride, const void *from, uint64_t from_stride, uint64_t row_bytes,
               uint64_t rows) {
  refuse_while_recording(s, "a copy of rows");
  check(cudaSetDevice(int(s->device)), "cudaSetDevice");
  check(cudaMemcpy2DAsync(to, to_stride, from, from_stride, row_bytes, rows, cudaMemcpyDeviceToDevice, s->handle),
        "copy of rows");
}

// Relaxed: what else the process does - allocating, copying on other streams - is none of the recording's business, and
// nothing of it touches this stream.
void record_begin(stream *s) {
  if (s->recording) throw device_error(GK_INVALID_ARGUMENT, 0, "the stream records already");
  check(cudaSetDevice(int(s->device)), "cudaSetDevice");
  check(cudaStreamBeginCapture(s->handle, cudaStreamCaptureModeRelaxed), "record");
  s->recording = true;
}

recording *record_end(stream *s) {
  if (!s->recording) throw device_error(GK_INVALID_ARGUMENT, 0, "the stream does not record");
  s->recording = false;
  check(cudaSetDevice(int(s->device)), "cudaSetDevice");
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(s->handle, &graph), "record");
  cudaGraphExec_t ready = nullptr;
  const cudaError_t made = cudaGraphInstantiate(&ready, graph, 0);
  cudaGraphDestroy(graph);
  check(made, "record");
  return new recording{s->device, ready};
}

void record_cancel(stream *s) noexcept {
  if (!s->recording) return;
  s->recording = false;
  cudaSetDevice(int(s->device));
  cudaGraph_t graph = nullptr;
  if (cudaStreamEndCapture(s->handle, &graph) == cudaSuccess && graph != nullptr) cudaGraphDestroy(graph);
  cudaGetLastError();
}

void replay(stream *s, recording *r) {
  refuse_while_recording(s, "a replay");
  check(cudaSetDevice(int(s->device)), "cudaSetDevice");
  check(cudaGraphLaunch(r->graph, s->handle), "replay");
}

void release(recording *r) noexcept {
  if (r == nullptr) return;
  cudaSetDevice(int(r->device));
  cudaGraphExecDestroy(r->graph);
  cudaGetLastError();
  delete r;
}

bool measures() {
  return true;
}

float elapsed_ms(stream *s, const std::function<void()> &work) {
  struct event {
    event() { check(cudaEventCreate(&handle), "cudaEventCreate"); }
    ~event() { cudaEventDestroy(handle); }
    event(const event &) = delete;
    event &operator=(const event &) = delete;
    cudaEvent_t handle = nullptr;
  };
  refuse_while_recording(s, "a measurement");
  check(cudaSetDevice(int(s->device)), "cudaSetDevice");
  const event begin, end;
  check(cudaEventRecord(begin.handle, s->handle), "cudaEventRecord");
  work();
  check(cudaEventRecord(end.handle, s->handle), "cudaEventRecord");
  check(cudaEventSynchronize(end.handle), "measurement");
  float ms = 0;
  check(cudaEventElapsedTime(&ms, begin.handle, end.handle), "cudaEventElapsedTime");
  return ms;
}

void copy_to_device_now(uint32_t device, void *to, const void *from, uint64_t bytes) {
  check(cudaSetDevice(int(device)), "cudaSetDevice");
  cudaStream_t beside = nullptr;
  check(cudaStreamCreateWithFlags(&beside, cudaStreamNonBlocking), "cudaStreamCreate");
  cudaError_t error = cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, beside);
  if (error == cudaSuccess) error = cudaStreamSynchronize(beside);
  cudaStreamDestroy(beside);
  check(error, "copy to device");
}

cudaStream_t native_handle(const stream *s) {
  return s->handle;
}

void make_current(const stream *s) {
  check(cudaSetDevice(int(s->device)), "cudaSetDevice");
}

// The driver encodes tensor maps; its entry point is looked up at run time, so that the library needs no libcuda to
// load.
ptx::tensor_map make_tensor_map(const tensor_request &r) {
  using encode_function =
      CUresult (*)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *, const cuuint64_t *,
                   const cuuint32_t *, const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
                   CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
  static void *entry = nullptr;
  static std::once_flag once;
  std::call_once(once, [] {
    cudaDriverEntryPointQueryResult found;
    if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found) !=
            cudaSuccess ||
        found != cudaDriverEntryPointSuccess)
      entry = nullptr;
    cudaGetLastError();
  });
  if (entry == nullptr)
    throw device_error(GK_DEVICE_ERROR, 0, "the driver has no cuTensorMapEncodeTiled; update it to CUDA 12 or newer");
  ptx::tensor_map map;
  const cuuint32_t steps[3] = {1, 1, 1};
  const CUresult result = reinterpret_cast<encode_function>(entry)(
      reinterpret_cast<CUtensorMap *>(&map),
      r.element_bytes == 1 ? CU_TENSOR_MAP_DATA_TYPE_UINT8 : CU_TENSOR_MAP_DATA_TYPE_UINT16, r.dimensions, r.base,
      r.extent, r.stride_bytes, r.box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    throw device_error(GK_DEVICE_ERROR, int32_t(result),
                       "cuTensorMapEncodeTiled failed for a tensor of " + std::to_string(r.extent[0]) + " x " +
                           std::to_string(r.extent[1]));
  return map;
}

void launch_raw(stream *s, const void *kernel, const launch_shape &shape, void **arguments) {
  check(cudaSetDevice(int(s->device)), "cudaSetDevice");
  if (shape.shared_bytes > 48 * 1024)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shape.shared_bytes)),
          "shared memory of a kernel");
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(shape.grid_x, shape.grid_y, shape.grid_z);
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = s->handle;
  cudaLaunchAttribute cluster{};
  if (shape.cluster > 1) {
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {shape.cluster, 1, 1};
    config.attrs = &cluster;
    config.numAttrs = 1;
  }
  check(cudaLaunchKernelExC(&config, kernel, arguments), "kernel launch");
}

}  // namespace gonka::cuda::runtime
