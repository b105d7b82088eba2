#include "bench_problem.hpp"

#include <cmath>
#include <string>

#include "convert.hpp"
#include "op.hpp"

namespace gonka::addon {
namespace {

constexpr int64_t k_max_extent = int64_t(1) << 24;

uint32_t get_dtype(const Napi::Object &from, const char *field) {
  const std::string name = get_string(from, field);
  const uint32_t dtype = dtype_from_name(name);
  if (dtype == 0)
    throw make_error(from.Env(), GK_INVALID_ARGUMENT, std::string(field) + ": unknown number format '" + name + "'");
  return dtype;
}

void read_gemm(const Napi::Object &from, bench_problem &out) {
  gk_gemm &p = out.problem.gemm;
  p.struct_size = sizeof p;
  p.m = get_integer(from, "m", 1, k_max_extent);
  p.n = p.ldc = p.ldd = get_integer(from, "n", 1, k_max_extent);
  p.k = p.lda = p.ldb = get_integer(from, "k", 1, k_max_extent);
  p.a_type = get_dtype(from, "aType");
  p.b_type = get_dtype(from, "bType");
  p.d_type = get_dtype(from, "dType");
  p.alpha = 1;
  if (from.Has("accumulation")) {
    const std::string accumulation = get_string(from, "accumulation");
    if (accumulation != "f32" && accumulation != "short")
      throw make_error(from.Env(), GK_INVALID_ARGUMENT,
                       "accumulation: expected f32 or short; got '" + accumulation + "'");
    p.accumulation = accumulation == "short" ? GK_ACCUMULATE_SHORT : GK_ACCUMULATE_F32;
  }
  out.pack_b = get_bool(from, "packed");
}

void read_attention(const Napi::Object &from, bench_problem &out) {
  gk_attention &p = out.problem.attention;
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
  gk_sha256_search &p = out.problem.search;
  p.struct_size = sizeof p;
  p.nonce_count = uint64_t(get_integer(from, "nonces", 1, int64_t(1) << 32));
  for (int i = 0; i < 80; ++i) p.header[i] = uint8_t(i);
  out.hits.resize(16);  // target 0: nothing is found, everything is searched
  p.hits = out.hits.data();
  p.hits_capacity = uint32_t(out.hits.size());
}

// Four words for each of `rows` generators; the last one odd, as an increment is.
void make_pcg64_seeds(int64_t rows, std::vector<uint64_t> &out) {
  for (int64_t r = 0; r < rows; ++r)
    for (uint64_t word : {uint64_t(r), uint64_t(0x9e3779b97f4a7c15), uint64_t(r) * 3, uint64_t(r) * 2 + 1})
      out.push_back(word);
}

void read_fill(const Napi::Object &from, bench_problem &out) {
  gk_normal_fill &p = out.problem.fill;
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
    make_pcg64_seeds(p.rows, out.seeds64);
    p.seeds_u64 = out.seeds64.data();
  } else {
    throw make_error(from.Env(), GK_INVALID_ARGUMENT, "generator: expected murmur3 or pcg64, got '" + generator + "'");
  }
}

void read_matmul_pow(const Napi::Object &from, bench_problem &out) {
  gk_matmul_pow &p = out.problem.matmul_pow;
  p.struct_size = sizeof p;
  const std::string profile = get_string(from, "profile");
  if (profile != "i8" && profile != "i4")
    throw make_error(from.Env(), GK_INVALID_ARGUMENT, "profile: expected i8 or i4, got '" + profile + "'");
  p.profile = profile == "i8" ? GK_POW_I8 : GK_POW_I4;
  p.m = uint32_t(get_integer(from, "m", 64, 65536));
  p.n = uint32_t(get_integer(from, "n", 64, 65536));
  p.k = uint32_t(get_integer(from, "k", 256, 65536));
  for (int i = 0; i < 32; ++i) p.nonce_seed[i] = uint8_t(i);
  out.shares.resize(16);  // target 0: no tile wins, every ticket is drawn
  p.shares = out.shares.data();
  p.shares_capacity = uint32_t(out.shares.size());
}

// Of the ops on rows of [rows, columns], all strides dense.
struct row_extent {
  explicit row_extent(const Napi::Object &from)
      : rows(get_integer(from, "rows", 1, k_max_extent)), columns(get_integer(from, "columns", 1, k_max_extent)) {}
  int64_t rows, columns;
};

void read_rms_norm(const Napi::Object &from, bench_problem &out) {
  const row_extent extent(from);
  gk_rms_norm &p = out.problem.rms_norm;
  p.struct_size = sizeof p;
  p.type = p.w_type = get_dtype(from, "type");
  p.eps = 1e-6f;
  p.rows = extent.rows;
  p.columns = p.ldx = p.ldy = extent.columns;
}

void read_silu_mul(const Napi::Object &from, bench_problem &out) {
  const row_extent extent(from);
  gk_silu_mul &p = out.problem.silu_mul;
  p.struct_size = sizeof p;
  p.type = get_dtype(from, "type");
  p.rows = extent.rows;
  p.columns = p.ld_gate = p.ld_up = p.ldo = extent.columns;
}

void read_householder(const Napi::Object &from, bench_problem &out) {
  const row_extent extent(from);
  gk_householder &p = out.problem.householder;
  p.struct_size = sizeof p;
  p.type = get_dtype(from, "type");
  p.rows = extent.rows;
  p.columns = p.ldx = extent.columns;
}

void read_l2_normalize(const Napi::Object &from, bench_problem &out) {
  const row_extent extent(from);
  gk_l2_normalize &p = out.problem.l2_normalize;
  p.struct_size = sizeof p;
  p.type = get_dtype(from, "type");
  p.eps = 1e-8f;
  p.rows = extent.rows;
  p.columns = p.ldx = p.ldy = extent.columns;
}

void read_permuted_distance(const Napi::Object &from, bench_problem &out) {
  const row_extent extent(from);
  gk_permuted_distance &p = out.problem.distance;
  p.struct_size = sizeof p;
  p.x_type = get_dtype(from, "type");
  p.rows = extent.rows;
  p.columns = p.ldx = extent.columns;
  make_pcg64_seeds(p.rows, out.seeds64);
  p.seeds = out.seeds64.data();
}

// A row is a token: heads one after the other, rotated as a whole.
void read_rope(const Napi::Object &from, bench_problem &out) {
  gk_rope &p = out.problem.rope;
  p.struct_size = sizeof p;
  p.type = get_dtype(from, "type");
  p.layout = GK_ROPE_HALF;
  p.tokens = get_integer(from, "rows", 1, k_max_extent);
  p.heads = int32_t(get_integer(from, "numHeads", 1, 65536));
  p.head_dim = p.rotary_dim = int32_t(get_integer(from, "headDim", 2, 65536));
  p.head_stride = p.head_dim;
  p.token_stride = int64_t(p.heads) * p.head_dim;
  p.table_positions = 4096;
}

void read_gather(const Napi::Object &from, bench_problem &out) {
  const row_extent extent(from);
  gk_gather &p = out.problem.gather;
  p.struct_size = sizeof p;
  p.x_type = get_dtype(from, "type");
  p.out_type = get_dtype(from, "outType");
  p.rows = p.x_rows = extent.rows;
  p.columns = p.x_columns = p.ldx = p.ldo = extent.columns;
}

struct reader {
  const char *op;
  gk_op code;
  void (*read)(const Napi::Object &, bench_problem &);
};

constexpr reader k_readers[] = {{"gemm", GK_OP_GEMM, read_gemm},
                                {"attention", GK_OP_ATTENTION, read_attention},
                                {"matmul_pow", GK_OP_MATMUL_POW, read_matmul_pow},
                                {"sha256_search", GK_OP_SHA256_SEARCH, read_search},
                                {"normal_fill", GK_OP_NORMAL_FILL, read_fill},
                                {"rms_norm", GK_OP_RMS_NORM, read_rms_norm},
                                {"rope", GK_OP_ROPE, read_rope},
                                {"silu_mul", GK_OP_SILU_MUL, read_silu_mul},
                                {"householder", GK_OP_HOUSEHOLDER, read_householder},
                                {"gather", GK_OP_GATHER, read_gather},
                                {"l2_normalize", GK_OP_L2_NORMALIZE, read_l2_normalize},
                                {"permuted_distance", GK_OP_PERMUTED_DISTANCE, read_permuted_distance}};

}  // namespace

std::shared_ptr<bench_problem> to_bench_problem(const Napi::Object &from) {
  const std::string op = get_string(from, "op");
  std::string known;
  for (const reader &r : k_readers) {
    if (op != r.op) {
      known += (known.empty() ? "" : ", ") + std::string(r.op);
      continue;
    }
    auto out = std::make_shared<bench_problem>();
    out->op = r.code;
    r.read(from, *out);
    return out;
  }
  throw make_error(from.Env(), GK_INVALID_ARGUMENT, "op: expected " + known + "; got '" + op + "'");
}

}  // namespace gonka::addon
