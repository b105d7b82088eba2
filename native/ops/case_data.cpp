#include "case_data.hpp"

#include <cstring>
#include <limits>

#include "number.hpp"

namespace gonka {

uint64_t seeded_values::next() {
  uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

double seeded_values::uniform(double low, double high) {
  return low + (high - low) * double(next() >> 11) * 0x1p-53;
}

double seeded_values::normal() {
  double sum = -6;
  for (int i = 0; i < 6; ++i) {
    const uint64_t bits = next();
    sum += double(bits >> 32) * 0x1p-32 + double(bits & 0xffffffff) * 0x1p-32;
  }
  return sum;
}

int64_t seeded_values::below(int64_t count) {
  return int64_t(next() % uint64_t(count));
}

double read_element(uint32_t dtype, const void *base, uint64_t index) {
  const auto load = [&]<class T>(T value) {
    std::memcpy(&value, static_cast<const char *>(base) + index * sizeof value, sizeof value);
    return value;
  };
  switch (dtype) {
    case GK_F32:
      return load(float{});
    case GK_F16:
      return f16_to_f32(load(uint16_t{}));
    case GK_BF16:
      return bf16_to_f32(load(uint16_t{}));
    case GK_F64:
      return load(double{});
    case GK_I32:
      return load(int32_t{});
    case GK_I8:
      return load(int8_t{});
    default:
      return std::numeric_limits<double>::quiet_NaN();
  }
}

void write_element(uint32_t dtype, void *base, uint64_t index, double value) {
  const auto store = [&]<class T>(T v) { std::memcpy(static_cast<char *>(base) + index * sizeof v, &v, sizeof v); };
  switch (dtype) {
    case GK_F32:
      return store(float(value));
    case GK_F16:
      return store(f32_to_f16(float(value)));
    case GK_BF16:
      return store(f32_to_bf16(float(value)));
    case GK_F64:
      return store(value);
    case GK_I32:
      return store(int32_t(value));
    case GK_I8:
      return store(int8_t(value));
  }
}

double round_to(uint32_t dtype, double value) {
  double element = 0;
  write_element(dtype, &element, 0, value);
  return read_element(dtype, &element, 0);
}

double unit_roundoff(uint32_t dtype) {
  return dtype == GK_F16 ? 0x1p-11 : dtype == GK_BF16 ? 0x1p-8 : dtype == GK_F64 ? 0x1p-53 : 0x1p-24;
}

double smallest_step(uint32_t dtype) {
  return dtype == GK_F16 ? 0x1p-24 : dtype == GK_BF16 ? 0x1p-133 : dtype == GK_F64 ? 0x1p-1074 : 0x1p-149;
}

double largest_finite(uint32_t dtype) {
  return dtype == GK_F16    ? 65504
         : dtype == GK_BF16 ? 0x1.fep127
         : dtype == GK_F64  ? std::numeric_limits<double>::max()
                            : double(std::numeric_limits<float>::max());
}

built_case start_case(const op_spec &spec, std::shared_ptr<void> problem, uint32_t absent) {
  built_case built;
  built.problem = problem;
  built.operands = spec.operands(problem.get());
  for (size_t i = 0; i < built.operands.size(); ++i) {
    const bool present = (absent >> i & 1) == 0;
    built.present.push_back(present);
    built.data.emplace_back(present ? built.operands[i].extent_bytes() : 0, std::byte{0xff});
  }
  return built;
}

void error_measure::add(int64_t index, double got, double want, double bound) {
  if ((std::isnan(got) && std::isnan(want)) || got == want) {
    if (std::isfinite(want)) {
      want_squares_ += want * want;
      ++count_;
    }
    return;
  }
  const double overflow = largest_finite(dtype_) * (1 + unit_roundoff(dtype_));
  const double g = std::isinf(got) ? std::copysign(overflow, got) : got;
  const double w = std::isinf(want) ? std::copysign(overflow, want) : want;
  double ratio = std::abs(g - w) / bound;
  if (!(ratio < std::numeric_limits<double>::infinity())) ratio = std::numeric_limits<double>::infinity();
  if (ratio > result_.worst) {
    result_.worst = ratio;
    result_.worst_index = index;
    result_.got = got;
    result_.want = want;
  }
  if (std::isnan(g) || std::isnan(w)) return;
  error_squares_ += (g - w) * (g - w);
  want_squares_ += w * w;
  ++count_;
}

comparison error_measure::finish(double relative_limit) {
  const double norm = std::sqrt(want_squares_);
  const double steps = smallest_step(dtype_) * std::sqrt(double(count_));
  // Where everything wanted is zero the ratio has no meaning; elements are then held to their own bounds alone.
  result_.aggregate = norm > 0 ? std::sqrt(error_squares_) / norm : 0;
  result_.aggregate_limit = norm > 0 ? relative_limit + steps / norm : 0;
  return result_;
}

comparison worse_of(const comparison &a, const comparison &b) {
  const auto badness = [](const comparison &c) {
    const double aggregate = c.aggregate_limit > 0 ? c.aggregate / c.aggregate_limit : c.aggregate > 0 ? 2.0 : 0.0;
    return aggregate > c.worst ? aggregate : c.worst;
  };
  return badness(b) > badness(a) ? b : a;
}

}  // namespace gonka
