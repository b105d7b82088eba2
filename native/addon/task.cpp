#include "task.hpp"

#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <thread>

#include "convert.hpp"
#include "device.hpp"

namespace gonka::addon {
namespace {

class task final : public task_context {
 public:
  task(Napi::Env env, std::function<js_result(task_context &)> work, std::vector<shared_function> callbacks)
      : deferred_(env), work_(std::move(work)), callbacks_(std::move(callbacks)) {}

  void start(Napi::Env env, const char *name, std::shared_ptr<task> self) {
    check(env, napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, name), 0, 1,
                                               new std::shared_ptr<task>(std::move(self)), finalize, this, on_js,
                                               &channel_));
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error &e) {
      napi_release_threadsafe_function(channel_, napi_tsfn_abort);
      throw make_error(env, GK_OUT_OF_MEMORY, std::string("no thread for the work: ") + e.what());
    }
  }

  Napi::Promise promise() const { return deferred_.Promise(); }
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  void post(js_function f) override { send(new js_function(std::move(f))); }

 private:
  static void check(Napi::Env env, napi_status status) {
    if (status != napi_ok) throw Napi::Error::New(env);
  }

  // On the task's thread.
  void run() {
    js_function settle;
    try {
      js_result result = work_(*this);
      settle = [this, result](Napi::Env env) { deferred_.Resolve(result(env)); };
    } catch (const status_error &e) {
      settle = [this, status = e.status, text = std::string(e.what())](Napi::Env env) {
        deferred_.Reject(make_error(env, status, text).Value());
      };
    } catch (const std::bad_alloc &) {
      settle = [this](Napi::Env env) { deferred_.Reject(make_error(env, GK_OUT_OF_MEMORY, "out of memory").Value()); };
    } catch (const std::exception &e) {
      settle = [this, text = std::string(e.what())](Napi::Env env) {
        deferred_.Reject(make_error(env, GK_INTERNAL, text).Value());
      };
    }
    // What the work captured (devices, buffers) goes on this thread, not on the JS thread.
    work_ = nullptr;
    send(new js_function([this, settle](Napi::Env env) {
      if (!thrown_.IsEmpty())
        deferred_.Reject(thrown_.Get("error"));
      else
        settle_or_reject(env, settle);
      callbacks_.clear();
    }));
    if (!closed_) napi_release_threadsafe_function(channel_, napi_tsfn_release);
  }

  // What cannot be made into a JS value rejects: nobody would be told otherwise.
  void settle_or_reject(Napi::Env env, const js_function &settle) {
    try {
      settle(env);
    } catch (const Napi::Error &e) {
      deferred_.Reject(e.Value());
    } catch (const std::exception &e) {
      deferred_.Reject(make_error(env, GK_INTERNAL, e.what()).Value());
    }
  }

  // The channel belongs to the environment: once a call says it is closing it must not be touched again.
  void send(js_function *f) {
    if (closed_ || napi_call_threadsafe_function(channel_, f, napi_tsfn_nonblocking) != napi_ok) {
      closed_ = true;
      cancelled_.store(true, std::memory_order_relaxed);
      delete f;
    }
  }

  static void on_js(napi_env raw_env, napi_value, void *context, void *data) {
    const std::unique_ptr<js_function> f(static_cast<js_function *>(data));
    if (raw_env == nullptr) return;
    const Napi::Env env(raw_env);
    const Napi::HandleScope scope(env);
    task *self = static_cast<task *>(context);
    try {
      (*f)(env);
    } catch (const Napi::Error &e) {
      if (self->thrown_.IsEmpty()) {
        // Boxed: JS may throw what is no object, and only objects can be kept.
        Napi::Object box = Napi::Object::New(env);
        box["error"] = e.Value();
        self->thrown_ = Napi::Persistent(box);
      }
      self->cancel();
    }
  }

  static void finalize(napi_env, void *data, void *) {
    auto *self = static_cast<std::shared_ptr<task> *>(data);
    (*self)->cancel();
    if ((*self)->thread_.joinable()) (*self)->thread_.join();
    delete self;
  }

  Napi::Promise::Deferred deferred_;
  std::function<js_result(task_context &)> work_;
  std::vector<shared_function> callbacks_;
  std::thread thread_;
  napi_threadsafe_function channel_ = nullptr;
  bool closed_ = false;           // task's thread only
  Napi::ObjectReference thrown_;  // JS thread only
};

}  // namespace

Napi::Value start_task(Napi::Env env, const char *name, std::function<js_result(task_context &)> work,
                       std::vector<shared_function> callbacks) {
  auto self = std::make_shared<task>(env, std::move(work), std::move(callbacks));
  Napi::Object out = Napi::Object::New(env);
  out["promise"] = self->promise();
  out["cancel"] = Napi::Function::New(env, [self](const Napi::CallbackInfo &) { self->cancel(); });
  self->start(env, name, self);
  return out;
}

shared_function::shared_function(const Napi::Value &function) {
  if (function.IsUndefined() || function.IsNull()) return;
  if (!function.IsFunction()) throw type_error(function.Env(), "callback", "a function", function);
  reference_ = std::shared_ptr<Napi::FunctionReference>(
      new Napi::FunctionReference(Napi::Persistent(function.As<Napi::Function>())),
      [js_thread = std::this_thread::get_id()](Napi::FunctionReference *reference) {
        if (std::this_thread::get_id() != js_thread) reference->SuppressDestruct();
        delete reference;
      });
}

void shared_function::call(const std::initializer_list<napi_value> &arguments) const {
  if (reference_) reference_->Call(arguments);
}

}  // namespace gonka::addon
