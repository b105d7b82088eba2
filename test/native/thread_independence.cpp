// What an implementation computes does not depend on how many threads share the work: bit for bit, floats included
// (sums are cut at fixed places, never between threads). Problems are large enough that several threads do take part.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "attention/attention.hpp"
#include "case_data.hpp"
#include "check.hpp"
#include "gemm/gemm.hpp"
#include "implementation.hpp"
#include "matmul_pow/matmul_pow.hpp"

using namespace gonka;

namespace {

constexpr uint64_t k_seed = 20260101;
// More threads than this machine may have processors, and a number that divides no size below.
constexpr uint32_t k_thread_counts[] = {1, 2, 3, 7};

std::vector<std::byte> random_elements(uint32_t dtype, int64_t count, uint64_t seed) {
  std::vector<std::byte> out(size_t(count) * dtype_size(dtype));
  seeded_values values(seed);
  for (int64_t i = 0; i < count; ++i)
    write_element(dtype, out.data(), uint64_t(i), dtype == GK_I8 ? double(values.below(256) - 128) : values.normal());
  return out;
}

// Runs every implementation that takes the problem with each number of threads; result() gives what it wrote, and the
// problem is run anew from whatever reset() leaves.
template <class Problem, class Pointers, class Result>
void same_on_any_threads(const std::string &what, uint32_t op, Problem problem, Pointers &&pointers, Result &&result) {
  const cpu::features &features = cpu::this_cpu();
  int ran = 0;
  for (const cpu::implementation &candidate : cpu::implementations(op)) {
    if (candidate.reject(&problem, features) != nullptr) continue;
    std::vector<std::byte> first;
    for (const uint32_t threads : k_thread_counts) {
      cpu::thread_pool pool(threads);
      cpu::context context{pool, features};
      Problem p = problem;
      auto operands = pointers();
      candidate.run(&p, operand_pointers(operands.data(), operands.size()), context);
      const std::vector<std::byte> bytes = result(p);
      CHECK(!bytes.empty());
      if (threads == 1) first = bytes;
      if (!CHECK(bytes == first))
        std::fprintf(stderr, "%s, %s: %u threads give another result than one (seed %llu)\n", what.c_str(),
                     candidate.name, threads, static_cast<unsigned long long>(k_seed));
      ++ran;
    }
  }
  CHECK(ran > 0);
}

void gemm(uint32_t type, uint32_t d_type, int64_t m, int64_t n, int64_t k, uint32_t epilogue) {
  gk_gemm p{};
  p.struct_size = sizeof p;
  p.a_type = p.b_type = type;
  p.d_type = d_type;
  p.m = m, p.n = n, p.k = k;
  p.lda = p.ldb = k;
  p.ldc = p.ldd = n;
  p.alpha = 1;
  p.beta = epilogue == GK_EPILOGUE_NONE ? 1 : 0;
  p.epilogue = epilogue;
  auto a = random_elements(type, m * k, k_seed), b = random_elements(type, n * k, k_seed + 1),
       b2 = random_elements(type, n * k, k_seed + 2);
  auto c = type == GK_I8 ? std::vector<std::byte>(size_t(m * n) * 4) : random_elements(d_type, m * n, k_seed + 3);
  std::vector<std::byte> d(c.size());
  const auto pointers = [&] {
    std::memset(d.data(), 0x7e, d.size());
    std::vector<void *> all(k_gemm_b2_scale + 1, nullptr);
    all[k_gemm_a] = a.data(), all[k_gemm_b] = b.data(), all[k_gemm_d] = d.data();
    if (p.beta != 0) all[k_gemm_c] = c.data();
    if (epilogue == GK_EPILOGUE_SWIGLU) all[k_gemm_b2] = b2.data();
    return all;
  };
  same_on_any_threads("gemm type " + std::to_string(type) + " m " + std::to_string(m), GK_OP_GEMM, p, pointers,
                      [&](const gk_gemm &) { return d; });
}

void attention(uint32_t type, bool causal) {
  const int64_t offsets[] = {0, 150, 233};
  gk_attention p{};
  p.struct_size = sizeof p;
  p.qkv_type = p.o_type = type;
  p.causal = causal;
  p.batch = 2;
  p.num_heads = 4, p.num_heads_kv = 2, p.head_dim = 64;
  p.softmax_scale = 0.125f;
  p.cu_seqlens_q = p.cu_seqlens_k = offsets;
  p.q_head_stride = p.k_head_stride = p.v_head_stride = p.o_head_stride = 64;
  p.q_token_stride = p.o_token_stride = 4 * 64;
  p.k_token_stride = p.v_token_stride = 2 * 64;
  auto q = random_elements(type, 233 * 256, k_seed), k = random_elements(type, 233 * 128, k_seed + 1),
       v = random_elements(type, 233 * 128, k_seed + 2);
  std::vector<std::byte> o(q.size());
  const auto pointers = [&] {
    std::memset(o.data(), 0x7e, o.size());
    std::vector<void *> all(5, nullptr);
    all[k_attention_q] = q.data(), all[k_attention_k] = k.data(), all[k_attention_v] = v.data();
    all[k_attention_o] = o.data();
    return all;
  };
  same_on_any_threads("attention type " + std::to_string(type), GK_OP_ATTENTION, p, pointers,
                      [&](const gk_attention &) { return o; });
}

void normal_fill(uint32_t generator, uint32_t out_type) {
  gk_normal_fill p{};
  p.struct_size = sizeof p;
  p.generator = generator;
  p.out_type = out_type;
  p.segments = generator == GK_NORMAL_MURMUR3 ? 3 : 1;
  p.rows = 37, p.columns = 1501, p.ldo = 1501;
  p.sigma = 0.5;
  std::vector<uint32_t> seeds_u32(size_t(p.rows) * p.segments);
  std::iota(seeds_u32.begin(), seeds_u32.end(), 5u);
  std::vector<uint64_t> seeds_u64(size_t(p.rows) * 4);
  seeded_values values(k_seed);
  for (uint64_t &seed : seeds_u64) seed = values.next() | 1;
  p.seeds_u32 = seeds_u32.data();
  p.seeds_u64 = seeds_u64.data();
  std::vector<std::byte> out(size_t(p.rows * p.ldo) * dtype_size(out_type));
  const auto pointers = [&] {
    std::memset(out.data(), 0x7e, out.size());
    return std::vector<void *>{out.data()};
  };
  same_on_any_threads("normal_fill " + std::to_string(generator), GK_OP_NORMAL_FILL, p, pointers,
                      [&](const gk_normal_fill &) { return out; });
}

void sha256_search() {
  std::vector<gk_sha256_hit> hits(4096);
  gk_sha256_search p{};
  p.struct_size = sizeof p;
  for (int i = 0; i < 80; ++i) p.header[i] = uint8_t(3 * i);
  std::memset(p.target, 0xff, sizeof p.target);
  p.target[0] = 0;  // one nonce in 256
  p.nonce_begin = 12345;
  p.nonce_count = 200'003;
  p.hits = hits.data();
  p.hits_capacity = uint32_t(hits.size());
  const auto pointers = [&] {
    std::memset(hits.data(), 0x7e, hits.size() * sizeof hits[0]);
    return std::vector<void *>{};
  };
  same_on_any_threads("sha256_search", GK_OP_SHA256_SEARCH, p, pointers, [&](const gk_sha256_search &done) {
    CHECK(done.hits_found > 600 && done.hits_found < 1000);
    std::vector<std::byte> bytes(hits.size() * sizeof hits[0]);
    std::memcpy(bytes.data(), hits.data(), bytes.size());
    return bytes;
  });
}

void matmul_pow() {
  std::vector<gk_pow_share> shares(64);
  std::vector<uint64_t> folds(5 * 3);
  gk_matmul_pow p{};
  p.struct_size = sizeof p;
  p.profile = GK_POW_I8;
  p.m = 5 * 64, p.n = 3 * 64, p.k = 512;
  for (int i = 0; i < 32; ++i) p.nonce_seed[i] = uint8_t(i);
  std::memset(p.target, 0x80, sizeof p.target);
  p.shares = shares.data();
  p.shares_capacity = uint32_t(shares.size());
  p.folds = folds.data();
  const auto pointers = [&] {
    std::memset(shares.data(), 0x7e, shares.size() * sizeof shares[0]);
    std::ranges::fill(folds, 0u);
    return std::vector<void *>{nullptr, nullptr};
  };
  same_on_any_threads("matmul_pow", GK_OP_MATMUL_POW, p, pointers, [&](const gk_matmul_pow &done) {
    CHECK(done.shares_found > 0);
    std::vector<std::byte> bytes(shares.size() * sizeof shares[0] + folds.size() * 8);
    std::memcpy(bytes.data(), shares.data(), shares.size() * sizeof shares[0]);
    std::memcpy(bytes.data() + shares.size() * sizeof shares[0], folds.data(), folds.size() * 8);
    return bytes;
  });
}

}  // namespace

int main() {
#if defined(GONKA_AMX_MODEL)
  if (!cpu::this_cpu().avx512) return std::printf("skipped: what surrounds AMX's tiles needs AVX-512\n"), 77;
#endif
  // gemm's cases, which are smaller, have their own such check in gemm.cpp.
  for (const int64_t m : {3, 130}) {
    gemm(GK_F32, GK_F32, m, 331, 700, GK_EPILOGUE_NONE);
    gemm(GK_I8, GK_I32, m, 331, 700, GK_EPILOGUE_NONE);
  }
  gemm(GK_BF16, GK_BF16, 61, 200, 520, GK_EPILOGUE_SWIGLU);
  for (const uint32_t type : {GK_F32, GK_F16, GK_BF16}) attention(type, type == GK_F16);
  normal_fill(GK_NORMAL_MURMUR3, GK_F32);
  normal_fill(GK_NORMAL_PCG64, GK_F64);
  normal_fill(GK_NORMAL_PCG64, GK_F16);
  sha256_search();
  matmul_pow();
  return check_summary();
}
