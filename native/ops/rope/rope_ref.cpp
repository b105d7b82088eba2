// Su et al., RoFormer, arXiv 2104.09864, equation 34; the two layouts differ only in which elements form a pair.
#include "case_data.hpp"
#include "rope.hpp"

namespace gonka {

void rope_reference(void *problem, operand_pointers pointers) {
  const auto &p = *static_cast<const gk_rope *>(problem);
  void *const x = pointers[k_rope_x];
  const auto *table = static_cast<const float *>(pointers[k_rope_table]);
  const auto *positions = static_cast<const int32_t *>(pointers[k_rope_positions]);
  const int64_t pairs = p.rotary_dim / 2;
  for (int64_t t = 0; t < p.tokens; ++t)
    for (int64_t h = 0; h < p.heads; ++h)
      for (int64_t i = 0; i < pairs; ++i) {
        const int64_t head = t * p.token_stride + h * p.head_stride;
        const int64_t first = head + (p.layout == GK_ROPE_ADJACENT ? 2 * i : i);
        const int64_t second = head + (p.layout == GK_ROPE_ADJACENT ? 2 * i + 1 : i + pairs);
        const double cosine = table[(positions[t] * pairs + i) * 2], sine = table[(positions[t] * pairs + i) * 2 + 1];
        const double a = read_element(p.type, x, first), b = read_element(p.type, x, second);
        write_element(p.type, x, first, a * cosine - b * sine);
        write_element(p.type, x, second, a * sine + b * cosine);
      }
}

}  // namespace gonka
