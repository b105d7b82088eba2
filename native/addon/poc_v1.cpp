#include <chrono>
#include <cstring>
#include <optional>
#include <vector>

#include "convert.hpp"
#include "v1/session.hpp"
#include "wrap.hpp"

namespace gonka::addon {
namespace {

constexpr int64_t k_max_extent = int64_t(1) << 31;

poc_v1::params to_params(const Napi::Object &from) {
  poc_v1::params p;
  p.dim = get_integer(from, "dim", 1, k_max_extent);
  p.n_layers = get_integer(from, "n_layers", 1, k_max_extent);
  p.n_heads = get_integer(from, "n_heads", 1, k_max_extent);
  p.n_kv_heads = get_integer(from, "n_kv_heads", 1, k_max_extent);
  p.vocab_size = get_integer(from, "vocab_size", 1, k_max_extent);
  p.ffn_dim_multiplier = get_number(from, "ffn_dim_multiplier");
  p.multiple_of = get_integer(from, "multiple_of", 1, k_max_extent);
  p.norm_eps = get_number(from, "norm_eps");
  p.rope_theta = get_number(from, "rope_theta");
  p.use_scaled_rope = get_bool(from, "use_scaled_rope");
  p.seq_len = get_integer(from, "seq_len", 1, k_max_extent);
  return p;
}

struct open_session {
  std::shared_ptr<open_device> device;
  std::unique_ptr<poc_v1::session> session;
  std::string implementations;
};

class poc_v1_wrap : public Napi::ObjectWrap<poc_v1_wrap> {
 public:
  explicit poc_v1_wrap(const Napi::CallbackInfo &info) : Napi::ObjectWrap<poc_v1_wrap>(info) {
    if (info.Length() != 1 || !info[0].IsExternal())
      throw type_error(info.Env(), "PocV1Session", "to be made by pocV1Open", info[0]);
    session_ = *info[0].As<Napi::External<std::shared_ptr<open_session>>>().Data();
    const poc_v1::session &s = *session_->session;
    Napi::Object self = info.This().As<Napi::Object>();
    self["parameterCount"] = double(s.parameter_count());
    self["memoryBytes"] = double(s.memory_bytes());
    self["initSeconds"] = s.init_seconds();
    self["compute"] = dtype_name(s.activation_type());
    self["implementation"] = session_->implementations;
    self["defaultBatch"] = double(s.default_batch());
  }

  // run({ publicKey, nonces, batch?, rTarget? }, onBatch) -> { promise, cancel }
  Napi::Value run(const Napi::CallbackInfo &info) {
    const Napi::Env env = info.Env();
    if (session_ == nullptr) throw make_error(env, GK_INVALID_ARGUMENT, "the session is closed");
    const Napi::Object request = to_object(info[0], "run");
    const Napi::Value given = request.Get("nonces");
    if (!given.IsTypedArray() || given.As<Napi::TypedArray>().TypedArrayType() != napi_bigint64_array)
      throw type_error(env, "nonces", "a BigInt64Array", given);
    const auto array = given.As<Napi::BigInt64Array>();
    std::vector<int64_t> nonces(array.ElementLength());
    if (!nonces.empty()) std::memcpy(nonces.data(), array.Data(), nonces.size() * sizeof(int64_t));
    const std::string public_key = get_string(request, "publicKey");
    const int64_t batch = optional_integer(request, "batch", 1, 65536, 0);
    std::optional<double> r_target;
    if (has(request, "rTarget")) r_target = get_number(request, "rTarget");
    const shared_function on_batch(info[1]);

    return start_task(env, "gonka.pocV1.run",
                      [session = session_, nonces = std::move(nonces), public_key, batch, r_target,
                       on_batch](task_context &ctx) -> js_result {
                        const device_turn turn(*session->device, ctx);
                        poc_v1::run_request run;
                        run.public_key = public_key;
                        run.nonces = nonces;
                        run.batch = batch;
                        run.r_target = r_target;
                        run.cancel = &ctx.cancelled();
                        run.on_batch = [&](std::span<const int64_t> kept, std::span<const double> dist,
                                           int64_t computed) {
                          ctx.post([on_batch, kept = std::vector(kept.begin(), kept.end()),
                                    dist = std::vector(dist.begin(), dist.end()), computed](Napi::Env e) {
                            Napi::BigInt64Array js_nonces = Napi::BigInt64Array::New(e, kept.size());
                            Napi::Float64Array js_dist = Napi::Float64Array::New(e, dist.size());
                            if (!kept.empty())
                              std::memcpy(js_nonces.Data(), kept.data(), kept.size() * sizeof(int64_t));
                            if (!dist.empty()) std::memcpy(js_dist.Data(), dist.data(), dist.size() * sizeof(double));
                            on_batch.call({js_nonces, js_dist, Napi::Number::New(e, double(computed))});
                          });
                        };
                        const poc_v1::run_stats stats = session->session->run(run);
                        return [stats](Napi::Env e) -> Napi::Value {
                          Napi::Object out = Napi::Object::New(e);
                          out["computed"] = double(stats.computed);
                          out["kept"] = double(stats.kept);
                          out["batches"] = double(stats.batches);
                          out["seconds"] = stats.seconds;
                          return out;
                        };
                      },
                      {on_batch});
  }

  // Drops this object's hold, on a thread: gigabytes take a while to give back.
  Napi::Value close(const Napi::CallbackInfo &info) {
    return start_task(info.Env(), "gonka.pocV1.close", [session = std::move(session_)](task_context &) -> js_result {
      return [](Napi::Env e) -> Napi::Value { return e.Undefined(); };
    });
  }

 private:
  std::shared_ptr<open_session> session_;
};

}  // namespace

void define_poc_v1(Napi::Env env) {
  using wrap = poc_v1_wrap;
  env.GetInstanceData<environment>()->poc_v1_class = Napi::Persistent(wrap::DefineClass(
      env, "PocV1Session", {wrap::InstanceMethod("run", &wrap::run), wrap::InstanceMethod("close", &wrap::close)}));
}

Napi::Value open_poc_v1(Napi::Env env, std::shared_ptr<open_device> device, const Napi::Object &request,
                        const Napi::Value &on_progress) {
  const poc_v1::params params = to_params(to_object(request.Get("params"), "params"));
  const std::string block_hash = get_string(request, "blockHash");
  // Copied: the caller's memory may move or go while the model is built.
  std::vector<uint16_t> weights;
  if (has(request, "weights")) {
    const Napi::Value given = request.Get("weights");
    if (!given.IsTypedArray() || given.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
      throw type_error(env, "weights", "a Uint8Array", given);
    const auto bytes = given.As<Napi::Uint8Array>();
    if (bytes.ByteLength() == 0 || bytes.ByteLength() % 2 != 0)
      throw make_error(
          env, GK_INVALID_ARGUMENT,
          "weights: expected a whole, positive number of halves, got " + std::to_string(bytes.ByteLength()) + " bytes");
    weights.resize(bytes.ByteLength() / 2);
    std::memcpy(weights.data(), bytes.Data(), bytes.ByteLength());
  }
  const shared_function progress(on_progress);
  return start_task(
      env, "gonka.pocV1.open",
      [device, params, block_hash, weights = std::move(weights), progress](task_context &ctx) -> js_result {
        const device_turn turn(*device, ctx);
        poc_v1::session_options options;
        options.weights = weights;
        options.cancel = &ctx.cancelled();
        using clock = std::chrono::steady_clock;
        auto last = clock::time_point{};
        std::string last_step;
        options.progress = [&](double fraction, const char *step) {
          const auto now = clock::now();
          if (!progress || (step == last_step && fraction < 1 && now - last < std::chrono::milliseconds(100))) return;
          last = now;
          last_step = step;
          ctx.post([progress, fraction, text = last_step](Napi::Env e) {
            progress.call({Napi::Number::New(e, fraction), Napi::String::New(e, text)});
          });
        };
        auto opened = std::make_shared<open_session>();
        opened->device = device;
        opened->session = std::make_unique<poc_v1::session>(device->handle, params, block_hash, options);
        opened->implementations = opened->session->implementations();
        return [opened](Napi::Env e) mutable -> Napi::Value {
          return e.GetInstanceData<environment>()->poc_v1_class.New(
              {Napi::External<std::shared_ptr<open_session>>::New(e, &opened)});
        };
      },
      {progress});
}

}  // namespace gonka::addon
