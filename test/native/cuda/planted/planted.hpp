// Runs a gemm kernel on small problems and says whether anything gave it away.
#pragma once

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "device/runtime.hpp"
#include "number.hpp"
#include "runtime_emulator.hpp"

#if defined(GONKA_TRANSLATED_PTX)
#include "ptx/kernel_table.hpp"
#endif

namespace planted {

using namespace gonka;

struct problem {
  int64_t m, n, k, ld;  // ld of A and B
};

// launch(problem, A, B, D): A [m, ld], B [n, ld] F16, D [m, n] F32. Empty if the result is right and the emulator has
// nothing to say.
template <class F>
std::string run(const problem &p, uint64_t seed, F launch) {
#if defined(GONKA_TRANSLATED_PTX)
  emulator::emulated_translation() = emulator::translated::translation_of;
#endif
  emulator::emulated_options().seed = seed;
  uint32_t state = 12345;
  const auto fill = [&](int64_t rows) {
    std::vector<uint16_t> v(size_t((rows - 1) * p.ld + p.k));
    for (uint16_t &x : v) x = f32_to_f16(float(int(((state = state * 1664525 + 1013904223) >> 24) % 17) - 8) / 8);
    return v;
  };
  const std::vector<uint16_t> a = fill(p.m), b = fill(p.n);
  std::vector<float> d(size_t(p.m * p.n));
  const cuda::device_memory da(0, a.size() * 2), db(0, b.size() * 2), dd(0, d.size() * 4);
  emulator::write(da.data(), a.data(), a.size() * 2);
  emulator::write(db.data(), b.data(), b.size() * 2);
  try {
    launch(p, da.data(), db.data(), dd.data());
  } catch (const cuda::device_error &e) {
    return e.what();
  }
  emulator::read(d.data(), dd.data(), d.size() * 4);
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) {
      float want = 0;  // sums of eighths of eighths: exact
      for (int64_t x = 0; x < p.k; ++x) want += f16_to_f32(a[i * p.ld + x]) * f16_to_f32(b[j * p.ld + x]);
      if (!(d[i * p.n + j] == want)) {
        char text[120];
        std::snprintf(text, sizeof text, "wrong result at %lld, %lld: got %g, want %g", static_cast<long long>(i),
                      static_cast<long long>(j), d[i * p.n + j], want);
        return text;
      }
    }
  return "";
}

// Exit status of the test.
inline int verdict(const std::string &evidence) {
#if defined(PLANTED_BUG)
  std::printf("%s%s\n", evidence.empty() ? "NOT caught" : "caught: ", evidence.c_str());
  return evidence.empty();
#else
  std::printf("%s%s\n", evidence.empty() ? "clean" : "the kernel without a bug: ", evidence.c_str());
  return !evidence.empty();
#endif
}

}  // namespace planted
