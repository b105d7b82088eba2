#include "f32_avx512.hpp"
#include "rms_norm_rows.hpp"

namespace gonka::cpu {

void rms_norm_avx512(const gk_rms_norm &p, void *const *pointers, int64_t begin, int64_t end) {
  switch (p.type) {
    case GK_F32:
      return rms_norm_of_type<f32_avx512, GK_F32>(p, pointers, begin, end);
    case GK_F16:
      return rms_norm_of_type<f32_avx512, GK_F16>(p, pointers, begin, end);
    default:
      return rms_norm_of_type<f32_avx512, GK_BF16>(p, pointers, begin, end);
  }
}

}  // namespace gonka::cpu
