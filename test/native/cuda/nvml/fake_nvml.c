/* A libnvidia-ml.so that knows two devices and answers what the test has set. Signatures after NVIDIA's NVML API
 * reference. With FAKE_OLD: a driver of the time before many entry points. */
#include "fake_nvml.h"

#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT struct fake_nvml fake = {
    .temperature = 64,
    .power_mw = 412345,
    .power_limit_mw = 700000,
    .energy_mj = 9876543210123ull,
    .clocks = {1980, 1755, 2619, 1545},
    .clock_limits = {1980, 1980, 2619, 1545},
    .ecc = {3, 1},
    .utilization = 97,
    .memory_total = 85520809984ull,
    .memory_used = 1073741824ull,
};

static const char *const uuids[] = {"GPU-00000000-0000-0000-0000-000000000010",
                                    "GPU-00000000-0000-0000-0000-000000000012"};
static int handles[2];

EXPORT int nvmlInit_v2(void) {
  return fake.init_status;
}
EXPORT const char *nvmlErrorString(int status) {
  switch (status) {
    case 3:
      return "Not Supported";
    case 6:
      return "Not Found";
    case 9:
      return "Driver Not Loaded";
    case 15:
      return "GPU is lost";
    default:
      return "Unknown Error";
  }
}

static int text(char *out, unsigned room, const char *value) {
  if (strlen(value) >= room) return 7;
  strcpy(out, value);
  return 0;
}
EXPORT int nvmlSystemGetDriverVersion(char *out, unsigned room) {
  return text(out, room, "570.86.15");
}
EXPORT int nvmlSystemGetNVMLVersion(char *out, unsigned room) {
  return text(out, room, "12.570.86.15");
}
EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
  for (int i = 0; i < 2; ++i)
    if (strcmp(uuid, uuids[i]) == 0) {
      *device = &handles[i];
      return 0;
    }
  return 6;
}
EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *address, void **device) {
  if (strcmp(address, "0000:01:00.0") != 0) return 6;
  *device = &handles[1];
  return 0;
}
EXPORT int nvmlDeviceGetName(void *device, char *out, unsigned room) {
  return text(out, room, device == &handles[0] ? "NVIDIA Fake 0" : "NVIDIA Fake 1");
}
EXPORT int nvmlDeviceGetUUID(void *device, char *out, unsigned room) {
  return text(out, room, uuids[device == &handles[0] ? 0 : 1]);
}
EXPORT int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *out) {
  (void)device;
  if (sensor != 0) return 2;
  *out = fake.temperature;
  return fake.status;
}
EXPORT int nvmlDeviceGetPowerUsage(void *device, unsigned *out) {
  *out = fake.power_mw + (device == &handles[0] ? 0 : 1000);
  return fake.status;
}

#ifndef FAKE_OLD
struct pci {
  char legacy[16];
  unsigned domain, bus, device, id, subsystem;
  char bus_id[32];
};
EXPORT int nvmlDeviceGetPciInfo_v3(void *device, struct pci *out) {
  memset(out, 0x55, sizeof *out);
  strcpy(out->bus_id, device == &handles[0] ? "00000000:1B:00.0" : "00000000:2C:00.0");
  return 0;
}
EXPORT int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *out) {
  (void)device;
  *out = fake.power_limit_mw;
  return fake.status;
}
EXPORT int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *out) {
  (void)device;
  *out = fake.energy_mj;
  return fake.energy_status != 0 ? fake.energy_status : fake.status;
}
EXPORT int nvmlDeviceGetClockInfo(void *device, int type, unsigned *out) {
  (void)device;
  *out = fake.clocks[type];
  return fake.status;
}
EXPORT int nvmlDeviceGetMaxClockInfo(void *device, int type, unsigned *out) {
  (void)device;
  *out = fake.clock_limits[type];
  return fake.status;
}
EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *out) {
  (void)device;
  *out = fake.throttle;
  return fake.status;
}
EXPORT int nvmlDeviceGetTotalEccErrors(void *device, int kind, int counter, unsigned long long *out) {
  (void)device;
  if (counter != 0) return 2;
  *out = fake.ecc[kind];
  return fake.status;
}
EXPORT int nvmlDeviceGetUtilizationRates(void *device, unsigned out[2]) {
  (void)device;
  out[0] = fake.utilization;
  out[1] = 11;
  return fake.status;
}
EXPORT int nvmlDeviceGetMemoryInfo(void *device, unsigned long long out[3]) {
  (void)device;
  out[0] = fake.memory_total;
  out[1] = fake.memory_total - fake.memory_used;
  out[2] = fake.memory_used;
  return fake.status;
}
struct process {
  unsigned pid;
  unsigned long long memory;
  unsigned gpu_instance, compute_instance;
};
EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *out) {
  (void)device;
  if (fake.status != 0) return fake.status;
  const unsigned room = *count;
  *count = fake.processes;
  if (room < fake.processes) return 7;
  for (unsigned i = 0; i < fake.processes; ++i)
    out[i] = (struct process){1000 + i, i == 1 ? ~0ull : (1ull << 20) * (i + 1), ~0u, ~0u};
  return 0;
}

static int set;
EXPORT int nvmlEventSetCreate(void **out) {
  *out = &set;
  ++fake.event_sets;
  return 0;
}
EXPORT int nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *events) {
  (void)device;
  if (types != 8 || events != &set) return 2;
  return fake.status;
}
struct event {
  void *device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
};
EXPORT int nvmlEventSetWait_v2(void *events, struct event *out, unsigned timeout_ms) {
  if (events != &set || timeout_ms != 0) return 2;
  if (fake.xids_waiting == 0) return 10;
  *out = (struct event){&handles[0], 8, fake.xids[--fake.xids_waiting], ~0u, ~0u};
  return 0;
}
#endif
