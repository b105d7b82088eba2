/* A device that falls out when told to, and is well again once it is opened anew: it is lost from the first op after
 * the file that GONKA_TEST_LOSE names is there (the file is then removed). It has sensors, too. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gonka_backend.h"

static const gk_backend *honest_backend_entry(uint32_t host_abi_major);
#define gk_backend_entry honest_backend_entry
#include "example_backend.c"
#undef gk_backend_entry

static gk_backend table;
static gk_status (*honest_open)(uint32_t, const gk_device_options *, gk_device **, gk_error *);
static gk_status (*honest_run)(gk_stream *, uint32_t, void *, int, gk_error *);
static int lost;
static uint64_t ops;

static gk_status open_anew(uint32_t index, const gk_device_options *options, gk_device **out, gk_error *err) {
  lost = 0;
  return honest_open(index, options, out, err);
}

static gk_status run_until_lost(gk_stream *stream, uint32_t op, void *problem, int dry_run, gk_error *err) {
  const char *path = getenv("GONKA_TEST_LOSE");
  if (!dry_run && path != NULL && unlink(path) == 0) lost = 1;
  if (lost) return fail(err, GK_DEVICE_LOST, "fragile: fell off the bus");
  ops += !dry_run;
  return honest_run(stream, op, problem, dry_run, err);
}

static gk_status telemetry(gk_device *device, gk_telemetry *out, gk_error *err) {
  (void)device, (void)err;
  out->fields = GK_TELEMETRY_TEMPERATURE | GK_TELEMETRY_POWER | GK_TELEMETRY_ENERGY | GK_TELEMETRY_CLOCKS |
                GK_TELEMETRY_XID | GK_TELEMETRY_UTILIZATION | GK_TELEMETRY_MEMORY;
  strcpy(out->name, "Fragile accelerator");
  strcpy(out->uuid, "FRAGILE-1");
  strcpy(out->source, "test");
  out->temperature_c = 51;
  out->power_mw = 412000;
  out->energy_mj = 1000 * ops; /* a joule for each op */
  out->core_clock_mhz = 1755;
  out->memory_clock_mhz = 2619;
  out->utilization_percent = 97;
  out->memory_total_bytes = (uint64_t)80 << 30;
  out->memory_used_bytes = (uint64_t)30 << 30;
  return GK_OK;
}

__attribute__((visibility("default"))) const gk_backend *gk_backend_entry(uint32_t host_abi_major) {
  const gk_backend *honest = honest_backend_entry(host_abi_major);
  if (honest == NULL) return NULL;
  table = *honest;
  honest_open = honest->device_open;
  honest_run = honest->run;
  table.name = "fragile";
  table.device_open = open_anew;
  table.run = run_until_lost;
  table.device_telemetry = telemetry;
  return &table;
}
