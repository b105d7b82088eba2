// Long work on a thread of its own, as a JS object { promise, cancel() }.
//
// The thread never touches JavaScript: it posts functions that run on the JS thread in order, and ends by returning the
// function that makes the promise's value there. A JS exception thrown by a posted function cancels the work and
// rejects the promise with it. When the environment goes away (process exit, worker.terminate) the work is cancelled
// and waited for, so no thread outlives the memory it uses.
#pragma once

#include <napi.h>

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

namespace gonka::addon {

using js_function = std::function<void(Napi::Env)>;
using js_result = std::function<Napi::Value(Napi::Env)>;

class task_context {
 public:
  virtual ~task_context() = default;
  // Runs f on the JS thread, soon. Returns at once; dropped if the environment is going away.
  virtual void post(js_function f) = 0;
  // Set by cancel(), by a throwing callback and by the end of the environment.
  const std::atomic<bool> &cancelled() const { return cancelled_; }

 protected:
  std::atomic<bool> cancelled_{false};
};

// A JS function that posted functions may call. Copies share one reference. It can only be dropped on the JS thread, so
// start_task is told of every shared_function its work holds and keeps it until the promise is settled; where the
// environment ends first, the reference is left to it.
class shared_function {
 public:
  shared_function() = default;
  explicit shared_function(const Napi::Value &function);
  explicit operator bool() const { return reference_ != nullptr; }
  void call(const std::initializer_list<napi_value> &arguments) const;

 private:
  std::shared_ptr<Napi::FunctionReference> reference_;
};

// Starts `work` and returns { promise, cancel }. Exceptions of work reject the promise: status_error with its code,
// anything else with ERR_GK_INTERNAL (std::bad_alloc: ERR_GK_OUT_OF_MEMORY). `callbacks`: those that work holds.
Napi::Value start_task(Napi::Env env, const char *name, std::function<js_result(task_context &)> work,
                       std::vector<shared_function> callbacks = {});

}  // namespace gonka::addon
