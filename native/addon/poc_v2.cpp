#include <chrono>
#include <cstring>
#include <vector>

#include "convert.hpp"
#include "digest.hpp"
#include "make_tiny.hpp"
#include "v2/session.hpp"
#include "wrap.hpp"

namespace gonka::addon {
namespace {

struct open_session {
  std::shared_ptr<open_device> device;
  std::unique_ptr<poc_v2::session> session;
  std::string implementations;  // asked on the task's thread: it may run self-tests
};

// Hands progress to JavaScript some ten times a second, and at every new step.
std::function<void(double, const char *)> throttled(task_context &ctx, const shared_function &progress) {
  if (!progress) return nullptr;
  using clock = std::chrono::steady_clock;
  return [&ctx, progress, last = clock::time_point{}, last_step = std::string()](double fraction,
                                                                                 const char *step) mutable {
    const auto now = clock::now();
    if (step == last_step && fraction < 1 && now - last < std::chrono::milliseconds(100)) return;
    last = now;
    last_step = step;
    ctx.post([progress, fraction, text = last_step](Napi::Env e) {
      progress.call({Napi::Number::New(e, fraction), Napi::String::New(e, text)});
    });
  };
}

Napi::Float32Array to_js(Napi::Env env, const std::vector<float> &values) {
  Napi::Float32Array out = Napi::Float32Array::New(env, values.size());
  if (!values.empty()) std::memcpy(out.Data(), values.data(), values.size() * sizeof(float));
  return out;
}

class poc_v2_wrap : public Napi::ObjectWrap<poc_v2_wrap> {
 public:
  explicit poc_v2_wrap(const Napi::CallbackInfo &info) : Napi::ObjectWrap<poc_v2_wrap>(info) {
    if (info.Length() != 1 || !info[0].IsExternal())
      throw type_error(info.Env(), "PocV2Session", "to be made by pocV2Open", info[0]);
    session_ = *info[0].As<Napi::External<std::shared_ptr<open_session>>>().Data();
    const poc_v2::session &s = *session_->session;
    Napi::Object self = info.This().As<Napi::Object>();
    self["architecture"] = architecture_name(s.model().which);
    self["hiddenSize"] = double(s.model().hidden);
    self["layers"] = double(s.model().layers.size());
    self["dtype"] = dtype_name(s.model().dtype);
    self["compute"] = dtype_name(s.compute_type());
    self["weightBytes"] = double(s.weight_bytes());
    self["initSeconds"] = s.init_seconds();
    self["implementation"] = session_->implementations;
  }

  // defaultBatch(seqLen)
  Napi::Value default_batch(const Napi::CallbackInfo &info) {
    const int64_t seq_len = info[0].IsNumber() ? info[0].As<Napi::Number>().Int64Value() : 0;
    if (seq_len < 1 || seq_len > k_max_seq_len) throw type_error(info.Env(), "seqLen", "an integer from 1", info[0]);
    try {
      return Napi::Number::New(info.Env(), double(session_or_throw(info.Env()).session->default_batch(seq_len)));
    } catch (const status_error &e) {
      throw make_error(info.Env(), e.status, e.what());
    }
  }

  // run({ blockHash, publicKey, nonces, seqLen, kDim, rng, batch? }, onBatch, onTrace?) -> { promise, cancel }
  Napi::Value run(const Napi::CallbackInfo &info) {
    const Napi::Env env = info.Env();
    session_or_throw(env);
    const Napi::Object request = to_object(info[0], "run");
    const Napi::Value given = request.Get("nonces");
    if (!given.IsTypedArray() || given.As<Napi::TypedArray>().TypedArrayType() != napi_bigint64_array)
      throw type_error(env, "nonces", "a BigInt64Array", given);
    const auto array = given.As<Napi::BigInt64Array>();
    std::vector<int64_t> nonces(array.ElementLength());
    if (!nonces.empty()) std::memcpy(nonces.data(), array.Data(), nonces.size() * sizeof(int64_t));
    poc_v2::run_request run;
    run.block_hash = get_string(request, "blockHash");
    run.public_key = get_string(request, "publicKey");
    run.seq_len = get_integer(request, "seqLen", 1, k_max_seq_len);
    run.k_dim = get_integer(request, "kDim", 1, k_max_seq_len);
    run.batch = optional_integer(request, "batch", 1, 65536, 0);
    const std::string rng = get_string(request, "rng");
    if (rng != "murmur" && rng != "concat-murmur")
      throw make_error(env, GK_INVALID_ARGUMENT, "rng: expected \"murmur\" or \"concat-murmur\", got \"" + rng + '"');
    run.rng = rng == "murmur" ? poc_v2::generator::murmur : poc_v2::generator::concat_murmur;
    const shared_function on_batch(info[1]), on_trace(info[2]);

    return start_task(env, "gonka.pocV2.run",
                      [session = session_, nonces = std::move(nonces), run = std::move(run), on_batch,
                       on_trace](task_context &ctx) mutable -> js_result {
                        const device_turn turn(*session->device, ctx);
                        run.nonces = nonces;
                        run.cancel = &ctx.cancelled();
                        run.on_batch = [&](std::span<const poc_v2::artifact> artifacts, int64_t computed) {
                          post_batch(ctx, on_batch, artifacts, computed);
                        };
                        if (on_trace)
                          run.on_trace = [&](int64_t nonce, std::span<const float> stream,
                                             std::span<const float> hidden) {
                            ctx.post([on_trace, nonce, stream = std::vector(stream.begin(), stream.end()),
                                      hidden = std::vector(hidden.begin(), hidden.end())](Napi::Env e) {
                              on_trace.call({Napi::BigInt::New(e, nonce), to_js(e, stream), to_js(e, hidden)});
                            });
                          };
                        const poc_v2::run_stats stats = session->session->run(run);
                        return [stats](Napi::Env e) -> Napi::Value {
                          Napi::Object out = Napi::Object::New(e);
                          out["computed"] = double(stats.computed);
                          out["kept"] = double(stats.kept);
                          out["batches"] = double(stats.batches);
                          out["seconds"] = stats.seconds;
                          return out;
                        };
                      },
                      {on_batch, on_trace});
  }

  // Drops this object's hold, on a thread: gigabytes take a while to give back.
  Napi::Value close(const Napi::CallbackInfo &info) {
    return start_task(info.Env(), "gonka.pocV2.close", [session = std::move(session_)](task_context &) -> js_result {
      return [](Napi::Env e) -> Napi::Value { return e.Undefined(); };
    });
  }

 private:
  static constexpr int64_t k_max_seq_len = int64_t(1) << 31;

  open_session &session_or_throw(Napi::Env env) const {
    if (session_ == nullptr) throw make_error(env, GK_INVALID_ARGUMENT, "the session is closed");
    return *session_;
  }

  static void post_batch(task_context &ctx, const shared_function &on_batch,
                         std::span<const poc_v2::artifact> artifacts, int64_t computed) {
    std::vector<int64_t> nonces;
    std::vector<uint8_t> vectors;
    for (const poc_v2::artifact &a : artifacts) {
      nonces.push_back(a.nonce);
      vectors.insert(vectors.end(), a.encoded.begin(), a.encoded.end());
    }
    ctx.post([on_batch, nonces = std::move(nonces), vectors = std::move(vectors), computed](Napi::Env e) {
      Napi::BigInt64Array js_nonces = Napi::BigInt64Array::New(e, nonces.size());
      Napi::Uint8Array js_vectors = Napi::Uint8Array::New(e, vectors.size());
      if (!nonces.empty()) {
        std::memcpy(js_nonces.Data(), nonces.data(), nonces.size() * sizeof(int64_t));
        std::memcpy(js_vectors.Data(), vectors.data(), vectors.size());
      }
      on_batch.call({js_nonces, js_vectors, Napi::Number::New(e, double(computed))});
    });
  }

  std::shared_ptr<open_session> session_;
};

}  // namespace

void define_poc_v2(Napi::Env env) {
  using wrap = poc_v2_wrap;
  env.GetInstanceData<environment>()->poc_v2_class = Napi::Persistent(wrap::DefineClass(
      env, "PocV2Session",
      {wrap::InstanceMethod("run", &wrap::run), wrap::InstanceMethod("defaultBatch", &wrap::default_batch),
       wrap::InstanceMethod("close", &wrap::close)}));
}

Napi::Value open_poc_v2(Napi::Env env, std::shared_ptr<open_device> device, const Napi::Object &request,
                        const Napi::Value &on_progress) {
  const std::string directory = get_string(request, "model");
  const std::string compute = optional_string(request, "compute", "");
  if (!compute.empty() && dtype_from_name(compute) == 0)
    throw make_error(env, GK_INVALID_ARGUMENT, "compute: unknown type \"" + compute + '"');
  const shared_function progress(on_progress);
  return start_task(env, "gonka.pocV2.open",
                    [device, directory, compute, progress](task_context &ctx) -> js_result {
                      const device_turn turn(*device, ctx);
                      poc_v2::session_options options;
                      options.compute = compute.empty() ? 0 : dtype_from_name(compute);
                      options.cancel = &ctx.cancelled();
                      options.progress = throttled(ctx, progress);
                      auto opened = std::make_shared<open_session>();
                      opened->device = device;
                      opened->session = std::make_unique<poc_v2::session>(device->handle, directory, options);
                      opened->implementations = opened->session->implementations();
                      return [opened](Napi::Env e) mutable -> Napi::Value {
                        return e.GetInstanceData<environment>()->poc_v2_class.New(
                            {Napi::External<std::shared_ptr<open_session>>::New(e, &opened)});
                      };
                    },
                    {progress});
}

// modelDigest(directory, onProgress?) -> { promise, cancel }
Napi::Value start_model_digest(const Napi::CallbackInfo &info) {
  if (!info[0].IsString()) throw type_error(info.Env(), "model", "a string", info[0]);
  const std::string directory = info[0].As<Napi::String>().Utf8Value();
  const shared_function progress(info[1]);
  return start_task(info.Env(), "gonka.modelDigest",
                    [directory, progress](task_context &ctx) -> js_result {
                      const std::string digest = model_digest(directory, {throttled(ctx, progress), &ctx.cancelled()});
                      return [digest](Napi::Env e) -> Napi::Value { return Napi::String::New(e, digest); };
                    },
                    {progress});
}

// makeTinyModel({ directory, family, preset?, seed }) -> { promise, cancel }
Napi::Value start_make_tiny(const Napi::CallbackInfo &info) {
  const Napi::Object request = to_object(info[0], "makeTinyModel");
  const std::string directory = get_string(request, "directory");
  tiny_model model;
  model.family = get_string(request, "family");
  model.preset = optional_string(request, "preset", "");
  model.seed = uint64_t(get_integer(request, "seed", 0, (int64_t(1) << 53) - 1));
  return start_task(info.Env(), "gonka.makeTinyModel", [directory, model](task_context &) -> js_result {
    const tiny_model_files files = make_tiny_model(directory, model);
    return [files](Napi::Env e) -> Napi::Value {
      Napi::Object out = Napi::Object::New(e);
      out["configPath"] = files.config_path;
      out["weightsPath"] = files.weights_path;
      out["parameters"] = double(files.parameters);
      out["bytes"] = double(files.bytes);
      return out;
    };
  });
}

}  // namespace gonka::addon
