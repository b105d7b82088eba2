#include <algorithm>
#include <cstdint>

#include "wrap.hpp"

namespace gonka::addon {
namespace {

constexpr struct {
  uint32_t bit;
  const char *name;
} k_throttle_names[] = {
    {GK_THROTTLE_IDLE, "idle"},         {GK_THROTTLE_SETTING, "setting"},
    {GK_THROTTLE_POWER, "power"},       {GK_THROTTLE_TEMPERATURE, "temperature"},
    {GK_THROTTLE_HARDWARE, "hardware"}, {GK_THROTTLE_OTHER, "other"},
};

Napi::Array throttle_names(Napi::Env env, uint32_t throttle) {
  Napi::Array out = Napi::Array::New(env);
  for (const auto &[bit, name] : k_throttle_names)
    if ((throttle & bit) != 0) out[out.Length()] = name;
  return out;
}

Napi::Array processes_of(Napi::Env env, const gk_telemetry &now) {
  Napi::Array out = Napi::Array::New(env);
  const uint32_t listed = std::min<uint32_t>(now.process_count, GK_MAX_PROCESSES);
  for (uint32_t i = 0; i < listed; ++i) {
    const gk_device_process &p = now.processes[i];
    Napi::Object row = Napi::Object::New(env);
    row["pid"] = p.pid;
    row["memoryBytes"] =
        p.memory_bytes == UINT64_MAX ? env.Null() : Napi::Value(Napi::Number::New(env, double(p.memory_bytes)));
    out[out.Length()] = row;
  }
  return out;
}

}  // namespace

Napi::Object to_telemetry(Napi::Env env, const gk_telemetry &now) {
  Napi::Object out = Napi::Object::New(env);
  const auto put = [&](uint32_t field, const char *name, double value) {
    out[name] = (now.fields & field) != 0 ? Napi::Value(Napi::Number::New(env, value)) : env.Null();
  };
  out["name"] = now.name;
  out["uuid"] = now.uuid;
  out["pci"] = now.pci;
  out["driver"] = now.driver;
  out["source"] = now.source;
  put(GK_TELEMETRY_TEMPERATURE, "temperatureC", now.temperature_c);
  put(GK_TELEMETRY_POWER, "powerW", double(now.power_mw) / 1e3);
  put(GK_TELEMETRY_POWER_LIMIT, "powerLimitW", double(now.power_limit_mw) / 1e3);
  put(GK_TELEMETRY_ENERGY, "energyJ", double(now.energy_mj) / 1e3);
  put(GK_TELEMETRY_CLOCKS, "coreClockMhz", now.core_clock_mhz);
  put(GK_TELEMETRY_CLOCKS, "memoryClockMhz", now.memory_clock_mhz);
  put(GK_TELEMETRY_CLOCK_LIMITS, "coreClockLimitMhz", now.core_clock_limit_mhz);
  put(GK_TELEMETRY_CLOCK_LIMITS, "memoryClockLimitMhz", now.memory_clock_limit_mhz);
  out["throttle"] =
      (now.fields & GK_TELEMETRY_THROTTLE) != 0 ? Napi::Value(throttle_names(env, now.throttle)) : env.Null();
  put(GK_TELEMETRY_ECC, "eccCorrected", double(now.ecc_corrected));
  put(GK_TELEMETRY_ECC, "eccUncorrected", double(now.ecc_uncorrected));
  put(GK_TELEMETRY_XID, "xidCount", now.xid_count);
  out["lastXid"] = (now.fields & GK_TELEMETRY_XID) != 0 && now.xid_count != 0
                       ? Napi::Value(Napi::Number::New(env, now.last_xid))
                       : env.Null();
  put(GK_TELEMETRY_UTILIZATION, "utilizationPercent", now.utilization_percent);
  put(GK_TELEMETRY_MEMORY, "memoryTotalBytes", double(now.memory_total_bytes));
  put(GK_TELEMETRY_MEMORY, "memoryUsedBytes", double(now.memory_used_bytes));
  put(GK_TELEMETRY_PROCESSES, "processCount", now.process_count);
  out["processes"] = (now.fields & GK_TELEMETRY_PROCESSES) != 0 ? Napi::Value(processes_of(env, now)) : env.Null();
  out["missing"] = now.missing;
  return out;
}

}  // namespace gonka::addon
