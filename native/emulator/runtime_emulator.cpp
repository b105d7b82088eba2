// The backend's runtime over the emulator: four devices, one per architecture family, work done at once in the calling
// thread. A finding becomes GK_DEVICE_ERROR with the finding's text.
#include "runtime_emulator.hpp"

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
uint64_t g_launches = 0;
}
uint64_t emulated_launches() {
  return g_launches;
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

struct stream {
  uint32_t device;
};

uint32_t device_count(std::string *) {
  return k_device_count;
}

device_description describe(uint32_t device) {
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
  return new stream{device};
}
void stream_close(stream *s) noexcept {
  delete s;
}
void synchronize(stream *) {}

void *allocate(uint32_t, uint64_t bytes) {
  if (emulator::allocated_bytes() + bytes > uint64_t(1) << 32)
    throw device_error(GK_OUT_OF_MEMORY, 2, "allocation of " + std::to_string(bytes) + " bytes: the device has 4 GiB");
  return emulator::allocate(bytes);
}
void release(uint32_t, void *memory) noexcept {
  emulator::release(memory);
}

void copy_to_device(stream *, void *to, const void *from, uint64_t bytes) {
  if (!emulator::write(to, from, bytes)) throw device_error(GK_DEVICE_ERROR, 1, "copy to device: outside a buffer");
}
void copy_to_host(stream *, void *to, const void *from, uint64_t bytes) {
  if (!emulator::read(to, from, bytes)) throw device_error(GK_DEVICE_ERROR, 1, "copy to host: outside a buffer");
}
void fill(stream *, void *memory, uint8_t value, uint64_t bytes) {
  if (!emulator::fill(memory, value, bytes)) throw device_error(GK_DEVICE_ERROR, 1, "fill: outside a buffer");
}

ptx::tensor_map make_tensor_map(const tensor_request &r) {
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
