// Householder 1958, Unitary Triangularization of a Nonsymmetric Matrix. round_to does nothing lasting for F32, where
// only the result is rounded.
#include "case_data.hpp"
#include "householder.hpp"

namespace gonka {

void householder_reference(void *problem, operand_pointers pointers) {
  const auto &p = *static_cast<const gk_householder *>(problem);
  void *const x = pointers[k_householder_x];
  const void *const v = pointers[k_householder_v];
  const auto round = [&](double value) { return p.type == GK_F32 ? value : round_to(p.type, value); };
  for (int64_t r = 0; r < p.rows; ++r) {
    double dot = 0;
    for (int64_t c = 0; c < p.columns; ++c)
      dot += round(read_element(p.type, x, r * p.ldx + c) * read_element(p.type, v, c));
    const double twice = round(2 * round(dot));
    for (int64_t c = 0; c < p.columns; ++c)
      write_element(p.type, x, r * p.ldx + c,
                    read_element(p.type, x, r * p.ldx + c) - round(twice * read_element(p.type, v, c)));
  }
}

}  // namespace gonka
