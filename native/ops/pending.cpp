#include "op.hpp"
namespace gonka {
#define PENDING(NAME, OP, T)                                          \
  extern const op_spec NAME##_op;                                     \
  const op_spec NAME##_op = {                                         \
      OP,        #NAME,   "op",                                       \
      sizeof(T), false,   [](const void *, gk_error *e) noexcept { return fail(e, GK_UNSUPPORTED, "pending"); }, \
      nullptr,   nullptr, nullptr};
PENDING(matmul_pow, GK_OP_MATMUL_POW, gk_matmul_pow)
}  // namespace gonka
