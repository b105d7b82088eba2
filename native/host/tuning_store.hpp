// Where a device's tuning (gk_backend.tuning_export) is kept between processes.
#pragma once

#include <string>

#include "device.hpp"

namespace gonka {

// The file of this device, driver and library: $XDG_CACHE_HOME/gonka-miner/tuning/<backend>-<hash>.txt, or below
// $HOME/.cache. Empty if neither variable names an absolute folder: then nothing is kept.
std::string tuning_path(const backend_library &library, const gk_device_info &info);

// The text kept in a file that write_tuning wrote. Empty if there is none, or if it is damaged or somebody else's; then
// *why says so. Does not throw.
std::string read_tuning(const std::string &path, std::string *why);

// Replaces the file in one step; folders are made. False if it cannot be written. Does not throw.
bool write_tuning(const std::string &path, const std::string &text);

}  // namespace gonka
