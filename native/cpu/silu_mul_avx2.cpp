#include "f32_avx2.hpp"
#include "silu_mul_rows.hpp"

namespace gonka::cpu {

void silu_mul_avx2(const gk_silu_mul &p, void *const *pointers, int64_t begin, int64_t end) {
  switch (p.type) {
    case GK_F32:
      return silu_mul_of_type<f32_avx2, GK_F32>(p, pointers, begin, end);
    case GK_F16:
      return silu_mul_of_type<f32_avx2, GK_F16>(p, pointers, begin, end);
    default:
      return silu_mul_of_type<f32_avx2, GK_BF16>(p, pointers, begin, end);
  }
}

}  // namespace gonka::cpu
