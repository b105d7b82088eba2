#include <cmath>

#include "case_data.hpp"
#include "l2_normalize.hpp"

namespace gonka {

void l2_normalize_reference(void *problem, operand_pointers pointers) {
  const auto &p = *static_cast<const gk_l2_normalize *>(problem);
  for (int64_t r = 0; r < p.rows; ++r) {
    double squares = 0;
    for (int64_t c = 0; c < p.columns; ++c) {
      const double x = read_element(p.type, pointers[k_l2_normalize_x], r * p.ldx + c);
      squares += x * x;
    }
    const double divisor = std::sqrt(squares) + double(p.eps);
    for (int64_t c = 0; c < p.columns; ++c)
      write_element(p.type, pointers[k_l2_normalize_y], r * p.ldy + c,
                    read_element(p.type, pointers[k_l2_normalize_x], r * p.ldx + c) / divisor);
  }
}

}  // namespace gonka
