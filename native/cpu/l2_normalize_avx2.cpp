#include "f32_avx2.hpp"
#include "l2_normalize_rows.hpp"

namespace gonka::cpu {

void l2_normalize_avx2(const gk_l2_normalize &p, void *const *pointers, int64_t begin, int64_t end) {
  switch (p.type) {
    case GK_F32:
      return l2_normalize_of_type<f32_avx2, GK_F32>(p, pointers, begin, end);
    case GK_F16:
      return l2_normalize_of_type<f32_avx2, GK_F16>(p, pointers, begin, end);
    default:
      return l2_normalize_of_type<f32_avx2, GK_BF16>(p, pointers, begin, end);
  }
}

}  // namespace gonka::cpu
