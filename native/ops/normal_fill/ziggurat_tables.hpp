// The ziggurat's constants, computed by the compiler. exp and log are evaluated in double-double arithmetic and rounded
// once, so the tables do not depend on any math library.
#pragma once

#include <bit>

#include "ziggurat.hpp"

namespace gonka {
namespace double_double {

struct number {
  double high, low;  // value is the sum; |low| <= ulp(high) / 2
};

constexpr number two_sum(double a, double b) {
  const double s = a + b, bb = s - a;
  return {s, (a - (s - bb)) + (b - bb)};
}

// Dekker's exact product; operands here are far from the limits where the split would overflow.
constexpr number two_product(double a, double b) {
  const double ta = 134217729.0 * a, tb = 134217729.0 * b;
  const double a_high = ta - (ta - a), a_low = a - a_high, b_high = tb - (tb - b), b_low = b - b_high;
  const double p = a * b;
  return {p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low};
}

constexpr number add(number a, number b) {
  const number s = two_sum(a.high, b.high), t = two_sum(a.low, b.low);
  const number u = two_sum(s.high, s.low + t.high);
  return two_sum(u.high, u.low + t.low);
}

constexpr number multiply(number a, number b) {
  const number p = two_product(a.high, b.high);
  return two_sum(p.high, p.low + (a.high * b.low + a.low * b.high));
}

constexpr number divide(number a, double b) {
  const double q = a.high / b;
  const number p = two_product(q, b);
  return two_sum(q, ((a.high - p.high) - p.low + a.low) / b);
}

// e^x for |x| < 16: Taylor on x/64, then six squarings of e^(x/64) - 1, which keep the bits near 1.
constexpr number exp(number x) {
  const number r = {x.high / 64, x.low / 64};
  number term = r, minus_one = r;
  for (int i = 2; i <= 20; ++i) {
    term = divide(multiply(term, r), double(i));
    minus_one = add(minus_one, term);
  }
  for (int i = 0; i < 6; ++i) minus_one = add(multiply(minus_one, minus_one), {2 * minus_one.high, 2 * minus_one.low});
  return add({1, 0}, minus_one);
}

// Newton on exp; the correction term of third order makes four steps from any starting point here more than enough.
constexpr number log(double v) {
  number y = {0, 0};
  for (int i = 0; i < 12; ++i) {
    const number ratio = multiply({v, 0}, exp({-y.high, -y.low}));
    const number e = add(ratio, {-1, 0});  // v / e^y - 1
    const double limited = e.high > 1 ? 1 : e.high;
    y = limited == e.high ? add(y, add(e, multiply({-0.5, 0}, multiply(e, e)))) : add(y, {0.5, 0});
    if (e.high < 1e-11 && e.high > -1e-11) break;
  }
  return y;
}

constexpr double sqrt(double v) {
  double s = v > 1 ? v : 1;
  for (int i = 0; i < 40; ++i) s = 0.5 * (s + v / s);
  const number square = two_product(s, s);
  return two_sum(s, ((v - square.high) - square.low) / (2 * s)).high;
}

}  // namespace double_double

// Strips of equal area from the tail inwards, in double precision. The strip area is the original's, six units in the
// last place above the exact one; the tables must agree in every bit, so its recurrence is followed as it was.
consteval ziggurat_tables make_ziggurat_tables() {
  constexpr double area = 0.004928673233974652, scale = 0x1p52;
  const auto to_integer = [](double v) {  // nearest, ties to even; v in [0, 2^53)
    const uint64_t whole = uint64_t(v);
    const double rest = v - double(whole);
    return whole + (rest > 0.5 || (rest == 0.5 && (whole & 1)));
  };
  ziggurat_tables t{};
  double x = k_ziggurat_r;
  t.width[255] = x / scale;
  t.height[255] = double_double::exp({-0.5 * x * x, 0}).high;
  t.width[0] = area / t.height[255] / scale;
  t.height[0] = 1;
  t.inside[0] = to_integer(x * t.height[255] / area * scale);
  t.inside[1] = 0;
  for (int i = 254; i > 0; --i) {
    const double inner = double_double::sqrt(-2 * double_double::log(area / x + t.height[i + 1]).high);
    t.inside[i + 1] = to_integer(inner / x * scale);
    t.width[i] = inner / scale;
    t.height[i] = double_double::exp({-0.5 * inner * inner, 0}).high;
    // NumPy's table holds the neighbour of the correctly rounded value here.
    if (i == 38) t.height[i] = std::bit_cast<double>(std::bit_cast<uint64_t>(t.height[i]) + 1);
    x = inner;
  }
  return t;
}

}  // namespace gonka
