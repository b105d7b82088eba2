// What attention must satisfy whatever its values: checked for every implementation of this machine.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "attention/attention.hpp"
#include "case_data.hpp"
#include "case_runner.hpp"
#include "check.hpp"

namespace {

using namespace gonka;

struct setup {
  uint32_t type = GK_F32, o_type = GK_F32;
  bool causal = false;
  int32_t heads = 4, heads_kv = 2, head_dim = 72;
  std::vector<int64_t> seqlens_q, seqlens_k;

  std::vector<int64_t> offsets(const std::vector<int64_t> &lengths) const {
    std::vector<int64_t> all{0};
    for (const int64_t length : lengths) all.push_back(all.back() + length);
    return all;
  }
  int64_t total_q() const { return std::accumulate(seqlens_q.begin(), seqlens_q.end(), int64_t(0)); }
  int64_t total_k() const { return std::accumulate(seqlens_k.begin(), seqlens_k.end(), int64_t(0)); }
};

using values = std::vector<double>;  // [token][head][head_dim]

values random_values(int64_t count, uint64_t seed) {
  seeded_values source(seed);
  values v(static_cast<size_t>(count));
  for (double &x : v) x = source.normal();
  return v;
}

gk_buffer *upload(gk_device *device, uint32_t type, const values &v) {
  gk_buffer *buffer = nullptr;
  cpu::backend().buffer_alloc(device, v.size() * dtype_size(type) + 64, &buffer, nullptr);
  for (size_t i = 0; i < v.size(); ++i) write_element(type, cpu::backend().buffer_pointer(buffer), i, v[i]);
  return buffer;
}

// Runs implementation `index`; empty if it does not support the problem.
values attend(const setup &s, uint32_t index, test::cpu_stream &on, const values &q, const values &k, const values &v) {
  const auto cu_q = s.offsets(s.seqlens_q), cu_k = s.offsets(s.seqlens_k);
  gk_attention p{};
  p.struct_size = sizeof p;
  p.implementation = index;
  p.qkv_type = s.type;
  p.o_type = s.o_type;
  p.causal = s.causal;
  p.batch = uint32_t(s.seqlens_q.size());
  p.num_heads = s.heads;
  p.num_heads_kv = s.heads_kv;
  p.head_dim = s.head_dim;
  p.softmax_scale = 0.11f;
  p.cu_seqlens_q = cu_q.data();
  p.cu_seqlens_k = cu_k.data();
  p.q_head_stride = p.k_head_stride = p.v_head_stride = p.o_head_stride = s.head_dim;
  p.q_token_stride = p.o_token_stride = int64_t(s.heads) * s.head_dim;
  p.k_token_stride = p.v_token_stride = int64_t(s.heads_kv) * s.head_dim;
  values o(size_t(s.total_q() * s.heads * s.head_dim), NAN);
  p.q.buffer = upload(on.device, s.type, q);
  p.k.buffer = upload(on.device, s.type, k);
  p.v.buffer = upload(on.device, s.type, v);
  p.o.buffer = upload(on.device, s.o_type, o);
  gk_error err{};
  err.struct_size = sizeof err;
  const gk_status status = cpu::backend().run(on.stream, GK_OP_ATTENTION, &p, 0, &err);
  for (size_t i = 0; i < o.size(); ++i) o[i] = read_element(s.o_type, cpu::backend().buffer_pointer(p.o.buffer), i);
  for (const gk_ref &ref : {p.q, p.k, p.v, p.o}) cpu::backend().buffer_free(ref.buffer);
  if (status == GK_UNSUPPORTED) return {};
  CHECK_EQ(int(status), int(GK_OK));
  return o;
}

double largest_difference(const values &a, const values &b) {
  double largest = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

// Rows [begin, begin + count) of [token][width].
values tokens(const values &v, int64_t begin, int64_t count, int64_t width) {
  return values(v.begin() + begin * width, v.begin() + (begin + count) * width);
}

void check_implementation(uint32_t type, uint32_t index, test::cpu_stream &on, test::cpu_stream &threads) {
  setup s;
  s.type = type;
  const int64_t q_width = s.heads * s.head_dim, k_width = s.heads_kv * s.head_dim;
  // Error of O for |V| up to 6: F32 sums, and the rounding of probabilities to the type of V.
  const double tolerance = type == GK_F32 ? 2e-5 : type == GK_F16 ? 6e-3 : 4e-2;

  // One key: its value, exactly.
  s.seqlens_q = {5};
  s.seqlens_k = {1};
  const values one_k = random_values(k_width, 1), one_v = random_values(k_width, 2);
  const values one = attend(s, index, on, random_values(5 * q_width, 3), one_k, one_v);
  if (one.empty()) return;
  int wrong = 0;
  for (int64_t i = 0; i < 5 * q_width; ++i) {
    const int64_t head = i % q_width / s.head_dim, d = i % s.head_dim;
    wrong += one[i] != round_to(type, one_v[head / (s.heads / s.heads_kv) * s.head_dim + d]);
  }
  CHECK_EQ(wrong, 0);

  // Probabilities add up to 1.
  s.seqlens_q = {67};
  s.seqlens_k = {301};
  const values q = random_values(67 * q_width, 4), k = random_values(301 * k_width, 5),
               v = random_values(301 * k_width, 6);
  const values ones = attend(s, index, on, q, k, values(v.size(), 1.0));
  CHECK(largest_difference(ones, values(ones.size(), 1.0)) <= (type == GK_BF16 ? 4e-3 : 2e-5));

  // Without a mask the order of the keys does not matter.
  const values straight = attend(s, index, on, q, k, v);
  std::vector<int64_t> order(301);
  std::iota(order.begin(), order.end(), 0);
  seeded_values shuffle(7);
  for (int64_t i = 300; i > 0; --i) std::swap(order[i], order[shuffle.below(i + 1)]);
  values permuted_k(k.size()), permuted_v(v.size());
  for (int64_t j = 0; j < 301; ++j)
    for (int64_t c = 0; c < k_width; ++c) {
      permuted_k[j * k_width + c] = k[order[j] * k_width + c];
      permuted_v[j * k_width + c] = v[order[j] * k_width + c];
    }
  CHECK(largest_difference(attend(s, index, on, q, permuted_k, permuted_v), straight) <= tolerance);
  // It does when only the keys move.
  CHECK(largest_difference(attend(s, index, on, q, permuted_k, v), straight) > tolerance);

  // Causal: what comes later changes nothing before it, to the bit.
  s.causal = true;
  s.seqlens_q = s.seqlens_k = {301};
  const values q_long = random_values(301 * q_width, 8);
  const values whole = attend(s, index, on, q_long, k, v);
  for (const int64_t prefix : {1, 47, 64, 129, 300}) {
    s.seqlens_q = s.seqlens_k = {prefix};
    const values part = attend(s, index, on, tokens(q_long, 0, prefix, q_width), tokens(k, 0, prefix, k_width),
                               tokens(v, 0, prefix, k_width));
    CHECK(part == tokens(whole, 0, prefix, q_width));
  }

  // A batch is its sequences one by one, to the bit, on any number of threads.
  s.seqlens_q = {3, 0, 61, 17};
  s.seqlens_k = {9, 5, 150, 17};
  const values batch =
      attend(s, index, threads, tokens(q_long, 0, 81, q_width), tokens(k, 0, 181, k_width), tokens(v, 0, 181, k_width));
  int64_t at_q = 0, at_k = 0;
  for (size_t b = 0; b < 4; ++b) {
    setup single = s;
    single.seqlens_q = {s.seqlens_q[b]};
    single.seqlens_k = {s.seqlens_k[b]};
    const int64_t n_q = s.seqlens_q[b], n_k = s.seqlens_k[b];
    if (n_q > 0)
      CHECK(attend(single, index, on, tokens(q_long, at_q, n_q, q_width), tokens(k, at_k, n_k, k_width),
                   tokens(v, at_k, n_k, k_width)) == tokens(batch, at_q, n_q, q_width));
    at_q += n_q;
    at_k += n_k;
  }
}

// Two keys with scores s <= 0 and 0, values 1 and 0: O is e^s / (1 + e^s), which shows the exponential's own error. It
// is good to 2 ulp (4u); the score adds 3u |s| <= 3u of argument error, sum and division 2u.
void check_exponential(uint32_t index, test::cpu_stream &on) {
  constexpr int64_t rows = 4099;
  setup s;
  s.heads = s.heads_kv = s.head_dim = 1;
  s.seqlens_q = {rows};
  s.seqlens_k = {2};
  values q(rows);
  for (int64_t i = 0; i < rows; ++i) q[i] = round_to(GK_F32, -double(i) / rows / double(0.11f));
  const values o = attend(s, index, on, q, {1, 0}, {1, 0});
  if (o.empty()) return;
  double worst = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const double e = std::exp(q[i] * double(0.11f)), want = e / (1 + e);
    worst = std::max(worst, std::abs(o[i] - want) / want);
  }
  if (!CHECK(worst <= 9 * unit_roundoff(GK_F32))) std::fprintf(stderr, "  %.3g units\n", worst / unit_roundoff(GK_F32));
}

}  // namespace

int main() {
  test::cpu_stream on(1), threads(3);
  for (uint32_t index = 1; index <= cpu::implementations(GK_OP_ATTENTION).size(); ++index) {
    check_exponential(index, on);
    for (const uint32_t type : {GK_F32, GK_F16, GK_BF16}) check_implementation(type, index, on, threads);
  }
  return check_summary();
}
