// The backends of this process.
#pragma once

#include <memory>

#include "device.hpp"

namespace gonka {

// The CPU backend, linked in.
std::shared_ptr<const backend_library> cpu_library();

}  // namespace gonka
