// Recorded ops of the CUDA backend in the emulator: a replay computes what the ops themselves would, from what the
// operands hold at that time; what cannot be recorded is refused and leaves the stream usable.
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "cuda/backend.hpp"
#include "device.hpp"
#include "number.hpp"
#include "registry.hpp"
#include "runtime_emulator.hpp"

using namespace gonka;

namespace {

constexpr int64_t k_rows = 24, k_dim = 64;

std::shared_ptr<device> emulated(uint32_t index) {
  auto library = std::make_shared<backend_library>();
  library->table = &cuda::backend();
  return device::open(library, index, {});
}

template <class Problem>
Problem make() {
  Problem p{};
  p.struct_size = sizeof p;
  return p;
}

// A norm, a split gemm with a residual, attention over ragged sequences: scratch, uploads and plain launches.
struct work {
  explicit work(device &d)
      : x(d, k_rows * k_dim * 2),
        w(d, k_dim * k_dim * 2),
        norm(d, k_dim * 2),
        h(d, x.size()),
        y(d, x.size()),
        o(d, x.size()) {}

  void fill(stream &s, uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (buffer *b : {&x, &w, &norm, &h, &y, &o}) {
      std::vector<uint16_t> values(b->size() / 2);
      for (uint16_t &v : values) v = f32_to_f16(0.3f * normal(random));
      s.write(*b, 0, values.data(), b->size());
    }
  }
  void run(stream &s) const {
    gk_rms_norm n = make<gk_rms_norm>();
    n.type = n.w_type = GK_F16;
    n.eps = 1e-5f;
    n.rows = k_rows;
    n.columns = n.ldx = n.ldy = n.ld_residual = n.ld_sum = k_dim;
    n.x = x.at(), n.w = norm.at(), n.y = h.at();
    s.run(GK_OP_RMS_NORM, &n);
    gk_gemm g = make<gk_gemm>();
    g.a_type = g.b_type = g.d_type = GK_F16;
    g.m = k_rows, g.n = g.k = g.lda = g.ldb = g.ldc = g.ldd = k_dim;
    g.alpha = 1, g.beta = 1;
    g.a = h.at(), g.b = w.at(), g.c = g.d = y.at();
    s.run(GK_OP_GEMM, &g);
    // On the stack: recording reads it now, a replay must not.
    const int64_t cu[] = {0, 5, 5, k_rows};
    gk_attention a = make<gk_attention>();
    a.qkv_type = a.o_type = GK_F16;
    a.causal = 1;
    a.batch = 3;
    a.num_heads = a.num_heads_kv = 2;
    a.head_dim = 32;
    a.softmax_scale = 0.2f;
    a.cu_seqlens_q = a.cu_seqlens_k = cu;
    a.q_token_stride = a.k_token_stride = a.v_token_stride = a.o_token_stride = k_dim;
    a.q_head_stride = a.k_head_stride = a.v_head_stride = a.o_head_stride = 32;
    a.q = y.at(), a.k = h.at(), a.v = x.at(), a.o = o.at();
    s.run(GK_OP_ATTENTION, &a);
  }
  std::vector<uint16_t> result(stream &s) const {
    std::vector<uint16_t> out(size_t(k_rows * k_dim) * 2);
    s.read(o, 0, out.data(), o.size());
    s.read(y, 0, out.data() + k_rows * k_dim, y.size());
    return out;
  }

  buffer x, w, norm, h, y, o;
};

void replays_compute_the_same(uint32_t index) {
  const auto d = emulated(index);
  stream s(d);
  work job(*d);
  std::vector<std::vector<uint16_t>> want;
  for (uint32_t seed : {1u, 2u, 3u}) {
    job.fill(s, seed);
    job.run(s);
    want.push_back(job.result(s));
  }
  CHECK(want[0] != want[1] && want[1] != want[2]);

  job.fill(s, 1);
  const auto untouched = job.result(s);
  const uint64_t launches = emulator::emulated_launches();
  std::string why;
  const recording made = s.record([&] { job.run(s); }, &why);
  CHECK(bool(made));
  CHECK_EQ(why, "");
  CHECK_EQ(emulator::emulated_launches(), launches);  // nothing ran
  CHECK(job.result(s) == untouched);
  for (uint32_t seed : {1u, 2u, 3u}) {
    job.fill(s, seed);
    s.replay(made);
    CHECK(job.result(s) == want[seed - 1]);
  }
  // Ops between replays take scratch of their own.
  job.fill(s, 2);
  job.run(s);
  CHECK(job.result(s) == want[1]);
  job.fill(s, 3);
  s.replay(made);
  CHECK(job.result(s) == want[2]);
}

template <class F>
std::string message_of(F &&f) {
  try {
    f();
    return "no error";
  } catch (const status_error &e) {
    return std::to_string(int(e.status)) + " " + e.what();
  }
}

void what_cannot_be_recorded() {
  const auto d = emulated(2);
  stream s(d);
  work job(*d);
  job.fill(s, 5);
  std::string why;
  gk_sha256_hit hits[4];
  gk_sha256_search search = make<gk_sha256_search>();
  search.nonce_count = 16;
  search.hits = hits;
  search.hits_capacity = 4;
  s.run(GK_OP_SHA256_SEARCH, &search);
  CHECK(!s.record([&] { s.run(GK_OP_SHA256_SEARCH, &search); }, &why));
  CHECK(why.find("a copy to host memory cannot be recorded") != std::string::npos);

  // Calls that are no op.
  uint16_t value = 0;
  const char *refused = "the stream records ops";
  CHECK(message_of([&] { s.record([&] { s.read(job.x, 0, &value, 2); }, &why); }).find(refused) != std::string::npos);
  CHECK(message_of([&] { s.record([&] { s.write(job.x, 0, &value, 2); }, &why); }).find(refused) != std::string::npos);
  CHECK(message_of([&] { s.record([&] { s.synchronize(); }, &why); }).find(refused) != std::string::npos);
  CHECK(message_of([&] { s.record([&] { s.record([] {}, &why); }, &why); }).find(refused) != std::string::npos);
  // What the work throws is passed on.
  CHECK_EQ(message_of([&] { s.record([&] { throw status_error(GK_CANCELLED, "stop"); }, &why); }), "33 stop");

  // An op that no implementation takes is not computed on the host behind one's back.
  const int64_t empty[] = {0, 0};
  gk_attention a = make<gk_attention>();
  a.qkv_type = a.o_type = GK_F16;
  a.batch = 1;
  a.num_heads = a.num_heads_kv = 65536;
  a.head_dim = 8;
  a.softmax_scale = 1;
  a.cu_seqlens_q = a.cu_seqlens_k = empty;
  a.q_token_stride = a.k_token_stride = a.v_token_stride = a.o_token_stride = 65536 * 8;
  a.q_head_stride = a.k_head_stride = a.v_head_stride = a.o_head_stride = 8;
  a.q = job.x.at(), a.k = job.x.at(), a.v = job.x.at(), a.o = job.o.at();
  why.clear();
  CHECK(!s.record([&] { s.run(GK_OP_ATTENTION, &a); }, &why));
  CHECK(why.find("more than 65535 key/value heads") != std::string::npos);

  // Packing is no op either.
  gk_gemm_pack pack = make<gk_gemm_pack>();
  pack.a_type = pack.b_type = GK_F16;
  pack.n = pack.k = pack.ldb = 16;
  pack.b = job.w.at();
  CHECK(message_of([&] { s.record([&] { s.pack(pack); }, &why); }).find(refused) != std::string::npos);

  // And after all that the stream works.
  job.run(s);
  CHECK(message_of([&] { s.synchronize(); }) == "no error");

  // A backend that records nothing says so.
  const auto cpu = device::open(cpu_library(), 0, {.threads = 1});
  stream on_cpu(cpu);
  CHECK(!on_cpu.record([] {}, &why));
  CHECK_EQ(why, "cpu:0: the backend cpu records nothing");
}

}  // namespace

int main() {
  for (const uint32_t index : {0u, 2u}) replays_compute_the_same(index);
  what_cannot_be_recorded();
  return check_summary();
}
