#include "case_data.hpp"
#include "gather.hpp"

namespace gonka {

void gather_reference(void *problem, operand_pointers pointers) {
  const auto &p = *static_cast<const gk_gather *>(problem);
  const auto *row = static_cast<const int32_t *>(pointers[k_gather_row_index]);
  const auto *column = static_cast<const int32_t *>(pointers[k_gather_column_index]);
  for (int64_t r = 0; r < p.rows; ++r)
    for (int64_t c = 0; c < p.columns; ++c) {
      const int64_t from_row = row != nullptr ? row[r] : r;
      const int64_t from_column = column != nullptr ? column[r * p.columns + c] : c;
      write_element(p.out_type, pointers[k_gather_out], r * p.ldo + c,
                    read_element(p.x_type, pointers[k_gather_x], from_row * p.ldx + from_column));
    }
}

}  // namespace gonka
