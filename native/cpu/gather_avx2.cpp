#include "f32_avx2.hpp"
#include "gather_rows.hpp"

namespace gonka::cpu {

void gather_avx2(const gk_gather &p, void *const *pointers, int64_t begin, int64_t end) {
  switch (p.x_type) {
    case GK_F32:
      return gather_of_type<f32_avx2, GK_F32>(p, pointers, begin, end);
    case GK_F16:
      return gather_of_type<f32_avx2, GK_F16>(p, pointers, begin, end);
    default:
      return gather_of_type<f32_avx2, GK_BF16>(p, pointers, begin, end);
  }
}

}  // namespace gonka::cpu
