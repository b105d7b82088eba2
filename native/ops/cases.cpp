#include "cases.hpp"

#include <map>

namespace gonka {

std::vector<op_case> gemm_cases();
std::vector<op_case> attention_cases();
std::vector<op_case> matmul_pow_cases();
std::vector<op_case> sha256_search_cases();
std::vector<op_case> normal_fill_cases();
std::vector<op_case> rms_norm_cases();
std::vector<op_case> rope_cases();
std::vector<op_case> silu_mul_cases();
std::vector<op_case> householder_cases();
std::vector<op_case> gather_cases();
std::vector<op_case> l2_normalize_cases();
std::vector<op_case> permuted_distance_cases();

const std::vector<op_case> &cases_of(gk_op op) {
  static const std::map<gk_op, std::vector<op_case>> all = {
      {GK_OP_GEMM, gemm_cases()},
      {GK_OP_ATTENTION, attention_cases()},
      {GK_OP_MATMUL_POW, matmul_pow_cases()},
      {GK_OP_SHA256_SEARCH, sha256_search_cases()},
      {GK_OP_NORMAL_FILL, normal_fill_cases()},
      {GK_OP_RMS_NORM, rms_norm_cases()},
      {GK_OP_ROPE, rope_cases()},
      {GK_OP_SILU_MUL, silu_mul_cases()},
      {GK_OP_HOUSEHOLDER, householder_cases()},
      {GK_OP_GATHER, gather_cases()},
      {GK_OP_L2_NORMALIZE, l2_normalize_cases()},
      {GK_OP_PERMUTED_DISTANCE, permuted_distance_cases()},
  };
  static const std::vector<op_case> none;
  const auto found = all.find(op);
  return found == all.end() ? none : found->second;
}

}  // namespace gonka
