// Building blocks of <op>_cases.cpp: seeded values, element access by type, operand data and comparison.
#pragma once

#include <cmath>
#include <cstdint>

#include "cases.hpp"

namespace gonka {

// FLT_EPSILON, the eps32 of the bounds in gonka_backend.h.
constexpr double k_eps32 = 0x1p-23;

// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, the same everywhere.
class seeded_values {
 public:
  explicit seeded_values(uint64_t seed) : state_(seed) {}
  uint64_t next();
  double uniform(double low, double high);
  double normal();               // approximately standard: sum of 12 uniforms less 6, so |value| < 6
  int64_t below(int64_t count);  // in [0, count), count >= 1

 private:
  uint64_t state_;
};

// Element `index` after base; F32, F16, BF16, F64, I32 and I8. write rounds to nearest even, from double through F32.
double read_element(uint32_t dtype, const void *base, uint64_t index);
void write_element(uint32_t dtype, void *base, uint64_t index, double value);

double round_to(uint32_t dtype, double value);  // what reading back after write_element gives

double unit_roundoff(uint32_t dtype);   // largest relative rounding error: F32 2^-24, F16 2^-11, BF16 2^-8
double smallest_step(uint32_t dtype);   // spacing of the subnormals: F32 2^-149, F16 2^-24, BF16 2^-133
double largest_finite(uint32_t dtype);  // F16 65504

// Rounding of value to dtype, at most: half an ulp, or half a subnormal step.
inline double rounding_bound(uint32_t dtype, double value) {
  return std::abs(value) * unit_roundoff(dtype) + 0.5 * smallest_step(dtype);
}

// Aggregate limit for `count` results rounded to dtype from values whose own aggregate error is `error`: two roundings
// of nearly the same value agree unless a boundary lies between, which happens to the share error / u of the results
// (three more allowed for chance) and costs one unit, 2u. F32 results carry the error itself.
inline double rounded_aggregate(uint32_t dtype, double error, int64_t count) {
  const double u = unit_roundoff(dtype);
  if (dtype == GK_F32) return error + 2 * u;
  return error + 2 * u * std::sqrt(std::fmin(1, error / u + 3 / std::fmax(double(count), 1)));
}

// Operands of problem with data of all-ones bytes (NaN in every float type, -1 in integers): gaps keep it, so a read
// between rows shows. Bit i of absent leaves operand i out.
built_case start_case(const op_spec &spec, std::shared_ptr<void> problem, uint32_t absent = 0);

// Writes value(index) to every element of operand i, in the order of for_each_run; index counts up from 0.
template <class F>
void fill_operand(built_case &built, size_t i, F &&value) {
  if (!built.present[i]) return;
  const operand &o = built.operands[i];
  const uint64_t size = dtype_size(o.dtype);
  int64_t index = 0;
  o.for_each_run([&](uint64_t offset, uint64_t bytes) {
    for (uint64_t j = 0; j < bytes / size; ++j)
      write_element(o.dtype, built.data[i].data() + offset, j, double(value(index++)));
  });
}

// Calls f(element index, got, want) for every element of operand o, in the order of for_each_run.
template <class F>
void for_each_pair(const operand &o, const std::vector<std::byte> &got, const std::vector<std::byte> &want, F &&f) {
  const uint64_t size = dtype_size(o.dtype);
  int64_t index = 0;
  o.for_each_run([&](uint64_t offset, uint64_t bytes) {
    for (uint64_t j = 0; j < bytes / size; ++j, ++index)
      f(index, read_element(o.dtype, got.data() + offset, j), read_element(o.dtype, want.data() + offset, j));
  });
}

// Gathers both error measures of one operand. Equal infinities and NaN against NaN count as equal; an infinity against
// a finite value counts as the first value that rounds to infinity.
class error_measure {
 public:
  explicit error_measure(const operand &o) : dtype_(o.dtype) { result_.operand = o.name; }
  void add(int64_t index, double got, double want, double bound);
  // relative_limit on the aggregate; rounding of subnormal results is allowed for on top.
  comparison finish(double relative_limit);

 private:
  uint32_t dtype_;
  comparison result_;
  double error_squares_ = 0, want_squares_ = 0;
  int64_t count_ = 0;
};

// Compares operand i; bound(element index, want) is the largest |got - want| allowed.
template <class F>
comparison compare_operand(const built_case &problem, size_t i, const std::vector<std::vector<std::byte>> &got,
                           const std::vector<std::vector<std::byte>> &want, double relative_limit, F &&bound) {
  error_measure measure(problem.operands[i]);
  for_each_pair(problem.operands[i], got[i], want[i],
                [&](int64_t index, double g, double w) { measure.add(index, g, w, bound(index, w)); });
  return measure.finish(relative_limit);
}

// Whichever is nearer to, or further beyond, its limits.
comparison worse_of(const comparison &a, const comparison &b);

}  // namespace gonka
