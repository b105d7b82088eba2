#include "f32_avx2.hpp"
#include "householder_rows.hpp"

namespace gonka::cpu {

void householder_avx2(const gk_householder &p, void *const *pointers, int64_t begin, int64_t end) {
  switch (p.type) {
    case GK_F32:
      return householder_of_type<f32_avx2, GK_F32>(p, pointers, begin, end);
    case GK_F16:
      return householder_of_type<f32_avx2, GK_F16>(p, pointers, begin, end);
    default:
      return householder_of_type<f32_avx2, GK_BF16>(p, pointers, begin, end);
  }
}

}  // namespace gonka::cpu
