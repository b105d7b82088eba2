#include <chrono>

#include "conformance.hpp"
#include "convert.hpp"
#include "cpu_peak.hpp"
#include "selftest.hpp"
#include "wrap.hpp"

namespace gonka::addon {
namespace {

struct tally {
  uint32_t passed = 0, failed = 0, skipped = 0;
};

Napi::Value to_js(Napi::Env env, const tally &t) {
  Napi::Object out = Napi::Object::New(env);
  out["passed"] = t.passed;
  out["failed"] = t.failed;
  out["skipped"] = t.skipped;
  return out;
}

constexpr const char *k_status_names[] = {"pass", "fail", "skip"};  // by check_status

const op_spec *to_op(Napi::Env env, const std::string &name) {
  const op_spec *spec = find_op(name);
  if (spec == nullptr) throw make_error(env, GK_INVALID_ARGUMENT, "unknown op '" + name + "'");
  return spec;
}

struct check_row {
  std::string op, implementation, name, status, detail;
  double aggregate_error = -1, element_error = -1;  // negative: not applicable
};

void post_row(task_context &ctx, const shared_function &on_result, const check_row &row) {
  ctx.post([on_result, row](Napi::Env env) {
    Napi::Object out = Napi::Object::New(env);
    out["op"] = row.op;
    out["implementation"] = row.implementation;
    out["case"] = row.name;
    out["status"] = row.status;
    out["detail"] = row.detail;
    const auto measure = [&](double v) { return v < 0 ? env.Null() : Napi::Value(Napi::Number::New(env, v)); };
    out["aggregateError"] = measure(row.aggregate_error);
    out["elementError"] = measure(row.element_error);
    on_result.call({out});
  });
}

}  // namespace

device_turn::device_turn(open_device &device, task_context &ctx) : device_(device), ctx_(ctx) {
  while (!device_.turn.try_lock_for(std::chrono::milliseconds(20)))
    if (ctx.cancelled().load(std::memory_order_relaxed)) throw status_error(GK_CANCELLED, "cancelled");
}

device_turn::~device_turn() {
  std::vector<std::string> notices;
  {
    const std::lock_guard lock(device_.notices_mutex);
    notices.swap(device_.notices);
  }
  if (!notices.empty())
    ctx_.post([on_notice = device_.on_notice, notices](Napi::Env env) {
      for (const std::string &sentence : notices) on_notice.call({Napi::String::New(env, sentence)});
    });
  device_.turn.unlock();
}

device_facts gather_facts(device &d) {
  device_facts facts;
  facts.id = d.id();
  facts.backend = d.library().table->name;
  facts.info = d.current_info();
  try {
    facts.telemetry = d.telemetry();
  } catch (const status_error &e) {
    facts.no_telemetry = e.what();
  }
  for (const op_spec *spec : all_ops())
    if (auto list = d.implementations(spec->op); !list.empty())
      facts.implementations.emplace_back(spec->name, std::move(list));
  return facts;
}

Napi::Object to_report(Napi::Env env, const device_facts &facts) {
  const gk_device_info &info = facts.info;
  Napi::Object out = Napi::Object::New(env);
  out["id"] = facts.id;
  out["backend"] = facts.backend;
  out["name"] = info.name;
  out["arch"] = info.arch;
  out["driver"] = info.driver;
  out["uniqueId"] = info.unique_id;
  out["memoryBytes"] = double(info.memory_bytes);
  out["memoryFreeBytes"] = double(info.memory_free_bytes);
  out["computeUnits"] = info.compute_units;
  out["threads"] = info.threads;
  out["telemetry"] = facts.telemetry ? Napi::Value(to_telemetry(env, *facts.telemetry)) : env.Null();
  out["noTelemetry"] = facts.no_telemetry;
  Napi::Array formats = Napi::Array::New(env);
  for (uint32_t i = 0; i < info.format_count && i < GK_MAX_FORMATS; ++i) {
    Napi::Object format = Napi::Object::New(env);
    format["dtype"] = dtype_name(info.formats[i].dtype);
    format["accumulatorBits"] = info.formats[i].accumulator_bits;
    formats[i] = format;
  }
  out["formats"] = formats;
  Napi::Object implementations = Napi::Object::New(env);
  for (const auto &[op, list] : facts.implementations) {
    Napi::Array rows = Napi::Array::New(env);
    for (const implementation_status &i : list) {
      Napi::Object row = Napi::Object::New(env);
      row["name"] = i.name;
      row["accepted"] = Napi::Boolean::New(env, i.accepted);
      row["reason"] = i.reason;
      row["disabled"] = Napi::Boolean::New(env, i.disabled);
      rows[rows.Length()] = row;
    }
    implementations[op] = rows;
  }
  out["implementations"] = implementations;
  return out;
}

void device_wrap::define(Napi::Env env, Napi::Object) {
  Napi::Function constructor = DefineClass(
      env, "Device",
      {InstanceMethod("report", &device_wrap::report), InstanceMethod("conformance", &device_wrap::conformance),
       InstanceMethod("backend", &device_wrap::backend), InstanceMethod("selftest", &device_wrap::selftest),
       InstanceMethod("benchOpen", &device_wrap::bench_open), InstanceMethod("cpuPeak", &device_wrap::cpu_peak),
       InstanceMethod("pocV1Open", &device_wrap::poc_v1_open), InstanceMethod("pocV2Open", &device_wrap::poc_v2_open),
       InstanceMethod("matmulPow", &device_wrap::matmul_pow), InstanceMethod("telemetry", &device_wrap::telemetry),
       InstanceMethod("fallbacks", &device_wrap::fallbacks), InstanceMethod("close", &device_wrap::close)});
  env.GetInstanceData<environment>()->device_class = Napi::Persistent(constructor);
}

device_wrap::device_wrap(const Napi::CallbackInfo &info) : Napi::ObjectWrap<device_wrap>(info) {
  if (info.Length() != 1 || !info[0].IsExternal())
    throw type_error(info.Env(), "Device", "to be made by openDevice", info[0]);
  device_ = *info[0].As<Napi::External<std::shared_ptr<open_device>>>().Data();
  info.This().As<Napi::Object>()["id"] = device_->handle->id();
}

Napi::Value device_wrap::create(Napi::Env env, std::shared_ptr<open_device> device) {
  return env.GetInstanceData<environment>()->device_class.New(
      {Napi::External<std::shared_ptr<open_device>>::New(env, &device)});
}

std::shared_ptr<open_device> device_wrap::device_or_throw(Napi::Env env) const {
  if (device_ == nullptr) throw make_error(env, GK_INVALID_ARGUMENT, "the device is closed");
  return device_;
}

Napi::Value device_wrap::report(const Napi::CallbackInfo &info) {
  auto device = device_or_throw(info.Env());
  return start_task(info.Env(), "gonka.report", [device](task_context &ctx) -> js_result {
    const device_turn turn(*device, ctx);
    return [facts = gather_facts(*device->handle)](Napi::Env env) { return to_report(env, facts); };
  });
}

Napi::Value device_wrap::backend(const Napi::CallbackInfo &info) {
  return backend_report(info.Env(), device_or_throw(info.Env())->handle->library());
}

// selftest(op | undefined, onResult)
Napi::Value device_wrap::selftest(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const op_spec *only = nullptr;
  if (info[0].IsString()) only = to_op(env, info[0].As<Napi::String>().Utf8Value());
  const shared_function on_result(info[1]);
  auto device = device_or_throw(env);
  return start_task(env, "gonka.selftest",
                    [device, only, on_result](task_context &ctx) -> js_result {
                      const device_turn turn(*device, ctx);
                      tally counts;
                      for (const op_spec *spec : all_ops()) {
                        if (only != nullptr && spec != only) continue;
                        if (ctx.cancelled().load()) throw status_error(GK_CANCELLED, "cancelled");
                        const auto results =
                            self_test(*device->handle->library().table, device->handle->handle(), *spec);
                        for (const tested_implementation &t : results) {
                          check_row row{spec->name, t.name, std::to_string(t.passed) + " known answers", "pass", ""};
                          if (t.disabled) {
                            row.status = "fail";
                            row.detail = t.reason;
                            ++counts.failed;
                          } else if (t.passed == 0) {
                            row.status = "skip";
                            row.detail = t.reason;
                            ++counts.skipped;
                          } else {
                            ++counts.passed;
                          }
                          post_row(ctx, on_result, row);
                        }
                      }
                      return [counts](Napi::Env e) { return to_js(e, counts); };
                    },
                    {on_result});
}

// conformance({ op?, implementation?, full? }, onResult)
Napi::Value device_wrap::conformance(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const Napi::Object request = to_object(info[0], "conformance");
  conformance_options options;
  if (has(request, "op")) options.op = to_op(env, get_string(request, "op"))->op;
  options.implementation = optional_string(request, "implementation", "");
  options.full = has(request, "full") && get_bool(request, "full");
  options.command = optional_string(request, "command", options.command);
  const shared_function on_result(info[1]);
  auto device = device_or_throw(env);
  return start_task(env, "gonka.conformance",
                    [device, options, on_result](task_context &ctx) -> js_result {
                      const device_turn turn(*device, ctx);
                      const conformance_summary summary = run_conformance(
                          *device->handle, options,
                          [&](const check_result &r) {
                            check_row row{find_op(r.op)->name, r.implementation, r.name,
                                          k_status_names[size_t(r.status)], r.detail};
                            if (r.measured) {
                              row.aggregate_error = r.aggregate_error;
                              row.element_error = r.element_error;
                            }
                            post_row(ctx, on_result, row);
                          },
                          &ctx.cancelled());
                      if (summary.cancelled) throw status_error(GK_CANCELLED, "cancelled");
                      const tally counts{uint32_t(summary.passed), uint32_t(summary.failed), uint32_t(summary.skipped)};
                      return [counts](Napi::Env e) { return to_js(e, counts); };
                    },
                    {on_result});
}

Napi::Value device_wrap::bench_open(const Napi::CallbackInfo &info) {
  return open_bench(info.Env(), device_or_throw(info.Env()), to_object(info[0], "benchOpen"));
}

// cpuPeak({ brief })
Napi::Value device_wrap::cpu_peak(const Napi::CallbackInfo &info) {
  auto device = device_or_throw(info.Env());
  const bool brief = get_bool(to_object(info[0], "cpuPeak"), "brief");
  return start_task(info.Env(), "gonka.cpuPeak", [device, brief](task_context &ctx) -> js_result {
    if (std::string(device->handle->library().table->name) != "cpu")
      throw status_error(GK_UNSUPPORTED, device->handle->id() + ": peaks are measured on CPU devices only");
    const device_turn turn(*device, ctx);
    const gonka::cpu_peak p = measure_cpu_peak(device->handle->info().threads, brief);
    return [p](Napi::Env env) -> Napi::Value {
      Napi::Object out = Napi::Object::New(env);
      out["threads"] = p.threads;
      out["f32Gflops"] = p.f32_gflops;
      out["bf16Gflops"] = p.bf16_gflops;
      out["i8Gops"] = p.i8_gops;
      out["shaMblocksPerS"] = p.sha_mblocks;
      out["copyGbPerS"] = p.copy_gb_per_s;
      out["clockGhz"] = p.clock_ghz;
      return out;
    };
  });
}

Napi::Value device_wrap::poc_v1_open(const Napi::CallbackInfo &info) {
  return open_poc_v1(info.Env(), device_or_throw(info.Env()), to_object(info[0], "pocV1Open"), info[1]);
}

Napi::Value device_wrap::poc_v2_open(const Napi::CallbackInfo &info) {
  return open_poc_v2(info.Env(), device_or_throw(info.Env()), to_object(info[0], "pocV2Open"), info[1]);
}

// matmulPow({ job, firstNonce, nonceCount, stopShares? }, onShares)
Napi::Value device_wrap::matmul_pow(const Napi::CallbackInfo &info) {
  return start_matmul_pow(info.Env(), device_or_throw(info.Env()), to_object(info[0], "matmulPow"), info[1]);
}

// Takes no turn: sensors are read while the device computes.
Napi::Value device_wrap::telemetry(const Napi::CallbackInfo &info) {
  auto device = device_or_throw(info.Env());
  return start_task(info.Env(), "gonka.telemetry", [device](task_context &) -> js_result {
    return [now = device->handle->telemetry()](Napi::Env env) { return to_telemetry(env, now); };
  });
}

Napi::Value device_wrap::fallbacks(const Napi::CallbackInfo &info) {
  Napi::Array out = Napi::Array::New(info.Env());
  for (const auto &[op, count] : device_or_throw(info.Env())->handle->fallbacks()) {
    Napi::Object row = Napi::Object::New(info.Env());
    row["op"] = find_op(op)->name;
    row["count"] = double(count);
    out[out.Length()] = row;
  }
  return out;
}

// Drops this object's hold; tasks that still run keep theirs.
Napi::Value device_wrap::close(const Napi::CallbackInfo &info) {
  device_.reset();
  return info.Env().Undefined();
}

}  // namespace gonka::addon
