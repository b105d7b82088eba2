// Sensors of NVIDIA devices through NVML, the driver's management library, which is found at run time.
#pragma once

#include <string>

#include "device/runtime.hpp"

namespace gonka::cuda {

// Fills out for the device that description names (by UUID, else by PCI address: a part of a divided GPU is not known
// by its UUID, and its figures are then those of the whole). Thread-safe; takes some milliseconds. Throws device_error:
// GK_UNSUPPORTED with cause and fix where NVML cannot be used at all or does not know the device.
void read_telemetry(const device_description &description, gk_telemetry &out);

}  // namespace gonka::cuda
