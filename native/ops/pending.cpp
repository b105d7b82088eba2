#include "op.hpp"
namespace gonka {
#define PENDING(NAME, OP, T)                                          \
  extern const op_spec NAME##_op;                                     \
  const op_spec NAME##_op = {                                         \
      OP,        #NAME,   "op",                                       \
      sizeof(T), false,   [](const void *, gk_error *e) noexcept { return fail(e, GK_UNSUPPORTED, "pending"); }, \
      nullptr,   nullptr, nullptr};
PENDING(attention, GK_OP_ATTENTION, gk_attention)
PENDING(matmul_pow, GK_OP_MATMUL_POW, gk_matmul_pow)
PENDING(sha256_search, GK_OP_SHA256_SEARCH, gk_sha256_search)
PENDING(normal_fill, GK_OP_NORMAL_FILL, gk_normal_fill)
PENDING(rms_norm, GK_OP_RMS_NORM, gk_rms_norm)
PENDING(rope, GK_OP_ROPE, gk_rope)
PENDING(silu_mul, GK_OP_SILU_MUL, gk_silu_mul)
PENDING(householder, GK_OP_HOUSEHOLDER, gk_householder)
PENDING(gather, GK_OP_GATHER, gk_gather)
PENDING(l2_normalize, GK_OP_L2_NORMALIZE, gk_l2_normalize)
}  // namespace gonka
