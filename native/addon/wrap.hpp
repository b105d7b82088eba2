// JS objects that stand for native ones. Each class is registered once per environment.
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "device.hpp"
#include "task.hpp"

namespace gonka::addon {

// Per environment: constructors of the wrapped classes.
struct environment {
  Napi::FunctionReference device_class;
  Napi::FunctionReference poc_v1_class;
  Napi::FunctionReference poc_v2_class;
  Napi::FunctionReference bench_class;
};

// What tasks of one open device share.
struct open_device {
  std::shared_ptr<device> handle;
  std::timed_mutex turn;
  // Sentences of device::on_notice, kept until a task can hand them to JS.
  std::mutex notices_mutex;
  std::vector<std::string> notices;
  shared_function on_notice;
};

// Calls on one device queue behind each other; waiting gives up when cancelled. At its end, hands the device's notices
// to the JS thread.
class device_turn {
 public:
  device_turn(open_device &device, task_context &ctx);
  ~device_turn();
  device_turn(const device_turn &) = delete;
  device_turn &operator=(const device_turn &) = delete;

 private:
  open_device &device_;
  task_context &ctx_;
};

class device_wrap : public Napi::ObjectWrap<device_wrap> {
 public:
  static void define(Napi::Env env, Napi::Object exports);
  // Wraps an opened device.
  static Napi::Value create(Napi::Env env, std::shared_ptr<open_device> device);
  explicit device_wrap(const Napi::CallbackInfo &info);

 private:
  std::shared_ptr<open_device> device_or_throw(Napi::Env env) const;
  Napi::Value report(const Napi::CallbackInfo &info);
  Napi::Value backend(const Napi::CallbackInfo &info);
  Napi::Value selftest(const Napi::CallbackInfo &info);
  Napi::Value conformance(const Napi::CallbackInfo &info);
  Napi::Value bench_open(const Napi::CallbackInfo &info);
  Napi::Value cpu_peak(const Napi::CallbackInfo &info);
  Napi::Value poc_v1_open(const Napi::CallbackInfo &info);
  Napi::Value poc_v2_open(const Napi::CallbackInfo &info);
  Napi::Value matmul_pow(const Napi::CallbackInfo &info);
  Napi::Value telemetry(const Napi::CallbackInfo &info);
  Napi::Value fallbacks(const Napi::CallbackInfo &info);
  Napi::Value close(const Napi::CallbackInfo &info);

  std::shared_ptr<open_device> device_;
};

void define_poc_v1(Napi::Env env);
// { promise: Promise<session>, cancel } for a request as lib/native-api.ts has it.
Napi::Value open_poc_v1(Napi::Env env, std::shared_ptr<open_device> device, const Napi::Object &request,
                        const Napi::Value &on_progress);
void define_poc_v2(Napi::Env env);
Napi::Value open_poc_v2(Napi::Env env, std::shared_ptr<open_device> device, const Napi::Object &request,
                        const Napi::Value &on_progress);
Napi::Value start_model_digest(const Napi::CallbackInfo &info);
Napi::Value start_make_tiny(const Napi::CallbackInfo &info);
void define_bench(Napi::Env env);
// { promise: Promise<BenchSession>, cancel } for { problem, implementation? }.
Napi::Value open_bench(Napi::Env env, std::shared_ptr<open_device> device, const Napi::Object &request);

// { promise: Promise<MatmulPowStats>, cancel }.
Napi::Value start_matmul_pow(Napi::Env env, std::shared_ptr<open_device> device, const Napi::Object &request,
                             const Napi::Value &on_shares);
Napi::Value start_check_shares(const Napi::CallbackInfo &info);

// What Telemetry of lib/native-api/report.ts tells.
Napi::Object to_telemetry(Napi::Env env, const gk_telemetry &now);

// What DeviceReport tells, gathered off the JS thread: the first time it runs the self-test gate of every op.
struct device_facts {
  std::string id, backend;
  gk_device_info info{};
  std::optional<gk_telemetry> telemetry;
  std::string no_telemetry;                                                                  // why there is none
  std::vector<std::pair<const char *, std::vector<implementation_status>>> implementations;  // by op name
};
device_facts gather_facts(device &d);
Napi::Object to_report(Napi::Env env, const device_facts &facts);
Napi::Object backend_report(Napi::Env env, const backend_library &library);

}  // namespace gonka::addon
