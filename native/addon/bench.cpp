#include <cmath>
#include <vector>

#include "convert.hpp"
#include "timing.hpp"
#include "wrap.hpp"

namespace gonka::addon {
namespace {

constexpr int64_t k_max_extent = int64_t(1) << 24;

// A problem to time with what its host pointers point into.
struct bench_problem {
  gk_op op = GK_OP_GEMM;
  bool pack_b = false;
  const char *unit = "";
  gk_gemm gemm{};
  gk_attention attention{};
  gk_sha256_search search{};
  gk_normal_fill fill{};
  gk_matmul_pow pow{};
  std::vector<int64_t> cu_q, cu_k;
  std::vector<gk_sha256_hit> hits;
  std::vector<uint32_t> seeds32;
  std::vector<uint64_t> seeds64;

  void *problem() {
    switch (op) {
      case GK_OP_ATTENTION:
        return &attention;
      case GK_OP_SHA256_SEARCH:
        return &search;
      case GK_OP_NORMAL_FILL:
        return &fill;
      case GK_OP_MATMUL_POW:
        return &pow;
      default:
        return &gemm;
    }
  }
};

uint32_t get_dtype(const Napi::Object &from, const char *field) {
  const std::string name = get_string(from, field);
  const uint32_t dtype = dtype_from_name(name);
  if (dtype == 0)
    throw make_error(from.Env(), GK_INVALID_ARGUMENT, std::string(field) + ": unknown number format '" + name + "'");
  return dtype;
}

void read_gemm(const Napi::Object &from, bench_problem &out) {
  gk_gemm &p = out.gemm;
  p.struct_size = sizeof p;
  p.m = get_integer(from, "m", 1, k_max_extent);
  p.n = p.ldc = p.ldd = get_integer(from, "n", 1, k_max_extent);
  p.k = p.lda = p.ldb = get_integer(from, "k", 1, k_max_extent);
  p.a_type = get_dtype(from, "aType");
  p.b_type = get_dtype(from, "bType");
  p.d_type = get_dtype(from, "dType");
  p.alpha = 1;
  out.pack_b = get_bool(from, "packed");
}

void read_attention(const Napi::Object &from, bench_problem &out) {
  gk_attention &p = out.attention;
  p.struct_size = sizeof p;
  const int64_t batch = get_integer(from, "batch", 1, 65536);
  const int64_t q = get_integer(from, "seqlenQ", 1, k_max_extent), k = get_integer(from, "seqlenK", 1, k_max_extent);
  p.num_heads = int32_t(get_integer(from, "numHeads", 1, 4096));
  p.num_heads_kv = int32_t(get_integer(from, "numHeadsKv", 1, 4096));
  p.head_dim = int32_t(get_integer(from, "headDim", 1, 256));
  p.causal = get_bool(from, "causal") ? 1 : 0;
  p.qkv_type = p.o_type = get_dtype(from, "type");
  p.batch = uint32_t(batch);
  p.softmax_scale = 1.f / std::sqrt(float(p.head_dim));
  for (int64_t b = 0; b <= batch; ++b) {
    out.cu_q.push_back(b * q);
    out.cu_k.push_back(b * k);
  }
  p.cu_seqlens_q = out.cu_q.data();
  p.cu_seqlens_k = out.cu_k.data();
  p.q_token_stride = p.o_token_stride = int64_t(p.num_heads) * p.head_dim;
  p.k_token_stride = p.v_token_stride = int64_t(p.num_heads_kv) * p.head_dim;
  p.q_head_stride = p.k_head_stride = p.v_head_stride = p.o_head_stride = p.head_dim;
}

void read_search(const Napi::Object &from, bench_problem &out) {
  gk_sha256_search &p = out.search;
  p.struct_size = sizeof p;
  p.nonce_count = uint64_t(get_integer(from, "nonces", 1, int64_t(1) << 32));
  for (int i = 0; i < 80; ++i) p.header[i] = uint8_t(i);
  out.hits.resize(16);  // target 0: nothing is found, everything is searched
  p.hits = out.hits.data();
  p.hits_capacity = uint32_t(out.hits.size());
  out.unit = "hash";
}

void read_fill(const Napi::Object &from, bench_problem &out) {
  gk_normal_fill &p = out.fill;
  p.struct_size = sizeof p;
  p.rows = get_integer(from, "rows", 1, k_max_extent);
  p.columns = p.ldo = get_integer(from, "columns", 1, int64_t(1) << 31);
  p.out_type = get_dtype(from, "outType");
  p.segments = 1;
  p.sigma = 1;
  const std::string generator = get_string(from, "generator");
  if (generator == "murmur3") {
    p.generator = GK_NORMAL_MURMUR3;
    for (int64_t r = 0; r < p.rows; ++r) out.seeds32.push_back(uint32_t(r * 2654435761u));
    p.seeds_u32 = out.seeds32.data();
  } else if (generator == "pcg64") {
    p.generator = GK_NORMAL_PCG64;
    for (int64_t r = 0; r < p.rows; ++r)
      for (uint64_t word : {uint64_t(r), uint64_t(0x9e3779b97f4a7c15), uint64_t(r) * 3, uint64_t(r) * 2 + 1})
        out.seeds64.push_back(word);
    p.seeds_u64 = out.seeds64.data();
  } else {
    throw make_error(from.Env(), GK_INVALID_ARGUMENT, "generator: expected murmur3 or pcg64, got '" + generator + "'");
  }
  out.unit = "value";
}

void read_matmul_pow(const Napi::Object &from, bench_problem &out) {
  gk_matmul_pow &p = out.pow;
  p.struct_size = sizeof p;
  const std::string profile = get_string(from, "profile");
  if (profile != "i8" && profile != "i4")
    throw make_error(from.Env(), GK_INVALID_ARGUMENT, "profile: expected i8 or i4, got '" + profile + "'");
  p.profile = profile == "i8" ? GK_POW_I8 : GK_POW_I4;
  p.m = uint32_t(get_integer(from, "m", 1, k_max_extent));
  p.n = uint32_t(get_integer(from, "n", 1, k_max_extent));
  p.k = uint32_t(get_integer(from, "k", 1, k_max_extent));
  for (int i = 0; i < 32; ++i) p.nonce_seed[i] = uint8_t(i);  // target 0: every tile has its ticket, none wins
}

std::shared_ptr<bench_problem> to_problem(const Napi::Object &from) {
  auto out = std::make_shared<bench_problem>();
  const std::string op = get_string(from, "op");
  if (op == "gemm") {
    read_gemm(from, *out);
  } else if (op == "attention") {
    out->op = GK_OP_ATTENTION;
    read_attention(from, *out);
  } else if (op == "sha256_search") {
    out->op = GK_OP_SHA256_SEARCH;
    read_search(from, *out);
  } else if (op == "normal_fill") {
    out->op = GK_OP_NORMAL_FILL;
    read_fill(from, *out);
  } else if (op == "matmul_pow") {
    out->op = GK_OP_MATMUL_POW;
    read_matmul_pow(from, *out);
  } else {
    throw make_error(from.Env(), GK_INVALID_ARGUMENT,
                     "op: expected gemm, attention, sha256_search, normal_fill or matmul_pow, got '" + op + "'");
  }
  return out;
}

}  // namespace

Napi::Value start_bench(Napi::Env env, std::shared_ptr<open_device> device, const Napi::Object &request) {
  const auto problem = to_problem(to_object(request.Get("problem"), "problem"));
  timing_request timing;
  timing.op = problem->op;
  timing.problem = problem->problem();
  timing.pack_b = problem->pack_b;
  timing.implementation = optional_string(request, "implementation", "");
  timing.samples = uint32_t(get_integer(request, "samples", 1, 1000000));
  timing.seconds = get_number(request, "seconds");
  return start_task(env, "gonka.bench", [device, problem, timing](task_context &ctx) -> js_result {
    const device_turn turn(*device, ctx);
    const timing_result result = time_op(device->handle, timing, ctx.cancelled());
    const bool counted_in_flops = problem->unit[0] == '\0';
    return [result, counted_in_flops, unit = problem->unit](Napi::Env e) -> Napi::Value {
      Napi::Object out = Napi::Object::New(e);
      Napi::Float64Array samples = Napi::Float64Array::New(e, result.samples_ns.size());
      std::copy(result.samples_ns.begin(), result.samples_ns.end(), samples.Data());
      out["samplesNs"] = samples;
      out["flops"] = counted_in_flops ? result.one_call.operations : 0;
      out["bytes"] = result.one_call.bytes;
      out["items"] = counted_in_flops ? 0 : result.one_call.operations;
      out["unit"] = unit;
      out["implementation"] = result.implementation;
      return out;
    };
  });
}

}  // namespace gonka::addon
