// The host CPU in place of a device that does not support a problem.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "device.hpp"
#include "gonka_backend.h"
#include "op.hpp"

namespace gonka {

// Thread-safe. Holds on to the process's one fallback CPU device from the first run on.
class host_cpu {
 public:
  // Copies the problem's operands from the device, runs it on the host CPU and copies back the bytes the op writes, in
  // order with the stream's work. The problem's refs are as before on return. device_id: for messages. Throws
  // status_error.
  void run(const gk_backend &table, gk_stream *stream, const std::string &device_id, const op_spec &spec,
           void *problem);

 private:
  std::shared_ptr<device> open();
  std::mutex mutex_;
  std::shared_ptr<device> cpu_;
};

}  // namespace gonka
