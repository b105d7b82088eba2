// The addon's surface: lib/native.ts is its only user and gives it types. Converts, decides nothing.
#include <napi.h>

#include "affinity.hpp"
#include "convert.hpp"
#include "cpu_peak.hpp"
#include "plugin.hpp"
#include "registry.hpp"
#include "wrap.hpp"

namespace gonka::addon {

Napi::Object backend_report(Napi::Env env, const backend_library &library) {
  Napi::Object out = Napi::Object::New(env);
  const gk_backend &table = *library.table;
  std::string why;
  out["name"] = table.name;
  out["version"] = table.version == nullptr ? "" : table.version;
  out["path"] = library.path.empty() ? env.Null() : Napi::Value(Napi::String::New(env, library.path));
  out["sha256"] = library.sha256();
  out["abi"] = std::to_string(table.abi_major) + "." + std::to_string(table.abi_minor);
  out["devices"] = device_count(library, &why);
  out["error"] = why.empty() ? env.Null() : Napi::Value(Napi::String::New(env, why));
  return out;
}

namespace {

// Runs f and turns what the native side throws into a JS error.
template <class F>
Napi::Value guarded(Napi::Env env, F &&f) {
  try {
    return f();
  } catch (const status_error &e) {
    throw make_error(env, e.status, e.what());
  } catch (const Napi::Error &) {
    throw;
  } catch (const std::exception &e) {
    throw make_error(env, GK_INTERNAL, e.what());
  }
}

Napi::Value version(const Napi::CallbackInfo &info) {
  Napi::Object out = Napi::Object::New(info.Env());
  out["package"] = GONKA_VERSION;
  out["abi"] = std::to_string(GK_ABI_MAJOR) + "." + std::to_string(GK_ABI_MINOR);
  return out;
}

Napi::Value feature_names(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const auto list = [&](const std::vector<std::string> &names) {
    Napi::Array out = Napi::Array::New(env);
    for (const std::string &name : names) out[out.Length()] = name;
    return out;
  };
  const cpu_feature_names names = cpu_features();
  Napi::Object out = Napi::Object::New(env);
  out["used"] = list(names.used);
  out["disabled"] = list(names.disabled);
  return out;
}

// Paths of libraries to consider: GONKA_BACKEND_PATH and the folder of the addon.
Napi::Value candidates(const Napi::CallbackInfo &info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Napi::Array out = Napi::Array::New(info.Env());
    for (const std::string &path : candidate_backends()) out[out.Length()] = path;
    return out;
  });
}

Napi::Value backends(const Napi::CallbackInfo &info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Napi::Array out = Napi::Array::New(info.Env());
    for (const auto &library : loaded_backends()) out[out.Length()] = backend_report(info.Env(), *library);
    return out;
  });
}

// loadBackend(path, alias?): the report; throws where the library cannot serve.
Napi::Value load(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString()) throw type_error(env, "path", "a string", info[0]);
  const std::string alias = info[1].IsString() ? info[1].As<Napi::String>().Utf8Value() : "";
  return guarded(env,
                 [&] { return backend_report(env, *load_backend(info[0].As<Napi::String>().Utf8Value(), alias)); });
}

// allowedCpus(): processor numbers.
Napi::Value cpus(const Napi::CallbackInfo &info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Napi::Array out = Napi::Array::New(info.Env());
    for (const uint32_t cpu : allowed_cpus()) out[out.Length()] = cpu;
    return out;
  });
}

// pinProcess(numbers)
Napi::Value pin(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsArray()) throw type_error(env, "cpus", "an array", info[0]);
  const auto given = info[0].As<Napi::Array>();
  std::vector<uint32_t> wanted;
  for (uint32_t i = 0; i < given.Length(); ++i) {
    const Napi::Value value = given[i];
    if (!value.IsNumber()) throw type_error(env, "cpus", "an array of numbers", value);
    wanted.push_back(value.As<Napi::Number>().Uint32Value());
  }
  return guarded(env, [&]() -> Napi::Value {
    pin_process(wanted);
    return env.Undefined();
  });
}

// probe(path): opens every device of a library and runs gemm's known answers. For a child process.
Napi::Value probe_library(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString()) throw type_error(env, "path", "a string", info[0]);
  const probe_report report = probe(info[0].As<Napi::String>().Utf8Value());
  Napi::Object out = Napi::Object::New(env);
  out["error"] = report.error;
  out["name"] = report.name;
  out["version"] = report.version;
  out["noDevices"] = report.no_devices;
  Napi::Array devices = Napi::Array::New(env);
  for (const auto &d : report.devices) {
    Napi::Object row = Napi::Object::New(env);
    row["id"] = d.id;
    row["error"] = d.error;
    row["name"] = d.info.name;
    Napi::Array notices = Napi::Array::New(env);
    for (const std::string &notice : d.notices) notices[notices.Length()] = notice;
    row["notices"] = notices;
    devices[devices.Length()] = row;
  }
  out["devices"] = devices;
  return out;
}

// devices() -> { promise, cancel }: reports of every device of every loaded backend, opened for the purpose.
Napi::Value devices(const Napi::CallbackInfo &info) {
  return start_task(info.Env(), "gonka.devices", [](task_context &) -> js_result {
    std::vector<device_facts> all;
    for (const auto &library : loaded_backends()) {
      const uint32_t count = device_count(*library, nullptr);
      for (uint32_t index = 0; index < count; ++index) all.push_back(gather_facts(*device::open(library, index, {})));
    }
    return [all](Napi::Env env) -> Napi::Value {
      Napi::Array out = Napi::Array::New(env);
      for (const device_facts &facts : all) out[out.Length()] = to_report(env, facts);
      return out;
    };
  });
}

// openDevice({ device, threads? }, onNotice?) -> { promise, cancel }
Napi::Value open(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const Napi::Object request = to_object(info[0], "openDevice");
  const std::string id = get_string(request, "device");
  device::options options;
  options.threads = uint32_t(optional_integer(request, "threads", 1, 4096, 0));
  const shared_function notice(info[1]);
  return start_task(env, "gonka.openDevice",
                    [id, options, notice](task_context &) -> js_result {
                      auto opened = std::make_shared<open_device>();
                      opened->handle = gonka::open_device(id, options);
                      if (notice) {
                        opened->on_notice = notice;
                        opened->handle->on_notice([weak = std::weak_ptr(opened)](const std::string &sentence) {
                          const auto device = weak.lock();
                          if (device == nullptr) return;
                          const std::lock_guard lock(device->notices_mutex);
                          device->notices.push_back(sentence);
                        });
                      }
                      return [opened](Napi::Env e) { return device_wrap::create(e, opened); };
                    },
                    {notice});
}

}  // namespace

Napi::Object init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new environment);
  device_wrap::define(env, exports);
  define_poc_v1(env);
  define_poc_v2(env);
  define_bench(env);
  exports["statusCodes"] = status_codes(env);
  exports["version"] = Napi::Function::New(env, version);
  exports["cpuFeatures"] = Napi::Function::New(env, feature_names);
  exports["candidates"] = Napi::Function::New(env, candidates);
  exports["backends"] = Napi::Function::New(env, backends);
  exports["loadBackend"] = Napi::Function::New(env, load);
  exports["allowedCpus"] = Napi::Function::New(env, cpus);
  exports["pinProcess"] = Napi::Function::New(env, pin);
  exports["probe"] = Napi::Function::New(env, probe_library);
  exports["devices"] = Napi::Function::New(env, devices);
  exports["modelDigest"] = Napi::Function::New(env, start_model_digest);
  exports["makeTinyModel"] = Napi::Function::New(env, start_make_tiny);
  exports["checkShares"] = Napi::Function::New(env, start_check_shares);
  exports["openDevice"] = Napi::Function::New(env, open);
  return exports;
}

}  // namespace gonka::addon

static Napi::Object init_addon(Napi::Env env, Napi::Object exports) {
  return gonka::addon::init(env, exports);
}

NODE_API_MODULE(gonka_miner, init_addon)
