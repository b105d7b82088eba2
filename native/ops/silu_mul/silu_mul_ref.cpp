// SiLU (swish with beta 1): Hendrycks and Gimpel, arXiv 1606.08415; as a gate: Shazeer, arXiv 2002.05202.
#include <cmath>

#include "case_data.hpp"
#include "silu_mul.hpp"

namespace gonka {

void silu_mul_reference(void *problem, operand_pointers pointers) {
  const auto &p = *static_cast<const gk_silu_mul *>(problem);
  for (int64_t r = 0; r < p.rows; ++r)
    for (int64_t c = 0; c < p.columns; ++c) {
      const double x = read_element(p.type, pointers[k_silu_mul_gate], r * p.ld_gate + c);
      const double up = read_element(p.type, pointers[k_silu_mul_up], r * p.ld_up + c);
      write_element(p.type, pointers[k_silu_mul_out], r * p.ldo + c, x / (1 + std::exp(-x)) * up);
    }
}

}  // namespace gonka
