/* A library for another version of the boundary: it refuses every host. */
#include <stddef.h>

#include "gonka_backend.h"

__attribute__((visibility("default"))) const gk_backend *gk_backend_entry(uint32_t host_abi_major) {
  (void)host_abi_major;
  return NULL;
}
