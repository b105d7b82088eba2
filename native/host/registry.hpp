// The backends of this process: the CPU's, linked in, and the libraries that were loaded. Thread-safe; libraries stay
// loaded until the process ends, because accelerator runtimes do not survive being unloaded.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "device.hpp"

namespace gonka {

// The CPU backend, linked in.
std::shared_ptr<const backend_library> cpu_library();

// Library files to offer to load_backend, in this order, each once: the entries of GONKA_BACKEND_PATH (separated by
// colons; a file, or a folder of gonka_*.so) and the gonka_*.so in the folder of the file that holds this code. Entries
// that do not exist are listed too, so that loading them tells.
std::vector<std::string> candidate_backends();

// Loads a library and adds its devices; the same file again gives the same library. Throws status_error with
// "<path>: <reason>", as load_plugin, and where another library has taken its name. alias: the name its devices get
// instead of the library's own, so that two builds of one backend can be loaded together; empty for its own.
std::shared_ptr<const backend_library> load_backend(const std::string &path, const std::string &alias = {});

// cpu first, then in order of loading.
std::vector<std::shared_ptr<const backend_library>> loaded_backends();

// Number of devices. If it is 0, *why receives the backend's words. Does not throw.
uint32_t device_count(const backend_library &library, std::string *why);

// id: "<backend>" (its device 0) or "<backend>:<index>". Throws status_error naming what there is instead.
std::shared_ptr<device> open_device(const std::string &id, device::options options);

}  // namespace gonka
