// Everything NVML-specific. The declarations follow NVIDIA's NVML API reference (driver 535 and later); the library
// belongs to the driver, so only entry points that are there are called.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "nvml.hpp"

namespace gonka::cuda {
namespace {

using nvml_device = void *;
using nvml_event_set = void *;
using nvml_status = int;

constexpr nvml_status k_success = 0;

struct nvml_pci {
  char legacy_bus_id[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
struct nvml_utilization {
  unsigned gpu, memory;
};
struct nvml_memory {
  unsigned long long total, free, used;
};
struct nvml_process {
  unsigned pid;
  unsigned long long used_memory;
  unsigned gpu_instance, compute_instance;
};
struct nvml_event {
  nvml_device device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
};

constexpr int k_gpu_temperature = 0;
constexpr int k_sm_clock = 1, k_memory_clock = 2;
constexpr int k_corrected = 0, k_uncorrected = 1, k_since_driver_load = 0;
constexpr unsigned long long k_xid_event = 8;

// nvmlClocksEventReasons* and nvmlClocksThrottleReason* bits.
struct throttle_bit {
  unsigned long long nvml;
  uint32_t meaning;
};
constexpr throttle_bit k_throttle_bits[] = {
    {0x1, GK_THROTTLE_IDLE},          // GpuIdle
    {0x2, GK_THROTTLE_SETTING},       // ApplicationsClocksSetting
    {0x4, GK_THROTTLE_POWER},         // SwPowerCap
    {0x8, GK_THROTTLE_HARDWARE},      // HwSlowdown
    {0x10, GK_THROTTLE_SETTING},      // SyncBoost
    {0x20, GK_THROTTLE_TEMPERATURE},  // SwThermalSlowdown
    {0x40, GK_THROTTLE_TEMPERATURE},  // HwThermalSlowdown
    {0x80, GK_THROTTLE_HARDWARE},     // HwPowerBrakeSlowdown
    {0x100, GK_THROTTLE_SETTING},     // DisplayClockSetting
};

uint32_t throttle_of(unsigned long long reasons) {
  uint32_t out = 0;
  for (const auto &[bit, meaning] : k_throttle_bits) {
    if ((reasons & bit) != 0) out |= meaning;
    reasons &= ~bit;
  }
  return reasons == 0 ? out : out | uint32_t(GK_THROTTLE_OTHER);
}

// One entry point of the library; calling one that is not there gives k_absent.
constexpr nvml_status k_absent = 13;  // NVML_ERROR_FUNCTION_NOT_FOUND
template <class... A>
struct entry_point {
  nvml_status (*call)(A...) = nullptr;
  nvml_status operator()(A... arguments) const { return call == nullptr ? k_absent : call(arguments...); }
};

class library {
 public:
  // Throws device_error. Stays loaded and initialised until the process ends: the driver counts its users.
  library() {
    const char *given = std::getenv("GONKA_NVML");
    const char *path = given != nullptr && *given != '\0' ? given : "libnvidia-ml.so.1";
    handle_ = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle_ == nullptr) {
      const char *why = dlerror();
      throw device_error(GK_UNSUPPORTED, 0,
                         std::string("NVML is not available: ") + (why == nullptr ? path : why) +
                             "; it comes with the NVIDIA driver; GONKA_NVML may name its file");
    }
    find(init, "nvmlInit_v2");
    find(error_text, "nvmlErrorString");
    find(driver_version, "nvmlSystemGetDriverVersion");
    find(nvml_version, "nvmlSystemGetNVMLVersion");
    find(by_uuid, "nvmlDeviceGetHandleByUUID");
    find(by_pci, "nvmlDeviceGetHandleByPciBusId_v2");
    find(name, "nvmlDeviceGetName");
    find(uuid, "nvmlDeviceGetUUID");
    find(pci, "nvmlDeviceGetPciInfo_v3");
    find(temperature, "nvmlDeviceGetTemperature");
    find(power, "nvmlDeviceGetPowerUsage");
    find(power_limit, "nvmlDeviceGetEnforcedPowerLimit");
    find(energy, "nvmlDeviceGetTotalEnergyConsumption");
    find(clock, "nvmlDeviceGetClockInfo");
    find(clock_limit, "nvmlDeviceGetMaxClockInfo");
    find(throttle, "nvmlDeviceGetCurrentClocksEventReasons");
    if (throttle.call == nullptr) find(throttle, "nvmlDeviceGetCurrentClocksThrottleReasons");
    find(ecc_errors, "nvmlDeviceGetTotalEccErrors");
    find(utilization, "nvmlDeviceGetUtilizationRates");
    find(memory, "nvmlDeviceGetMemoryInfo");
    find(processes, "nvmlDeviceGetComputeRunningProcesses_v3");
    if (processes.call == nullptr) find(processes, "nvmlDeviceGetComputeRunningProcesses_v2");
    find(event_set, "nvmlEventSetCreate");
    find(watch, "nvmlDeviceRegisterEvents");
    find(wait, "nvmlEventSetWait_v2");
    if (const nvml_status status = init(); status != k_success)
      throw device_error(GK_UNSUPPORTED, status, "NVML does not start: " + text_of(status));
  }

  std::string text_of(nvml_status status) const {
    if (status == k_absent) return "this driver does not offer it";
    const char *text = error_text == nullptr ? nullptr : error_text(status);
    return text == nullptr ? "NVML error " + std::to_string(status) : text;
  }

  entry_point<> init;
  const char *(*error_text)(nvml_status) = nullptr;
  entry_point<char *, unsigned> driver_version, nvml_version;
  entry_point<const char *, nvml_device *> by_uuid, by_pci;
  entry_point<nvml_device, char *, unsigned> name, uuid;
  entry_point<nvml_device, nvml_pci *> pci;
  entry_point<nvml_device, int, unsigned *> temperature, clock, clock_limit;
  entry_point<nvml_device, unsigned *> power, power_limit;
  entry_point<nvml_device, unsigned long long *> energy, throttle;
  entry_point<nvml_device, int, int, unsigned long long *> ecc_errors;
  entry_point<nvml_device, nvml_utilization *> utilization;
  entry_point<nvml_device, nvml_memory *> memory;
  entry_point<nvml_device, unsigned *, nvml_process *> processes;
  entry_point<nvml_event_set *> event_set;
  entry_point<nvml_device, unsigned long long, nvml_event_set> watch;
  entry_point<nvml_event_set, nvml_event *, unsigned> wait;

 private:
  template <class... A>
  void find(entry_point<A...> &entry, const char *symbol) {
    find(entry.call, symbol);
  }
  template <class F>
  void find(F *&function, const char *symbol) {
    void *address = dlsym(handle_, symbol);
    static_assert(sizeof address == sizeof function);
    std::memcpy(&function, &address, sizeof address);
  }

  void *handle_ = nullptr;
};

// Loaded at the first use; a failure is kept and said again, so that polling does not search the disk each time.
const library &nvml() {
  struct outcome {
    std::unique_ptr<library> loaded;
    std::unique_ptr<device_error> why_not;
    outcome() {
      try {
        loaded = std::make_unique<library>();
      } catch (const device_error &e) {
        why_not = std::make_unique<device_error>(e);
      }
    }
  };
  // Never destroyed: other threads may be asking while the process ends.
  static const outcome &once = *new outcome;
  if (once.why_not != nullptr) throw device_error(*once.why_not);
  return *once.loaded;
}

// XIDs arrive as events; NVML keeps those of a set until they are fetched.
struct xid_watch {
  nvml_event_set set = nullptr;
  nvml_status status = k_success;  // of watching
  uint32_t count = 0, last = 0;
};

class xid_watches {
 public:
  // What there was since the first call for this device.
  xid_watch poll(const library &api, nvml_device device) {
    const std::lock_guard lock(mutex_);
    const auto [at, is_new] = watches_.try_emplace(device);
    xid_watch &w = at->second;
    if (is_new) {
      w.status = api.event_set(&w.set);
      if (w.status == k_success) w.status = api.watch(device, k_xid_event, w.set);
    }
    constexpr int k_most = 256;  // a stream of events must not hold the caller
    nvml_event event{};
    for (int i = 0; w.status == k_success && i < k_most; ++i) {
      const nvml_status got = api.wait(w.set, &event, 0);
      if (got == k_absent) w.status = got;
      if (got != k_success) break;
      if (event.type != k_xid_event) continue;
      ++w.count;
      w.last = uint32_t(event.data);
    }
    return w;
  }

 private:
  std::mutex mutex_;
  std::map<nvml_device, xid_watch> watches_;
};

nvml_device find_device(const library &api, const device_description &d) {
  nvml_device device = nullptr;
  nvml_status status = k_absent;
  if (!d.unique_id.empty()) status = api.by_uuid(d.unique_id.c_str(), &device);
  if (status != k_success && !d.pci.empty()) status = api.by_pci(d.pci.c_str(), &device);
  if (status != k_success)
    throw device_error(GK_UNSUPPORTED, status, "NVML does not know " + d.unique_id + ": " + api.text_of(status));
  return device;
}

// Collects figures and the reasons for those that are absent.
struct reader {
  const library &api;
  gk_telemetry &out;
  std::string missing;

  bool read(uint32_t field, const char *what, nvml_status status) {
    if (status == k_success) {
      out.fields |= field;
      return true;
    }
    missing += (missing.empty() ? "" : "; ") + std::string(what) + ": " + api.text_of(status);
    return false;
  }
};

void read_processes(reader &r, nvml_device device) {
  nvml_process list[64] = {};
  unsigned count = sizeof list / sizeof *list;
  nvml_status status = r.api.processes(device, &count, list);
  constexpr nvml_status k_insufficient_size = 7;  // count is then how many there are, and none is listed
  const bool listed = status == k_success;
  if (status == k_insufficient_size) status = k_success;
  if (!r.read(GK_TELEMETRY_PROCESSES, "processes", status)) return;
  r.out.process_count = count;
  for (unsigned i = 0; listed && i < count && i < GK_MAX_PROCESSES; ++i)
    r.out.processes[i] = {list[i].pid, 0, list[i].used_memory};
}

}  // namespace

void read_telemetry(const device_description &description, gk_telemetry &out) {
  const library &api = nvml();
  const nvml_device device = find_device(api, description);
  reader r{api, out, {}};

  api.name(device, out.name, sizeof out.name);
  api.uuid(device, out.uuid, sizeof out.uuid);
  api.driver_version(out.driver, sizeof out.driver);
  nvml_pci pci{};
  if (api.pci(device, &pci) == k_success) std::snprintf(out.pci, sizeof out.pci, "%.31s", pci.bus_id);
  char version[48] = "";
  api.nvml_version(version, sizeof version);
  std::snprintf(out.source, sizeof out.source, "NVML %.47s", version);

  unsigned value = 0, second = 0;
  if (r.read(GK_TELEMETRY_TEMPERATURE, "temperature", api.temperature(device, k_gpu_temperature, &value)))
    out.temperature_c = int32_t(value);
  if (r.read(GK_TELEMETRY_POWER, "power", api.power(device, &value))) out.power_mw = value;
  if (r.read(GK_TELEMETRY_POWER_LIMIT, "power limit", api.power_limit(device, &value))) out.power_limit_mw = value;
  unsigned long long wide = 0, wide_second = 0;
  if (r.read(GK_TELEMETRY_ENERGY, "energy", api.energy(device, &wide))) out.energy_mj = wide;

  nvml_status status = api.clock(device, k_sm_clock, &value);
  if (status == k_success) status = api.clock(device, k_memory_clock, &second);
  if (r.read(GK_TELEMETRY_CLOCKS, "clocks", status)) out.core_clock_mhz = value, out.memory_clock_mhz = second;
  status = api.clock_limit(device, k_sm_clock, &value);
  if (status == k_success) status = api.clock_limit(device, k_memory_clock, &second);
  if (r.read(GK_TELEMETRY_CLOCK_LIMITS, "clock limits", status))
    out.core_clock_limit_mhz = value, out.memory_clock_limit_mhz = second;
  if (r.read(GK_TELEMETRY_THROTTLE, "throttle reasons", api.throttle(device, &wide))) out.throttle = throttle_of(wide);

  status = api.ecc_errors(device, k_corrected, k_since_driver_load, &wide);
  if (status == k_success) status = api.ecc_errors(device, k_uncorrected, k_since_driver_load, &wide_second);
  if (r.read(GK_TELEMETRY_ECC, "ECC errors", status)) out.ecc_corrected = wide, out.ecc_uncorrected = wide_second;
  static xid_watches &watches = *new xid_watches;
  const xid_watch xid = watches.poll(api, device);
  if (r.read(GK_TELEMETRY_XID, "XID events", xid.status)) out.xid_count = xid.count, out.last_xid = xid.last;

  nvml_utilization utilization{};
  if (r.read(GK_TELEMETRY_UTILIZATION, "utilization", api.utilization(device, &utilization)))
    out.utilization_percent = utilization.gpu;
  nvml_memory memory{};
  if (r.read(GK_TELEMETRY_MEMORY, "memory", api.memory(device, &memory)))
    out.memory_total_bytes = memory.total, out.memory_used_bytes = memory.used;
  read_processes(r, device);
  std::snprintf(out.missing, sizeof out.missing, "%s", r.missing.c_str());
}

}  // namespace gonka::cuda
