#include "householder_compare.hpp"

#include <cmath>

#include "case_data.hpp"

namespace gonka {

reflection_bounds::reflection_bounds(uint32_t type, int64_t columns, const std::vector<double> &x,
                                     const std::vector<double> &v)
    : type_(type), columns_(columns), v_(v) {
  for (const double value : v_) norm_v_ += value * value;
  norm_v_ = std::sqrt(norm_v_);
  const size_t rows = columns == 0 ? 0 : x.size() / size_t(columns);
  norm_.resize(rows);
  dot_.resize(rows);
  for (size_t i = 0; i < x.size(); ++i) {
    norm_[i / size_t(columns)] += x[i] * x[i];
    dot_[i / size_t(columns)] += x[i] * v_[i % size_t(columns)];
  }
  for (double &squares : norm_) squares = std::sqrt(squares);
}

double reflection_bounds::operator()(int64_t i, double value) const {
  const size_t r = size_t(i / columns_), c = size_t(i % columns_);
  const double relative = 2 * (double(columns_) + 8) * k_eps32;
  const double rounding = 2 * rounding_bound(type_, value);
  const double sum_error = relative * norm_[r] * norm_v_ * std::abs(v_[c]);
  if (type_ == GK_F32) return sum_error + rounding;
  // One unit (2u) of the dot product, one of 2 dot v, as the products' own rounding is the same on both sides.
  const double u = unit_roundoff(type_);
  const double reflected = 2 * (std::abs(dot_[r]) + u * norm_[r] * norm_v_) * std::abs(v_[c]);
  return sum_error + 2 * u * reflected + 2 * u * reflected + 2 * smallest_step(type_) * (1 + std::abs(v_[c])) +
         rounding;
}

double reflection_bounds::aggregate() const {
  return type_ == GK_F32 ? (2 * std::sqrt(double(columns_)) + 8) * k_eps32 : 4 * unit_roundoff(type_);
}

}  // namespace gonka
