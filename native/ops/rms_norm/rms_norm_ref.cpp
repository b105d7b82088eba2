// Zhang and Sennrich, Root Mean Square Layer Normalization, arXiv 1910.07467, equation 4, with eps under the root.
#include <cmath>

#include "case_data.hpp"
#include "householder/householder.hpp"
#include "rms_norm.hpp"

namespace gonka {

void rms_norm_reference(void *problem, operand_pointers pointers) {
  const auto &p = *static_cast<const gk_rms_norm *>(problem);
  void *const sum = pointers[k_rms_norm_sum];
  void *const source = sum != nullptr ? sum : pointers[k_rms_norm_x];
  const int64_t ld = sum != nullptr ? p.ld_sum : p.ldx;
  for (int64_t r = 0; r < p.rows; ++r) {
    for (int64_t c = 0; sum != nullptr && c < p.columns; ++c) {
      double value = read_element(p.type, pointers[k_rms_norm_x], r * p.ldx + c);
      if (pointers[k_rms_norm_residual] != nullptr)
        value += read_element(p.type, pointers[k_rms_norm_residual], r * p.ld_residual + c);
      write_element(p.type, sum, r * p.ld_sum + c, value);
    }
    if (pointers[k_rms_norm_reflector] != nullptr) {
      gk_householder reflection{};
      reflection.type = p.type;
      reflection.rows = 1;
      reflection.columns = reflection.ldx = p.columns;
      void *const operands[] = {static_cast<char *>(sum) + r * p.ld_sum * dtype_size(p.type),
                                pointers[k_rms_norm_reflector]};
      householder_reference(&reflection, operands);
    }
    double squares = 0;
    for (int64_t c = 0; c < p.columns; ++c) {
      const double x = read_element(p.type, source, r * ld + c);
      squares += x * x;
    }
    const double root = std::sqrt(squares / double(p.columns) + double(p.eps));
    for (int64_t c = 0; c < p.columns; ++c) {
      double x = read_element(p.type, source, r * ld + c) / root;
      if (p.round_before_weight != 0 && p.type != GK_F32) x = round_to(p.type, x);
      write_element(p.type, pointers[k_rms_norm_y], r * p.ldy + c,
                    x * read_element(p.w_type, pointers[k_rms_norm_w], c));
    }
  }
}

}  // namespace gonka
