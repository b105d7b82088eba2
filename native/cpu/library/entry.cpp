// The CPU backend as a library that a host loads. In the addon it is linked in instead and has no entry.
#include "backend.hpp"

extern "C" __attribute__((visibility("default"))) const gk_backend *gk_backend_entry(uint32_t host_abi_major) {
  return host_abi_major == GK_ABI_MAJOR ? &gonka::cpu::backend() : nullptr;
}
