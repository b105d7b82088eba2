#include "f32_avx512.hpp"
#include "rope_rows.hpp"

namespace gonka::cpu {

void rope_avx512(const gk_rope &p, void *const *pointers, int64_t begin, int64_t end) {
  switch (p.type) {
    case GK_F32:
      return rope_of_type<f32_avx512, GK_F32>(p, pointers, begin, end);
    case GK_F16:
      return rope_of_type<f32_avx512, GK_F16>(p, pointers, begin, end);
    default:
      return rope_of_type<f32_avx512, GK_BF16>(p, pointers, begin, end);
  }
}

}  // namespace gonka::cpu
