// What attention and the row-wise ops refuse, with which status, and that the message names the trouble.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "case_runner.hpp"
#include "check.hpp"

namespace {

using namespace gonka;

constexpr int64_t k_huge = std::numeric_limits<int64_t>::max();

// Runs a dry run of the valid problem, then of it with one thing changed.
template <class Problem>
struct refusals {
  gk_op op;
  Problem valid;
  test::cpu_stream &on;

  void check(const char *word, gk_status want, const std::function<void(Problem &)> &change) {
    Problem p = valid;
    gk_error err{};
    err.struct_size = sizeof err;
    CHECK_EQ(int(cpu::backend().run(on.stream, op, &p, 1, &err)), int(GK_OK));
    change(p);
    const gk_status got = cpu::backend().run(on.stream, op, &p, 1, &err);
    CHECK_EQ(int(got), int(want));
    if (!check_report(std::strstr(err.message, word) != nullptr, __FILE__, __LINE__, word))
      std::fprintf(stderr, "  message: %s\n", err.message);
    CHECK_EQ(int(cpu::backend().run(on.stream, op, &p, 1, nullptr)), int(want));
  }
};

void check_attention(test::cpu_stream &on) {
  static const int64_t offsets[] = {0, 3, 3, 8}, late[] = {1, 3, 3, 8}, falling[] = {0, 3, 2, 8},
                       far[] = {0, 3, 3, k_huge};
  gk_attention p{};
  p.struct_size = sizeof p;
  p.qkv_type = p.o_type = GK_BF16;
  p.batch = 3;
  p.num_heads = 4;
  p.num_heads_kv = 2;
  p.head_dim = 32;
  p.softmax_scale = 1;
  p.cu_seqlens_q = p.cu_seqlens_k = offsets;
  p.q_token_stride = p.o_token_stride = 128;
  p.k_token_stride = p.v_token_stride = 64;
  p.q_head_stride = p.k_head_stride = p.v_head_stride = p.o_head_stride = 32;
  refusals<gk_attention> r{GK_OP_ATTENTION, p, on};
  const auto bad = GK_INVALID_ARGUMENT;
  r.check("struct_size", bad, [](auto &q) { q.struct_size -= 8; });
  r.check("qkv_type", GK_UNSUPPORTED, [](auto &q) { q.qkv_type = GK_I8; });
  r.check("o_type", GK_UNSUPPORTED, [](auto &q) { q.o_type = 99; });
  r.check("o_type", GK_UNSUPPORTED, [](auto &q) { q.o_type = GK_F16; });
  r.check("causal", GK_UNSUPPORTED, [](auto &q) { q.causal = 2; });
  r.check("num_heads_kv", bad, [](auto &q) { q.num_heads_kv = 3; });
  r.check("num_heads_kv", bad, [](auto &q) { q.num_heads_kv = 0; });
  r.check("num_heads", bad, [](auto &q) { q.num_heads = -4; });
  r.check("head_dim", bad, [](auto &q) { q.head_dim = 0; });
  r.check("head_dim", bad, [](auto &q) { q.head_dim = 257; });
  r.check("softmax_scale", bad, [](auto &q) { q.softmax_scale = NAN; });
  r.check("cu_seqlens_q", bad, [](auto &q) { q.cu_seqlens_q = nullptr; });
  r.check("cu_seqlens_k", bad, [](auto &q) { q.cu_seqlens_k = nullptr; });
  r.check("cu_seqlens_k[0]", bad, [](auto &q) { q.cu_seqlens_k = late; });
  r.check("cu_seqlens_q[2]", bad, [](auto &q) { q.cu_seqlens_q = falling; });
  r.check("2^62", bad, [](auto &q) { q.cu_seqlens_k = far; });
  r.check("2^62", bad, [](auto &q) { q.v_token_stride = k_huge; });
  r.check("2^62", bad, [](auto &q) { q.q_head_stride = k_huge; });
  r.check("k_token_stride", bad, [](auto &q) { q.k_token_stride = -64; });
  r.check("overlap", bad, [](auto &q) { q.o_token_stride = 127; });
  r.check("overlap", bad, [](auto &q) { q.o_head_stride = 31; });
}

void check_rows(test::cpu_stream &on) {
  const auto bad = GK_INVALID_ARGUMENT;
  gk_rms_norm n{};
  n.struct_size = sizeof n;
  n.type = n.w_type = GK_F16;
  n.rows = 3;
  n.columns = n.ldx = n.ldy = 10;
  refusals<gk_rms_norm> norm{GK_OP_RMS_NORM, n, on};
  norm.check("struct_size", bad, [](auto &p) { p.struct_size = 0; });
  norm.check("type", GK_UNSUPPORTED, [](auto &p) { p.type = GK_F64; });
  norm.check("w_type", GK_UNSUPPORTED, [](auto &p) { p.w_type = 0; });
  norm.check("round_before_weight", GK_UNSUPPORTED, [](auto &p) { p.round_before_weight = 7; });
  norm.check("eps", bad, [](auto &p) { p.eps = -1; });
  norm.check("eps", bad, [](auto &p) { p.eps = INFINITY; });
  norm.check("rows", bad, [](auto &p) { p.rows = -1; });
  norm.check("columns", bad, [](auto &p) { p.columns = -1; });
  norm.check("ldx=9", bad, [](auto &p) { p.ldx = 9; });
  norm.check("ldy=9", bad, [](auto &p) { p.ldy = 9; });
  norm.check("ld_sum=9", bad, [](auto &p) { p.ld_sum = 9; });
  norm.check("2^62", bad, [](auto &p) { p.rows = k_huge, p.ldx = k_huge; });

  gk_silu_mul m{};
  m.struct_size = sizeof m;
  m.type = GK_F32;
  m.rows = 3;
  m.columns = m.ld_gate = m.ld_up = m.ldo = 10;
  refusals<gk_silu_mul> silu{GK_OP_SILU_MUL, m, on};
  silu.check("type", GK_UNSUPPORTED, [](auto &p) { p.type = GK_I32; });
  silu.check("ld_gate", bad, [](auto &p) { p.ld_gate = 0; });
  silu.check("ld_up", bad, [](auto &p) { p.ld_up = -1; });
  silu.check("ldo", bad, [](auto &p) { p.ldo = 9; });

  gk_householder h{};
  h.struct_size = sizeof h;
  h.type = GK_F32;
  h.rows = 3;
  h.columns = h.ldx = 10;
  refusals<gk_householder> reflect{GK_OP_HOUSEHOLDER, h, on};
  reflect.check("type", GK_UNSUPPORTED, [](auto &p) { p.type = 77; });
  reflect.check("ldx", bad, [](auto &p) { p.ldx = 9; });

  gk_l2_normalize l{};
  l.struct_size = sizeof l;
  l.type = GK_F32;
  l.rows = 3;
  l.columns = l.ldx = l.ldy = 10;
  refusals<gk_l2_normalize> unit{GK_OP_L2_NORMALIZE, l, on};
  unit.check("eps", bad, [](auto &p) { p.eps = NAN; });
  unit.check("ldy", bad, [](auto &p) { p.ldy = 9; });

  gk_permuted_distance d{};
  const uint64_t seeds[12] = {};
  d.struct_size = sizeof d;
  d.x_type = GK_F32;
  d.rows = 3;
  d.columns = d.ldx = 10;
  d.seeds = seeds;
  refusals<gk_permuted_distance> distance{GK_OP_PERMUTED_DISTANCE, d, on};
  distance.check("x_type", GK_UNSUPPORTED, [](auto &p) { p.x_type = GK_F64; });
  distance.check("ldx", bad, [](auto &p) { p.ldx = 9; });
  distance.check("rows", bad, [](auto &p) { p.rows = -1; });
  distance.check("seeds", bad, [](auto &p) { p.seeds = nullptr; });
  distance.check("columns", bad, [](auto &p) { p.rows = 1, p.columns = p.ldx = int64_t(1) << 31; });
  distance.check("2^62", bad, [](auto &p) { p.rows = k_huge, p.columns = p.ldx = 0; });

  gk_rope o{};
  o.struct_size = sizeof o;
  o.type = GK_F32;
  o.layout = GK_ROPE_HALF;
  o.tokens = 3;
  o.heads = 2;
  o.head_dim = o.head_stride = 8;
  o.token_stride = 16;
  o.rotary_dim = 6;
  o.table_positions = 5;
  refusals<gk_rope> rope{GK_OP_ROPE, o, on};
  rope.check("layout", GK_UNSUPPORTED, [](auto &p) { p.layout = 3; });
  rope.check("rotary_dim=5", bad, [](auto &p) { p.rotary_dim = 5; });
  rope.check("rotary_dim=10", bad, [](auto &p) { p.rotary_dim = 10; });
  rope.check("tokens=-1", bad, [](auto &p) { p.tokens = -1; });
  rope.check("table_positions", bad, [](auto &p) { p.table_positions = k_huge; });
  rope.check("overlap", bad, [](auto &p) { p.token_stride = 15; });
  rope.check("overlap", bad, [](auto &p) { p.head_stride = 7; });
  rope.check("2^62", bad, [](auto &p) { p.token_stride = k_huge; });

  gk_gather g{};
  g.struct_size = sizeof g;
  g.x_type = g.out_type = GK_F32;
  g.rows = g.x_rows = 3;
  g.columns = g.x_columns = g.ldx = g.ldo = 4;
  refusals<gk_gather> gather{GK_OP_GATHER, g, on};
  gather.check("out_type", GK_UNSUPPORTED, [](auto &p) { p.out_type = GK_I8; });
  gather.check("x_rows", bad, [](auto &p) { p.x_rows = -1; });
  gather.check("ldx", bad, [](auto &p) { p.ldx = 3; });
  gather.check("ldo", bad, [](auto &p) { p.ldo = 3; });
}

// Values and operands that only the run itself shows; nothing is written then.
void check_operands(test::cpu_stream &on) {
  const auto buffer = [&](std::vector<int32_t> words) {
    gk_buffer *b = nullptr;
    cpu::backend().buffer_alloc(on.device, 64 * 4, &b, nullptr);
    std::memset(cpu::backend().buffer_pointer(b), 0, 64 * 4);
    std::copy(words.begin(), words.end(), static_cast<int32_t *>(cpu::backend().buffer_pointer(b)));
    return b;
  };
  gk_buffer *x = buffer({1, 2, 3}), *out = buffer({7, 7, 7}), *table = buffer({});
  gk_error err{};
  err.struct_size = sizeof err;
  const auto refused = [&](gk_op op, auto &p, const char *word) {
    p.struct_size = sizeof p;
    err.message[0] = 0;
    CHECK_EQ(int(cpu::backend().run(on.stream, op, &p, 0, &err)), int(GK_INVALID_ARGUMENT));
    if (!check_report(std::strstr(err.message, word) != nullptr, __FILE__, __LINE__, word))
      std::fprintf(stderr, "  message: %s\n", err.message);
    CHECK_EQ(static_cast<int32_t *>(cpu::backend().buffer_pointer(out))[0], 7);
  };
  for (const int32_t position : {-1, 2, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()}) {
    gk_buffer *positions = buffer({0, position, 1});
    gk_rope p{};
    p.type = GK_F32;
    p.layout = GK_ROPE_ADJACENT;
    p.tokens = 3;
    p.heads = 1;
    p.head_dim = p.rotary_dim = p.table_positions = 2;
    p.head_stride = p.token_stride = 2;
    p.x = {out, 0};
    p.table = {table, 0};
    p.positions = {positions, 0};
    refused(GK_OP_ROPE, p, "position");
    for (const bool of_rows : {true, false}) {
      gk_gather g{};
      g.x_type = g.out_type = GK_F32;
      g.rows = of_rows ? 3 : 1;
      g.columns = g.ldo = of_rows ? 1 : 3;
      g.x_rows = g.x_columns = g.ldx = 2;
      g.x = {x, 0};
      g.out = {out, 0};
      (of_rows ? g.row_index : g.column_index) = {positions, 0};
      refused(GK_OP_GATHER, g, of_rows ? "row_index[1]" : "column_index[0][1]");
    }
    cpu::backend().buffer_free(positions);
  }
  gk_gather g{};
  g.x_type = g.out_type = GK_F32;
  g.rows = 3;
  g.columns = g.ldo = g.x_rows = g.x_columns = g.ldx = 2;
  g.x = {x, 0};
  g.out = {out, 0};
  refused(GK_OP_GATHER, g, "without row_index");
  g.rows = 2;
  g.columns = g.ldo = 3;
  refused(GK_OP_GATHER, g, "without column_index");
  g.columns = 2;
  g.x = {};
  refused(GK_OP_GATHER, g, "operand x is absent");
  g.x = {x, 4 * 62};
  refused(GK_OP_GATHER, g, "operand x needs bytes");
  g.x = {x, 2};
  refused(GK_OP_GATHER, g, "not aligned");

  gk_rms_norm n{};
  n.type = n.w_type = GK_F32;
  n.rows = 1;
  n.columns = n.ldx = n.ldy = n.ld_sum = n.ld_residual = 2;
  n.x = n.w = {x, 0};
  n.y = {out, 0};
  n.residual = {x, 0};
  refused(GK_OP_RMS_NORM, n, "residual without sum");
  n.sum = {table, 0};
  n.residual = {};
  refused(GK_OP_RMS_NORM, n, "sum without residual or reflector");
  n.sum = {};
  n.reflector = {x, 0};
  refused(GK_OP_RMS_NORM, n, "reflector without sum");
  for (gk_buffer *b : {x, out, table}) cpu::backend().buffer_free(b);
}

}  // namespace

int main() {
  test::cpu_stream on(1);
  check_attention(on);
  check_rows(on);
  check_operands(on);
  return check_summary();
}
