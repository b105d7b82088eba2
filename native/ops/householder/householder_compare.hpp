// How far a reflected row may be from the reference's.
#pragma once

#include <cstdint>
#include <vector>

namespace gonka {

// F32: the bound of gk_householder plus rounding. Half precision: every step is rounded where the reference rounds, so
// only the F32 (or better) sum is free; its error may move the rounded dot product by one unit, and each later rounding
// by one unit of its own result.
class reflection_bounds {
 public:
  // x: the rows before, dense; v: the reflector.
  reflection_bounds(uint32_t type, int64_t columns, const std::vector<double> &x, const std::vector<double> &v);

  // Largest |got - want| of element i of the rows, which is `value` in the reference.
  double operator()(int64_t i, double value) const;
  // Of the relative error over all.
  double aggregate() const;

 private:
  uint32_t type_;
  int64_t columns_;
  std::vector<double> v_, norm_, dot_;
  double norm_v_ = 0;
};

}  // namespace gonka
