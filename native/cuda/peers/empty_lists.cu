// A peer has one op: its own list takes the place of the weak one here.
#include "implementation.hpp"

namespace gonka::cuda {

#define GONKA_EMPTY_LIST(op)                                           \
  [[gnu::weak]] std::span<const implementation> op##_list() noexcept { \
    return {};                                                         \
  }

GONKA_EMPTY_LIST(gemm)
GONKA_EMPTY_LIST(attention)
GONKA_EMPTY_LIST(matmul_pow)
GONKA_EMPTY_LIST(sha256_search)
GONKA_EMPTY_LIST(normal_fill)
GONKA_EMPTY_LIST(rms_norm)
GONKA_EMPTY_LIST(rope)
GONKA_EMPTY_LIST(silu_mul)
GONKA_EMPTY_LIST(householder)
GONKA_EMPTY_LIST(gather)
GONKA_EMPTY_LIST(l2_normalize)
GONKA_EMPTY_LIST(permuted_distance)

#undef GONKA_EMPTY_LIST

}  // namespace gonka::cuda
