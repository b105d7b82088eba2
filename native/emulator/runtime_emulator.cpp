// The backend's runtime over the emulator: four devices, one per architecture family, work done at once in the calling
// thread. A finding becomes GK_DEVICE_ERROR with the finding's text.
#include "runtime_emulator.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "cuda/device/runtime.hpp"

namespace gonka::emulator {

options &emulated_options() {
  static options o;
  return o;
}
counters &emulated_counters() {
  static counters c;
  return c;
}

uint32_t &emulated_multiprocessors() {
  static uint32_t n = 0;
  return n;
}

translation_finder &emulated_translation() {
  static translation_finder finder = nullptr;
  return finder;
}

namespace {
std::atomic<uint64_t> g_launches = 0, g_replays = 0;
}
uint64_t emulated_launches() {
  return g_launches;
}
launch_cost &emulated_cost() {
  static launch_cost cost;
  return cost;
}
uint64_t emulated_replays() {
  return g_replays;
}

}  // namespace gonka::emulator

namespace gonka::cuda::runtime {
namespace {

struct emulated_device {
  const char *name;
  capability can;
};

// Figures of the data sheets and of the CUDA programming guide's table of compute capabilities.
constexpr emulated_device k_devices[] = {
    {"emulated A100", {80, 108, 163 * 1024, 40u << 20}},
    {"emulated L40S", {89, 142, 99 * 1024, 96u << 20}},
    {"emulated H100", {90, 132, 227 * 1024, 50u << 20}},
    {"emulated B200", {100, 148, 227 * 1024, 126u << 20}},
};
constexpr uint32_t k_device_count = sizeof k_devices / sizeof *k_devices;

}  // namespace

const bool k_exact_scratch = true;

struct recording {
  std::vector<std::function<void()>> steps;
};

struct stream {
  uint32_t device;
  std::unique_ptr<recording> made = nullptr;  // while recording
  float cost_ms = 0;                          // of all launches
};

namespace {

void refuse_while_recording(const stream *s, const char *what) {
  if (s->made != nullptr) throw device_error(GK_UNSUPPORTED, 0, std::string(what) + " cannot be recorded");
}

// Injected faults: a device that fell out fails every later call until its handles are gone, as a CUDA context does.
std::mutex g_fault_mutex;
emulator::injected_fault g_fault;
std::map<uint32_t, std::string> g_lost;     // by device
std::map<uint32_t, std::string> g_pending;  // of launches that failed, but nobody has waited for yet

constexpr int32_t k_illegal_address = 700;

void fail_if_lost(uint32_t device) {
  const std::lock_guard lock(g_fault_mutex);
  if (const auto found = g_lost.find(device); found != g_lost.end())
    throw device_error(GK_DEVICE_LOST, k_illegal_address, found->second);
}

// What a caller that waits for the device learns.
void finish(uint32_t device) {
  {
    const std::lock_guard lock(g_fault_mutex);
    if (const auto found = g_pending.find(device); found != g_pending.end()) {
      g_lost.insert(*found);
      g_pending.erase(found);
    }
  }
  fail_if_lost(device);
}

// True if this launch is the one that fails without anybody noticing at once.
bool fails_now(uint32_t device) {
  const std::lock_guard lock(g_fault_mutex);
  if (g_pending.contains(device)) return true;
  if (g_fault.device != device || g_fault.launches_before == UINT64_MAX) return false;
  if (g_fault.launches_before-- != 0) return false;
  g_fault.launches_before = UINT64_MAX;
  if (!g_fault.sticky) throw device_error(GK_DEVICE_ERROR, 1, "injected: kernel launch: invalid argument");
  const std::string text = "injected: an illegal memory access was encountered";
  if (g_fault.seen_at_wait)
    g_pending[device] = text;
  else
    g_lost[device] = text;
  if (g_fault.seen_at_wait) return true;
  throw device_error(GK_DEVICE_LOST, k_illegal_address, text);
}

}  // namespace

uint32_t device_count(std::string *) {
  return k_device_count;
}

device_description describe(uint32_t device) {
  fail_if_lost(device);
  device_description d;
  d.can = k_devices[device].can;
  if (emulator::emulated_multiprocessors() != 0) d.can.multiprocessors = emulator::emulated_multiprocessors();
  d.name = k_devices[device].name;
  d.driver = "emulator";
  d.unique_id = "GPU-00000000-0000-0000-0000-0000000000" + std::to_string(10 + device);
  d.pci = "0000:0" + std::to_string(device) + ":00.0";
  d.memory_bytes = uint64_t(1) << 32;
  const uint64_t used = emulator::allocated_bytes();
  d.memory_free_bytes = used < d.memory_bytes ? d.memory_bytes - used : 0;
  return d;
}

stream *stream_open(uint32_t device) {
  fail_if_lost(device);
  return new stream{device};
}
void stream_close(stream *s) noexcept {
  delete s;
}
// A driver's call without a context fails; here only this function gives a thread one.
thread_local bool t_current = false;
void make_current(const stream *) {
  t_current = true;
}
void synchronize(stream *s) {
  refuse_while_recording(s, "waiting for the device");
  finish(s->device);
}

void record_begin(stream *s) {
  fail_if_lost(s->device);
  if (s->made != nullptr) throw device_error(GK_INVALID_ARGUMENT, 0, "the stream records already");
  s->made = std::make_unique<recording>();
}
recording *record_end(stream *s) {
  if (s->made == nullptr) throw device_error(GK_INVALID_ARGUMENT, 0, "the stream does not record");
  return s->made.release();
}
void record_cancel(stream *s) noexcept {
  s->made.reset();
}
void replay(stream *s, recording *r) {
  refuse_while_recording(s, "a replay");
  ++emulator::g_replays;
  for (const auto &step : r->steps) step();
}
void release(recording *r) noexcept {
  delete r;
}

void *allocate(uint32_t device, uint64_t bytes) {
  fail_if_lost(device);
  if (emulator::allocated_bytes() + bytes > uint64_t(1) << 32)
    throw device_error(GK_OUT_OF_MEMORY, 2, "allocation of " + std::to_string(bytes) + " bytes: the device has 4 GiB");
  return emulator::allocate(bytes);
}
void release(uint32_t, void *memory) noexcept {
  emulator::release(memory);
}

bool measures() {
  return bool(emulator::emulated_cost());
}
float elapsed_ms(stream *s, const std::function<void()> &work) {
  const float before = s->cost_ms;
  work();
  return s->cost_ms - before;
}

void copy_to_device_now(uint32_t device, void *to, const void *from, uint64_t bytes) {
  fail_if_lost(device);
  if (!emulator::write(to, from, bytes)) throw device_error(GK_DEVICE_ERROR, 1, "copy to device: outside a buffer");
}
void copy_to_device(stream *s, void *to, const void *from, uint64_t bytes) {
  refuse_while_recording(s, "a copy from host memory");
  fail_if_lost(s->device);
  if (!emulator::write(to, from, bytes)) throw device_error(GK_DEVICE_ERROR, 1, "copy to device: outside a buffer");
}
void copy_to_host(stream *s, void *to, const void *from, uint64_t bytes) {
  refuse_while_recording(s, "a copy to host memory");
  finish(s->device);
  if (!emulator::read(to, from, bytes)) throw device_error(GK_DEVICE_ERROR, 1, "copy to host: outside a buffer");
}
void fill(stream *s, void *memory, uint8_t value, uint64_t bytes) {
  if (s->made != nullptr) {
    const uint32_t device = s->device;
    s->made->steps.push_back([=] {
      stream now{device};
      fill(&now, memory, value, bytes);
    });
    return;
  }
  fail_if_lost(s->device);
  if (!emulator::fill(memory, value, bytes)) throw device_error(GK_DEVICE_ERROR, 1, "fill: outside a buffer");
}

void copy_rows(stream *s, void *to, uint64_t to_stride, const void *from, uint64_t from_stride, uint64_t row_bytes,
               uint64_t rows) {
  refuse_while_recording(s, "a copy of rows");
  fail_if_lost(s->device);
  std::vector<char> row(row_bytes);
  for (uint64_t i = 0; i < rows; ++i)
    if (!emulator::read(row.data(), static_cast<const char *>(from) + i * from_stride, row_bytes) ||
        !emulator::write(static_cast<char *>(to) + i * to_stride, row.data(), row_bytes))
      throw device_error(GK_DEVICE_ERROR, 1, "copy of rows: outside a buffer");
}

ptx::tensor_map make_tensor_map(const tensor_request &r) {
  if (!t_current) throw device_error(GK_DEVICE_ERROR, 201, "tensor map: no device is current in this thread");
  emulator::tensor_description d{static_cast<uint8_t *>(r.base),
                                 r.dimensions,
                                 r.element_bytes,
                                 {r.extent[0], r.extent[1], r.extent[2]},
                                 {r.stride_bytes[0], r.stride_bytes[1]},
                                 {r.box[0], r.box[1], r.box[2]}};
  ptx::tensor_map map;
  if (const char *why = emulator::encode(d, &map)) throw device_error(GK_DEVICE_ERROR, 1, why);
  return map;
}

void launch_raw(stream *s, const launch_shape &shape, const kernel_call &kernel) {
  if (s->made != nullptr) {
    s->made->steps.push_back([=, device = s->device] {
      stream now{device};
      launch_raw(&now, shape, kernel);
    });
    return;
  }
  fail_if_lost(s->device);
  if (fails_now(s->device)) return;
  if (const auto &cost = emulator::emulated_cost())
    s->cost_ms += cost(shape.grid_x * shape.grid_y * shape.grid_z, shape.threads);
  const capability &can = k_devices[s->device].can;
  if (shape.shared_bytes > can.shared_bytes_per_block)
    throw device_error(GK_DEVICE_ERROR, 1,
                       "launch with " + std::to_string(shape.shared_bytes) +
                           " bytes of shared memory; a block has at most " +
                           std::to_string(can.shared_bytes_per_block));
  emulator::options how = emulator::emulated_options();
  how.compute_capability = can.compute_capability;
  const emulator::launch_config config{
      {shape.grid_x, shape.grid_y, shape.grid_z}, {shape.threads, 1, 1}, shape.shared_bytes, shape.cluster};
  void (*entry)(const void *) = kernel.entry;
  const void *argument = kernel.call;
  if (emulator::emulated_translation() != nullptr) {
    entry = emulator::emulated_translation()(
        {kernel.function, kernel.argument_bytes, shape.threads, can.compute_capability});
    argument = kernel.argument;
  }
  ++emulator::g_launches;
  const emulator::finding found =
      emulator::launch(config, how, how.count ? &emulator::emulated_counters() : nullptr, entry, argument);
  if (found.kind != emulator::fault::none) throw device_error(GK_DEVICE_ERROR, 0, found.text());
}

}  // namespace gonka::cuda::runtime

namespace gonka::emulator {

void inject(const injected_fault &fault) {
  const std::lock_guard lock(cuda::runtime::g_fault_mutex);
  cuda::runtime::g_fault = fault;
}
void repair_devices() {
  const std::lock_guard lock(cuda::runtime::g_fault_mutex);
  cuda::runtime::g_fault = {};
  cuda::runtime::g_lost.clear();
  cuda::runtime::g_pending.clear();
}

}  // namespace gonka::emulator
