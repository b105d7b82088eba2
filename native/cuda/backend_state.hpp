// What the handles of the ABI point to here, and what every function of the table does around its work.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <new>

#include "implementation.hpp"
#include "operand_places.hpp"
#include "tuning.hpp"

namespace gonka::cuda {

// Names differ from the ABI's, which other backends define for themselves.
struct device_state {
  uint32_t index;
  device_description description;
  std::atomic<bool> lost{false};
  tuning tuned;
};

struct recording_state {
  device_state &device;
  recorded_memory memory;
  runtime::recording *steps = nullptr;
  ~recording_state() { runtime::release(steps); }
};

struct stream_state {
  stream_state(device_state &d) : device(d), ctx(d.index, d.description.can) {}
  device_state &device;
  context ctx;
  std::unique_ptr<recording_state> recording;  // while recording
  gk_status recording_failed = GK_OK;          // first failure of an op since it began
};

struct buffer_state {
  device_state &device;
  device_memory memory;
};

inline device_state &state(gk_device *d) {
  return *reinterpret_cast<device_state *>(d);
}
inline stream_state &state(gk_stream *s) {
  return *reinterpret_cast<stream_state *>(s);
}
inline buffer_state &state(const gk_buffer *b) {
  return *reinterpret_cast<buffer_state *>(const_cast<gk_buffer *>(b));
}
inline recording_state &state(gk_recording *r) {
  return *reinterpret_cast<recording_state *>(r);
}

// Runs body; the only place where exceptions of this backend stop. A device whose context the driver has given up is
// marked lost, and every later call on it fails at once. device may be null.
template <class F>
gk_status guard(device_state *device, gk_error *err, F &&body) noexcept {
  try {
    if (device != nullptr && device->lost)
      return fail(err, GK_DEVICE_LOST,
                  "cuda: device %u was lost by an earlier error; close it, and restart the process if it does not open "
                  "anew",
                  device->index);
    return body();
  } catch (const device_error &e) {
    if (e.status == GK_DEVICE_LOST && device != nullptr) device->lost = true;
    fail(err, e.status, "cuda: %s", e.what());
    if (err != nullptr && GK_HAS(err, gk_error, native_code)) err->native_code = e.native_code;
    return e.status;
  } catch (const std::bad_alloc &) {
    return fail(err, GK_OUT_OF_MEMORY, "cuda: out of host memory");
  } catch (const std::exception &e) {
    return fail(err, GK_INTERNAL, "cuda: %s", e.what());
  } catch (...) {
    return fail(err, GK_INTERNAL, "cuda: unknown exception");
  }
}

inline gk_status refuse_recording(gk_error *err) {
  return fail(err, GK_INVALID_ARGUMENT, "cuda: the stream records ops; only run and record_end may be called");
}

inline buffer_memory memory_of(const gk_buffer *buffer) {
  return {state(buffer).memory.data(), state(buffer).memory.size()};
}

inline char *at(const gk_buffer *buffer, uint64_t offset) {
  return static_cast<char *>(state(buffer).memory.data()) + offset;
}

// Functions of the table, as gk_backend has them: in dispatch.cu,
gk_status run(gk_stream *stream, uint32_t op, void *problem, int dry_run, gk_error *err);
uint32_t choice(gk_stream *stream, uint32_t op, void *problem);
// and in recording.cu.
gk_status record_begin(gk_stream *stream, gk_error *err);
gk_status record_end(gk_stream *stream, gk_recording **out, gk_error *err);
gk_status replay(gk_stream *stream, gk_recording *recording, gk_error *err);
void recording_free(gk_recording *recording);

}  // namespace gonka::cuda
