#include <algorithm>
#include <vector>

#include "bench_problem.hpp"
#include "convert.hpp"
#include "timing.hpp"
#include "wrap.hpp"

namespace gonka::addon {
namespace {

// A prepared problem on a device. The device outlives its operands, the problem what the op's pointers point into.
struct prepared {
  std::shared_ptr<open_device> device;
  std::shared_ptr<bench_problem> problem;
  std::unique_ptr<timed_op> op;
};

timing_limits to_limits(const Napi::Object &request) {
  timing_limits limits;
  limits.samples = uint32_t(get_integer(request, "samples", 1, 10'000'000));
  limits.seconds = get_number(request, "seconds");
  limits.cold = get_bool(request, "cold");
  return limits;
}

Napi::Float64Array to_array(Napi::Env env, const std::vector<double> &values) {
  Napi::Float64Array out = Napi::Float64Array::New(env, values.size());
  std::ranges::copy(values, out.Data());
  return out;
}

class bench_wrap : public Napi::ObjectWrap<bench_wrap> {
 public:
  explicit bench_wrap(const Napi::CallbackInfo &info) : Napi::ObjectWrap<bench_wrap>(info) {
    if (info.Length() != 1 || !info[0].IsExternal())
      throw type_error(info.Env(), "BenchSession", "to be made by benchOpen", info[0]);
    prepared_ = *info[0].As<Napi::External<std::shared_ptr<prepared>>>().Data();
    const timed_op &op = *prepared_->op;
    Napi::Object self = info.This().As<Napi::Object>();
    self["implementation"] = op.implementation();
    self["operations"] = op.one_call().operations;
    self["unit"] = integers() ? "op" : find_op(prepared_->problem->op)->operation_unit;
    self["bytes"] = op.one_call().bytes;
    self["operandBytes"] = double(op.operand_bytes());
  }

  // warm({ seconds }) -> { promise, cancel }
  Napi::Value warm(const Napi::CallbackInfo &info) {
    const double seconds = get_number(to_object(info[0], "warm"), "seconds");
    return start_task(info.Env(), "gonka.bench.warm", [p = open(info.Env()), seconds](task_context &ctx) -> js_result {
      const device_turn turn(*p->device, ctx);
      const warm_up done = gonka::warm(*p->op, seconds, ctx.cancelled());
      return [done](Napi::Env env) -> Napi::Value {
        Napi::Object out = Napi::Object::New(env);
        out["calls"] = done.calls;
        out["seconds"] = done.seconds;
        out["stable"] = done.stable;
        return out;
      };
    });
  }

  // run({ samples, seconds, cold }) -> { promise, cancel }
  Napi::Value run(const Napi::CallbackInfo &info) {
    const timing_limits limits = to_limits(to_object(info[0], "run"));
    return start_task(info.Env(), "gonka.bench.run", [p = open(info.Env()), limits](task_context &ctx) -> js_result {
      const device_turn turn(*p->device, ctx);
      return [samples = time_calls(*p->op, limits, ctx.cancelled())](Napi::Env env) -> Napi::Value {
        return to_array(env, samples);
      };
    });
  }

  // runPairs(other, { samples, seconds, cold, seed }) -> { promise, cancel }
  Napi::Value run_pairs(const Napi::CallbackInfo &info) {
    const Napi::Env env = info.Env();
    const Napi::FunctionReference &own_class = env.GetInstanceData<environment>()->bench_class;
    if (!info[0].IsObject() || !info[0].As<Napi::Object>().InstanceOf(own_class.Value()))
      throw type_error(env, "other", "a session of benchOpen", info[0]);
    const auto a = open(env), b = Unwrap(info[0].As<Napi::Object>())->open(env);
    if (a == b) throw make_error(env, GK_INVALID_ARGUMENT, "runPairs: expected two sessions, got one twice");
    const Napi::Object request = to_object(info[1], "runPairs");
    const timing_limits limits = to_limits(request);
    const auto seed = uint64_t(get_integer(request, "seed", 0, int64_t(1) << 52));
    return start_task(env, "gonka.bench.pairs", [a, b, limits, seed](task_context &ctx) -> js_result {
      // In order of address, so that two calls with the sessions the other way round do not wait for each other.
      const bool one_device = a->device == b->device, in_order = a->device < b->device;
      const device_turn first(*(in_order ? a : b)->device, ctx);
      const std::unique_ptr<device_turn> second(one_device ? nullptr
                                                           : new device_turn(*(in_order ? b : a)->device, ctx));
      return [times = time_pairs(*a->op, *b->op, limits, seed, ctx.cancelled())](Napi::Env e) -> Napi::Value {
        Napi::Object out = Napi::Object::New(e);
        out["ownNs"] = to_array(e, times.a_ns);
        out["otherNs"] = to_array(e, times.b_ns);
        Napi::Uint8Array first_of = Napi::Uint8Array::New(e, times.b_first.size());
        std::ranges::copy(times.b_first, first_of.Data());
        out["otherFirst"] = first_of;
        out["repeated"] = double(times.repeated);
        out["interrupted"] = double(times.interrupted);
        return out;
      };
    });
  }

  // Drops this object's hold, on a thread: gigabytes take a while to give back.
  Napi::Value close(const Napi::CallbackInfo &info) {
    return start_task(info.Env(), "gonka.bench.close", [p = std::move(prepared_)](task_context &) -> js_result {
      return [](Napi::Env e) -> Napi::Value { return e.Undefined(); };
    });
  }

 private:
  std::shared_ptr<prepared> open(Napi::Env env) const {
    if (prepared_ == nullptr) throw make_error(env, GK_INVALID_ARGUMENT, "the benchmark session is closed");
    return prepared_;
  }

  // Gemm is counted in flops by its spec; products of integers are none.
  bool integers() const {
    const bench_problem &p = *prepared_->problem;
    return p.op == GK_OP_GEMM && p.problem.gemm.a_type == GK_I8;
  }

  std::shared_ptr<prepared> prepared_;
};

}  // namespace

void define_bench(Napi::Env env) {
  using wrap = bench_wrap;
  env.GetInstanceData<environment>()->bench_class = Napi::Persistent(wrap::DefineClass(
      env, "BenchSession",
      {wrap::InstanceMethod("warm", &wrap::warm), wrap::InstanceMethod("run", &wrap::run),
       wrap::InstanceMethod("runPairs", &wrap::run_pairs), wrap::InstanceMethod("close", &wrap::close)}));
}

Napi::Value open_bench(Napi::Env env, std::shared_ptr<open_device> device, const Napi::Object &request) {
  const auto problem = to_bench_problem(to_object(request.Get("problem"), "problem"));
  const std::string implementation = optional_string(request, "implementation", "");
  return start_task(env, "gonka.bench.open", [device, problem, implementation](task_context &ctx) -> js_result {
    const device_turn turn(*device, ctx);
    auto made = std::make_shared<prepared>();
    made->device = device;
    made->problem = problem;
    const timed_request wanted{problem->op, &problem->problem, implementation, problem->pack_b};
    made->op = std::make_unique<timed_op>(device->handle, wanted, ctx.cancelled());
    return [made = std::move(made)](Napi::Env e) mutable -> Napi::Value {
      return e.GetInstanceData<environment>()->bench_class.New(
          {Napi::External<std::shared_ptr<prepared>>::New(e, &made)});
    };
  });
}

}  // namespace gonka::addon
