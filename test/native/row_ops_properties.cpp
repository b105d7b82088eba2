// What the row-wise ops must satisfy whatever their values: checked for every implementation of this machine.
#include <cmath>

#include "case_data.hpp"
#include "case_runner.hpp"
#include "check.hpp"

namespace {

using namespace gonka;
using values = std::vector<double>;

struct buffer {
  buffer(gk_device *device, uint32_t type, const values &v) : type(type), count(v.size()) {
    cpu::backend().buffer_alloc(device, v.size() * dtype_size(type) + 64, &handle, nullptr);
    for (size_t i = 0; i < count; ++i) write_element(type, cpu::backend().buffer_pointer(handle), i, v[i]);
  }
  ~buffer() { cpu::backend().buffer_free(handle); }
  buffer(const buffer &) = delete;
  buffer &operator=(const buffer &) = delete;
  gk_ref ref() const { return {handle, 0}; }
  values read() const {
    values v(count);
    for (size_t i = 0; i < count; ++i) v[i] = read_element(type, cpu::backend().buffer_pointer(handle), i);
    return v;
  }
  uint32_t type;
  size_t count;
  gk_buffer *handle = nullptr;
};

values normals(int64_t count, uint64_t seed) {
  seeded_values source(seed);
  values v(static_cast<size_t>(count));
  for (double &x : v) x = source.normal();
  return v;
}

template <class Problem>
gk_status run(test::cpu_stream &on, gk_op op, Problem &p, uint32_t index) {
  p.struct_size = sizeof p;
  p.implementation = index;
  return cpu::backend().run(on.stream, op, &p, 0, nullptr);
}

double norm(const double *v, int64_t count) {
  double squares = 0;
  for (int64_t i = 0; i < count; ++i) squares += v[i] * v[i];
  return std::sqrt(squares);
}

constexpr int64_t k_rows = 7, k_columns = 203;

// Reflecting twice gives the vector back, once keeps its length; half types agree bit for bit between implementations.
void check_householder(test::cpu_stream &on, uint32_t type, uint32_t index) {
  values v = normals(k_columns, 1);
  const double length = norm(v.data(), k_columns);
  for (double &x : v) x /= length;
  const values x = normals(k_rows * k_columns, 2);
  const buffer vb(on.device, type, v), xb(on.device, type, x);
  gk_householder p{};
  p.type = type;
  p.rows = k_rows;
  p.columns = p.ldx = k_columns;
  p.x = xb.ref();
  p.v = vb.ref();
  const values start = xb.read();
  CHECK_EQ(int(run(on, GK_OP_HOUSEHOLDER, p, index)), int(GK_OK));
  const values once = xb.read();
  const double u = unit_roundoff(type);
  double moved = 0, lengths = 0, back = 0;
  for (int64_t r = 0; r < k_rows; ++r)
    lengths =
        std::max(lengths, std::abs(norm(&once[r * k_columns], k_columns) / norm(&start[r * k_columns], k_columns) - 1));
  CHECK_EQ(int(run(on, GK_OP_HOUSEHOLDER, p, index)), int(GK_OK));
  const values twice = xb.read();
  for (size_t i = 0; i < x.size(); ++i) {
    moved = std::max(moved, std::abs(once[i] - start[i]));
    back = std::max(back, std::abs(twice[i] - start[i]));
  }
  CHECK(moved > 0.1);
  CHECK(lengths < 8 * u);
  CHECK(back < 64 * u);
  if (type == GK_F32) return;
  const buffer again(on.device, type, x);
  p.x = again.ref();
  const auto last = uint32_t(cpu::implementations(GK_OP_HOUSEHOLDER).size());
  CHECK_EQ(int(run(on, GK_OP_HOUSEHOLDER, p, last)), int(GK_OK));
  CHECK(last == index || again.read() == once);
}

// Normalising with a reflector gives the bits of reflecting first and normalising then.
void check_reflected_norm(test::cpu_stream &on, uint32_t type, uint32_t index) {
  values v = normals(k_columns, 21);
  const double length = norm(v.data(), k_columns);
  for (double &x : v) x /= length;
  const values x = normals(k_rows * k_columns, 22), nothing(x.size(), NAN);
  const buffer vb(on.device, type, v), xb(on.device, type, x), rb(on.device, type, normals(k_rows * k_columns, 23)),
      wb(on.device, type, normals(k_columns, 24));
  for (const bool residual : {false, true}) {
    const buffer one_sum(on.device, type, nothing), one_y(on.device, type, nothing), sum(on.device, type, x),
        unused(on.device, type, nothing), y(on.device, type, nothing);
    gk_rms_norm p{};
    p.type = p.w_type = type;
    p.round_before_weight = 1;
    p.eps = 1e-6f;
    p.rows = k_rows;
    p.columns = p.ldx = p.ldy = p.ld_residual = p.ld_sum = k_columns;
    p.x = xb.ref();
    if (residual) p.residual = rb.ref();
    p.w = wb.ref();
    p.reflector = vb.ref();
    p.sum = one_sum.ref();
    p.y = one_y.ref();
    CHECK_EQ(int(run(on, GK_OP_RMS_NORM, p, index)), int(GK_OK));

    p.reflector = {};
    if (residual) {
      p.sum = sum.ref();
      p.y = unused.ref();
      CHECK_EQ(int(run(on, GK_OP_RMS_NORM, p, index)), int(GK_OK));
    }
    gk_householder h{};
    h.type = type;
    h.rows = k_rows;
    h.columns = h.ldx = k_columns;
    h.x = sum.ref();
    h.v = vb.ref();
    CHECK_EQ(int(run(on, GK_OP_HOUSEHOLDER, h, index)), int(GK_OK));
    p.x = sum.ref();
    p.residual = p.sum = {};
    p.y = y.ref();
    CHECK_EQ(int(run(on, GK_OP_RMS_NORM, p, index)), int(GK_OK));
    CHECK(one_sum.read() == sum.read());
    CHECK(one_y.read() == y.read());
  }
}

// Rows come out with length 1, or with mean square 1 before the weights.
void check_norms(test::cpu_stream &on, uint32_t type, uint32_t index, uint32_t rms_index) {
  const values x = normals(k_rows * k_columns, 3);
  const buffer xb(on.device, type, x), yb(on.device, type, values(x.size(), NAN)),
      wb(on.device, GK_F32, values(k_columns, -3.0));
  gk_l2_normalize l2{};
  l2.type = type;
  l2.rows = k_rows;
  l2.columns = l2.ldx = l2.ldy = k_columns;
  l2.x = xb.ref();
  l2.y = yb.ref();
  CHECK_EQ(int(run(on, GK_OP_L2_NORMALIZE, l2, index)), int(GK_OK));
  const values unit = yb.read();
  const double u = unit_roundoff(type);
  for (int64_t r = 0; r < k_rows; ++r) CHECK(std::abs(norm(&unit[r * k_columns], k_columns) - 1) < 4 * u);

  gk_rms_norm rms{};
  rms.type = type;
  rms.w_type = GK_F32;
  rms.rows = k_rows;
  rms.columns = rms.ldx = rms.ldy = k_columns;
  rms.x = xb.ref();
  rms.w = wb.ref();
  rms.y = yb.ref();
  CHECK_EQ(int(run(on, GK_OP_RMS_NORM, rms, rms_index)), int(GK_OK));
  const values scaled = yb.read();
  for (int64_t r = 0; r < k_rows; ++r) {
    CHECK(std::abs(norm(&scaled[r * k_columns], k_columns) / std::sqrt(double(k_columns)) / 3 - 1) < 4 * u);
    CHECK(scaled[r * k_columns] * x[r * k_columns] < 0);  // the weight's sign
  }
}

// Rotating by an angle and then by its negative gives the vector back; lengths of pairs stay.
void check_rope(test::cpu_stream &on, uint32_t type, uint32_t index, uint32_t layout) {
  constexpr int64_t tokens = 5, heads = 3, head_dim = 70, rotary = 66;
  const values x = normals(tokens * heads * head_dim, 4);
  values table, inverse, positions;
  for (int64_t i = 0; i < tokens * rotary / 2; ++i) {
    table.push_back(std::cos(0.3 * double(i)));
    table.push_back(std::sin(0.3 * double(i)));
    inverse.push_back(table[2 * i]);
    inverse.push_back(-table[2 * i + 1]);
  }
  for (int64_t t = 0; t < tokens; ++t) positions.push_back(double(tokens - 1 - t));
  const buffer xb(on.device, type, x), tb(on.device, GK_F32, table), ib(on.device, GK_F32, inverse),
      pb(on.device, GK_I32, positions);
  gk_rope p{};
  p.type = type;
  p.layout = layout;
  p.tokens = tokens;
  p.heads = heads;
  p.head_dim = p.head_stride = head_dim;
  p.token_stride = heads * head_dim;
  p.rotary_dim = rotary;
  p.table_positions = tokens;
  p.x = xb.ref();
  p.table = tb.ref();
  p.positions = pb.ref();
  const values start = xb.read();
  CHECK_EQ(int(run(on, GK_OP_ROPE, p, index)), int(GK_OK));
  const values rotated = xb.read();
  const int64_t partner = layout == GK_ROPE_ADJACENT ? 1 : rotary / 2;
  double length = 0, moved = 0, back = 0;
  for (int64_t h = 0; h < tokens * heads; ++h) {
    const double *a = &start[h * head_dim], *b = &rotated[h * head_dim];
    length = std::max(length, std::abs(std::hypot(a[0], a[partner]) - std::hypot(b[0], b[partner])));
  }
  p.table = ib.ref();
  CHECK_EQ(int(run(on, GK_OP_ROPE, p, index)), int(GK_OK));
  const values returned = xb.read();
  for (size_t i = 0; i < x.size(); ++i) {
    moved = std::max(moved, std::abs(rotated[i] - start[i]));
    back = std::max(back, std::abs(returned[i] - start[i]));
  }
  CHECK(moved > 1);
  CHECK(length < 16 * unit_roundoff(type));
  CHECK(back < 32 * unit_roundoff(type));
}

// silu(x) - silu(-x) = x; silu(0) = 0.
void check_silu(test::cpu_stream &on, uint32_t type, uint32_t index) {
  values x = normals(k_columns, 5), negative;
  x[3] = 0;
  for (const double v : x) negative.push_back(-v);
  const buffer xb(on.device, type, x), nb(on.device, type, negative), one(on.device, type, values(k_columns, 1.0));
  gk_silu_mul p{};
  p.type = type;
  p.rows = 1;
  p.columns = p.ld_gate = p.ld_up = p.ldo = k_columns;
  p.up = one.ref();
  p.gate = p.out = xb.ref();
  const values start = xb.read();
  CHECK_EQ(int(run(on, GK_OP_SILU_MUL, p, index)), int(GK_OK));
  p.gate = p.out = nb.ref();
  CHECK_EQ(int(run(on, GK_OP_SILU_MUL, p, index)), int(GK_OK));
  const values a = xb.read(), b = nb.read();
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i] - start[i]));
  CHECK(worst < 16 * unit_roundoff(type));
  CHECK_EQ(a[3], 0.0);
}

// F32 silu over its whole range to 7 half ulps: 2.4 of the exponential, one each of four operations.
void check_silu_accuracy(test::cpu_stream &on, uint32_t index) {
  constexpr int64_t count = 40009;
  values x(count);
  for (int64_t i = 0; i < count; ++i) x[i] = round_to(GK_F32, -79.9 + 0.004 * double(i));
  const buffer xb(on.device, GK_F32, x), one(on.device, GK_F32, values(count, 1.0)),
      out(on.device, GK_F32, values(count, NAN));
  gk_silu_mul p{};
  p.type = GK_F32;
  p.rows = 1;
  p.columns = p.ld_gate = p.ld_up = p.ldo = count;
  p.gate = xb.ref();
  p.up = one.ref();
  p.out = out.ref();
  CHECK_EQ(int(run(on, GK_OP_SILU_MUL, p, index)), int(GK_OK));
  const values got = out.read();
  double worst = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double want = x[i] / (1 + std::exp(-x[i]));
    if (want != 0) worst = std::max(worst, std::abs(got[i] - want) / std::abs(want));
  }
  if (!CHECK(worst <= 7 * unit_roundoff(GK_F32))) std::fprintf(stderr, "  %.3g units\n", worst / unit_roundoff(GK_F32));
}

// The inverse permutation undoes a permutation of rows and columns.
void check_gather(test::cpu_stream &on, uint32_t type, uint32_t index) {
  const values x = normals(k_rows * k_columns, 6);
  values rows, rows_back(k_rows), columns, columns_back(k_rows * k_columns);
  for (int64_t r = 0; r < k_rows; ++r) {
    rows.push_back(double((r * 3 + 2) % k_rows));
    rows_back[size_t(rows[r])] = double(r);
    for (int64_t c = 0; c < k_columns; ++c) {
      columns.push_back(double((c * 11 + r) % k_columns));
      columns_back[r * k_columns + int64_t(columns.back())] = double(c);
    }
  }
  const buffer xb(on.device, type, x), tb(on.device, type, values(x.size(), NAN)),
      yb(on.device, type, values(x.size(), NAN));
  const buffer rb(on.device, GK_I32, rows), rbb(on.device, GK_I32, rows_back), cb(on.device, GK_I32, columns),
      cbb(on.device, GK_I32, columns_back);
  gk_gather p{};
  p.x_type = p.out_type = type;
  p.rows = p.x_rows = k_rows;
  p.columns = p.x_columns = p.ldx = p.ldo = k_columns;
  const auto pass = [&](const buffer &from, const buffer *row, const buffer *column, const buffer &to) {
    p.x = from.ref();
    p.row_index = row != nullptr ? row->ref() : gk_ref{};
    p.column_index = column != nullptr ? column->ref() : gk_ref{};
    p.out = to.ref();
    CHECK_EQ(int(run(on, GK_OP_GATHER, p, index)), int(GK_OK));
  };
  pass(xb, &rb, nullptr, tb);
  CHECK(tb.read() != xb.read());
  pass(tb, &rbb, nullptr, yb);
  CHECK(yb.read() == xb.read());
  pass(xb, nullptr, &cb, tb);
  CHECK(tb.read() != xb.read());
  pass(tb, nullptr, &cbb, yb);
  CHECK(yb.read() == xb.read());
}

}  // namespace

int main() {
  test::cpu_stream on(1);
  const auto supported = [&](gk_op op, uint32_t index) {
    struct {
      uint32_t struct_size, implementation;
    } none{};
    return cpu::implementations(op)[index - 1].reject(&none, cpu::this_cpu()) == nullptr;
  };
  for (const uint32_t type : {GK_F32, GK_F16, GK_BF16})
    for (uint32_t index = 1; index <= cpu::implementations(GK_OP_HOUSEHOLDER).size(); ++index) {
      // The row-wise ops have the same list.
      if (!supported(GK_OP_HOUSEHOLDER, index)) continue;
      check_householder(on, type, index);
      check_reflected_norm(on, type, index);
      check_norms(on, type, index, index);
      check_rope(on, type, index, GK_ROPE_ADJACENT);
      check_rope(on, type, index, GK_ROPE_HALF);
      check_silu(on, type, index);
      if (type == GK_F32) check_silu_accuracy(on, index);
      check_gather(on, type, index);
    }
  return check_summary();
}
