// The short float formats: every pattern and every rounding boundary.
#include "number.hpp"

#include <cmath>

#include "check.hpp"

using namespace gonka;

int main() {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const float f = f16_to_f32(uint16_t(h));
    if (std::isnan(f)) {
      CHECK(std::isnan(f16_to_f32(f32_to_f16(f))));
      continue;
    }
    CHECK_EQ(f32_to_f16(f), uint16_t(h));
    // Half-way to the next magnitude goes to even, just beyond it goes up.
    const float next = f16_to_f32(uint16_t(h + 1));
    if ((h & 0x7fff) < 0x7bff) {
      const float middle = float((double(f) + double(next)) / 2);
      CHECK_EQ(f32_to_f16(middle), uint16_t(h & 1 ? h + 1 : h));
      CHECK_EQ(f32_to_f16(std::nextafterf(middle, next)), uint16_t(h + 1));
    }
    const float b = bf16_to_f32(uint16_t(h));
    if (!std::isnan(b)) CHECK_EQ(f32_to_bf16(b), uint16_t(h));
  }
  CHECK_EQ(f32_to_f16(65519.f), uint16_t(0x7bff));
  CHECK_EQ(f32_to_f16(65520.f), uint16_t(0x7c00));
  CHECK_EQ(e4m3_to_f32(0x7e), 448.f);
  CHECK(std::isnan(e4m3_to_f32(0x7f)));
  CHECK_EQ(e4m3_to_f32(0x01), 0x1p-9f);
  CHECK_EQ(e5m2_to_f32(0x7b), 57344.f);
  return check_summary();
}
