// Which implementation a run takes, by name: what figures and sessions report.
#pragma once

#include <string>

#include "device.hpp"

namespace gonka {

// Name of the implementation that s.run(op, problem) would take; problem's `implementation` is 0. "cpu:fallback" where
// the device itself has none for it, "default" where its backend names none.
std::string chosen_name(stream &s, gk_op op, void *problem);

}  // namespace gonka
