/* A good library on a machine without its hardware. */
#include "gonka_backend.h"

static const gk_backend *honest_backend_entry(uint32_t host_abi_major);
#define gk_backend_entry honest_backend_entry
#include "example_backend.c"
#undef gk_backend_entry

static gk_status no_device(uint32_t *count, gk_error *err) {
  *count = 0;
  return fail(err, GK_DEVICE_ERROR, "driver 570.1 found no device; is the module loaded?");
}

static gk_backend table;

__attribute__((visibility("default"))) const gk_backend *gk_backend_entry(uint32_t host_abi_major) {
  table = *honest_backend_entry(host_abi_major);
  table.name = "absent";
  table.device_count = no_device;
  return &table;
}
