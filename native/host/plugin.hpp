// Loading one backend library. Everything that can be wrong with it is said in one line; nothing here ends the process.
// What it cannot protect from is code of the library that crashes: exercise an unknown library in a child process.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "device.hpp"

namespace gonka {

// Loads a shared library and checks what it exports. Throws status_error with "<path>: <what is wrong>".
// Libraries built against an older header load: entries they do not have are NULL in the returned table. alias: a name
// in place of the library's own; empty to keep it.
std::shared_ptr<const backend_library> load_plugin(const std::string &path, const std::string &alias = {});

// A full table from what a library returned: checked, fields past its struct_size zero. origin begins the messages.
// Throws status_error.
gk_backend complete_table(const gk_backend *given, const std::string &origin);

// What a candidate library does when it is used: its devices are opened one by one and gemm's known answers run.
struct probe_report {
  struct probed_device {
    std::string id;                           // "example:0"
    std::string error;                        // why it did not open or errs; empty if it works
    gk_device_info info{};                    // zero if it did not open
    std::vector<implementation_status> gemm;  // with the outcome of the self-test
    std::vector<std::string> notices;         // implementations that were disabled
  };
  std::string error;  // why the library does not load; then there are no devices
  std::string name, version;
  std::string no_devices;  // why it offers none, in its words
  std::vector<probed_device> devices;
};

// Loads path for itself, without registering it. Does not throw.
probe_report probe(const std::string &path) noexcept;

}  // namespace gonka
