#include "implementation.hpp"
namespace gonka::cpu {
#define PENDING(NAME)                                      \
  std::span<const implementation> NAME##_list() noexcept { \
    return {};                                             \
  }
PENDING(gemm)
PENDING(matmul_pow)
PENDING(sha256_search)
PENDING(normal_fill)
uint64_t gemm_pack_size(const gk_gemm_pack &, const features &, const char **reason) {
  *reason = "pending";
  return 0;
}
void gemm_pack_into(const gk_gemm_pack &, const void *, const void *, void *, context &) {}
}  // namespace gonka::cpu
