// The problems that `bench` times, from their JavaScript form.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "gonka_backend.h"

namespace gonka::addon {

// A problem to time with what its host pointers point into.
struct bench_problem {
  gk_op op = GK_OP_GEMM;
  bool pack_b = false;
  union any_problem {
    gk_gemm gemm;
    gk_attention attention;
    gk_matmul_pow matmul_pow;
    gk_sha256_search search;
    gk_normal_fill fill;
    gk_rms_norm rms_norm;
    gk_rope rope;
    gk_silu_mul silu_mul;
    gk_householder householder;
    gk_gather gather;
    gk_l2_normalize l2_normalize;
    gk_permuted_distance distance;
  } problem{};
  std::vector<int64_t> cu_q, cu_k;
  std::vector<gk_sha256_hit> hits;
  std::vector<gk_pow_share> shares;
  std::vector<uint32_t> seeds32;
  std::vector<uint64_t> seeds64;
};

// from: a BenchProblem of lib/native-api/bench.ts. Throws a JS error that names the field.
std::shared_ptr<bench_problem> to_bench_problem(const Napi::Object &from);

}  // namespace gonka::addon
