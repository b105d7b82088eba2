#include <chrono>
#include <cstring>
#include <limits>
#include <vector>

#include "convert.hpp"
#include "matmul_pow/round.hpp"
#include "wrap.hpp"

namespace gonka::addon {
namespace {

using clock = std::chrono::steady_clock;

constexpr auto k_report_interval = std::chrono::milliseconds(50);
constexpr int64_t k_max_count = (int64_t(1) << 53) - 1;

template <size_t N>
void get_bytes(const Napi::Object &from, const char *field, std::array<uint8_t, N> &to) {
  const Napi::Value given = from.Get(field);
  if (!given.IsTypedArray() || given.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw type_error(from.Env(), field, "a Uint8Array", given);
  const auto bytes = given.As<Napi::Uint8Array>();
  if (bytes.ByteLength() != N)
    throw make_error(
        from.Env(), GK_INVALID_ARGUMENT,
        std::string(field) + ": expected " + std::to_string(N) + " bytes, got " + std::to_string(bytes.ByteLength()));
  std::memcpy(to.data(), bytes.Data(), N);
}

uint64_t get_nonce(const Napi::Object &from, const char *field) {
  const Napi::Value given = from.Get(field);
  if (!given.IsBigInt()) throw type_error(from.Env(), field, "a bigint", given);
  bool lossless = false;
  const uint64_t value = given.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless)
    throw make_error(from.Env(), GK_INVALID_ARGUMENT, std::string(field) + ": expected a nonce in 0 .. 2^64 - 1");
  return value;
}

matmul_pow::job to_job(const Napi::Object &from) {
  matmul_pow::job j;
  const std::string profile = get_string(from, "profile");
  if (profile != "i8" && profile != "i4")
    throw make_error(from.Env(), GK_INVALID_ARGUMENT, "profile: expected \"i8\" or \"i4\", got \"" + profile + "\"");
  j.profile = profile == "i8" ? GK_POW_I8 : GK_POW_I4;
  constexpr int64_t most = std::numeric_limits<uint32_t>::max();
  j.m = uint32_t(get_integer(from, "m", 1, most));
  j.n = uint32_t(get_integer(from, "n", 1, most));
  j.k = uint32_t(get_integer(from, "k", 1, most));
  j.shares = uint32_t(get_integer(from, "shares", 1, most));
  get_bytes(from, "target", j.target);
  get_bytes(from, "challenge", j.challenge);
  get_bytes(from, "publicKey", j.public_key);
  return j;
}

template <class Array>
Array get_array(const Napi::Object &from, const char *field, napi_typedarray_type type, const char *expected) {
  const Napi::Value given = from.Get(field);
  if (!given.IsTypedArray() || given.As<Napi::TypedArray>().TypedArrayType() != type)
    throw type_error(from.Env(), field, expected, given);
  return given.As<Array>();
}

// Tiles computed since the last report and the shares they gave.
struct pending_report {
  std::vector<uint64_t> nonces;
  std::vector<uint32_t> bi, bj;
  uint64_t tiles = 0;
};

template <class Array, class T>
Array to_array(Napi::Env env, const std::vector<T> &from) {
  Array out = Array::New(env, from.size());
  if (!from.empty()) std::memcpy(out.Data(), from.data(), from.size() * sizeof(T));
  return out;
}

void post_report(task_context &ctx, const shared_function &on_shares, pending_report &report) {
  if (report.tiles == 0) return;
  ctx.post([on_shares, r = std::move(report)](Napi::Env env) {
    on_shares.call({to_array<Napi::BigUint64Array>(env, r.nonces), to_array<Napi::Uint32Array>(env, r.bi),
                    to_array<Napi::Uint32Array>(env, r.bj), Napi::Number::New(env, double(r.tiles))});
  });
  report = {};
}

}  // namespace

Napi::Value start_matmul_pow(Napi::Env env, std::shared_ptr<open_device> device, const Napi::Object &request,
                             const Napi::Value &on_shares_given) {
  const matmul_pow::job j = to_job(to_object(request.Get("job"), "job"));
  const uint64_t first_nonce = get_nonce(request, "firstNonce");
  const auto nonce_step = uint64_t(optional_integer(request, "nonceStep", 1, k_max_count, 1));
  const auto nonce_count = uint64_t(get_integer(request, "nonceCount", 1, k_max_count));
  const auto stop_shares = uint64_t(optional_integer(request, "stopShares", 1, k_max_count, k_max_count));
  const shared_function on_shares(on_shares_given);
  return start_task(
      env, "gonka.matmulPow",
      [device, j, first_nonce, nonce_step, nonce_count, stop_shares, on_shares](task_context &ctx) -> js_result {
        const device_turn turn(*device, ctx);
        const auto start = clock::now();
        auto reported = start;
        pending_report report;
        uint64_t found = 0;
        matmul_pow::run_request run;
        run.first_nonce = first_nonce;
        run.nonce_step = nonce_step;
        run.nonce_count = nonce_count;
        run.cancel = &ctx.cancelled();
        run.on_part = [&](const matmul_pow::part_result &result) {
          for (const matmul_pow::share &one : result.shares) {
            report.nonces.push_back(one.nonce);
            report.bi.push_back(one.bi);
            report.bj.push_back(one.bj);
          }
          report.tiles += result.tiles;
          found += result.shares.size();
          if (const auto now = clock::now(); now - reported >= k_report_interval) {
            reported = now;
            post_report(ctx, on_shares, report);
          }
          return found < stop_shares;
        };
        const matmul_pow::run_stats stats = matmul_pow::run(device->handle, j, run);
        const double seconds = std::chrono::duration<double>(clock::now() - start).count();
        if (ctx.cancelled().load()) throw status_error(GK_CANCELLED, "cancelled");
        post_report(ctx, on_shares, report);
        return [stats, seconds](Napi::Env e) -> Napi::Value {
          Napi::Object out = Napi::Object::New(e);
          out["nonces"] = double(stats.nonces);
          out["tiles"] = double(stats.tiles);
          out["shares"] = double(stats.shares);
          out["seconds"] = seconds;
          return out;
        };
      },
      {on_shares});
}

// checkShares({ job, nonces, bi, bj, threads? }, onChecked?) -> { promise: Promise<Uint8Array>, cancel }
Napi::Value start_check_shares(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const Napi::Object request = to_object(info[0], "checkShares");
  const matmul_pow::job j = to_job(to_object(request.Get("job"), "job"));
  const auto nonces = get_array<Napi::BigUint64Array>(request, "nonces", napi_biguint64_array, "a BigUint64Array");
  const auto bi = get_array<Napi::Uint32Array>(request, "bi", napi_uint32_array, "a Uint32Array");
  const auto bj = get_array<Napi::Uint32Array>(request, "bj", napi_uint32_array, "a Uint32Array");
  if (nonces.ElementLength() != bi.ElementLength() || nonces.ElementLength() != bj.ElementLength())
    throw make_error(env, GK_INVALID_ARGUMENT,
                     "nonces, bi, bj: expected as many of each, got " + std::to_string(nonces.ElementLength()) + ", " +
                         std::to_string(bi.ElementLength()) + ", " + std::to_string(bj.ElementLength()));
  std::vector<matmul_pow::tile_name> tiles(nonces.ElementLength());
  for (size_t i = 0; i < tiles.size(); ++i) tiles[i] = {nonces[i], bi[i], bj[i]};
  const auto threads = uint32_t(optional_integer(request, "threads", 1, 4096, 0));
  const shared_function on_checked(info[1]);
  return start_task(
      env, "gonka.checkShares",
      [j, tiles = std::move(tiles), threads, on_checked](task_context &ctx) -> js_result {
        auto reported = clock::now();
        matmul_pow::check_request check;
        check.tiles = tiles;
        check.threads = threads;
        check.cancel = &ctx.cancelled();
        check.on_checked = [&](uint64_t done) {
          const auto now = clock::now();
          if (!on_checked || now - reported < k_report_interval) return;
          reported = now;
          ctx.post([on_checked, done](Napi::Env e) { on_checked.call({Napi::Number::New(e, double(done))}); });
        };
        return [wins = matmul_pow::check_tiles(j, check)](Napi::Env e) -> Napi::Value {
          return to_array<Napi::Uint8Array>(e, wins);
        };
      },
      {on_checked});
}

}  // namespace gonka::addon
