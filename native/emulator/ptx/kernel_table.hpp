// Translated kernels, and how a launch finds its own: by the name of the kernel function that the backend passes.
#pragma once

#include <cstdint>
#include <vector>

namespace gonka::emulator {
struct launch_request;
}

namespace gonka::emulator::translated {

struct kernel {
  const char *name;                     // mangled, as in the PTX
  void (*entry)(const void *argument);  // null: left out of this build
  uint32_t argument_bytes;
  uint32_t most_threads;  // .maxntid; 0: not given
};

struct module {
  const char *file;    // "rope.ptx"
  const char *target;  // "sm_80"
  const kernel *kernels;
  uint32_t kernel_count;
};

// All translated modules of this executable, in a list that the build writes.
struct module_list {
  const module *const *modules;
  uint32_t count;
};
extern const module_list k_translated_modules;

// For emulated_translation(). Throws cuda::device_error: GK_DEVICE_ERROR if the kernel was not translated or the launch
// does not fit it, GK_UNSUPPORTED if it was left out of this build on purpose. Finds the function's name in the
// executable's symbol table, so that must not be stripped.
void (*translation_of(const launch_request &request))(const void *argument);

// Of the translated kernels, those that were never launched.
std::vector<const char *> kernels_never_launched();

}  // namespace gonka::emulator::translated
