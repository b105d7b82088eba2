// Instruction sets of this processor that the operating system lets us use. Read once.
#pragma once

#include <string>

namespace gonka::cpu {

struct features {
  bool sse41 = false;
  bool sha = false;
  bool avx2 = false;    // with FMA, F16C and BMI2
  bool avx512 = false;  // F, BW, DQ, VL, CD
  bool avx512vnni = false;
  bool avx512bf16 = false;
  bool amx_int8 = false;
  bool amx_bf16 = false;
  bool neon = false;     // Armv8-A Advanced SIMD
  bool neondot = false;  // FEAT_DotProd
  bool i8mm = false;     // FEAT_I8MM
  std::string model;     // processor brand string
};

// What the hardware and OS offer, less what GONKA_CPU_FEATURES takes away. The variable is a comma-separated list:
// "ref" or "none" (nothing), "avx2" (up to and including that level), or "-avx512bf16" (all but that one). Read at the
// first call; an unknown name is ignored and named on stderr.
const features &this_cpu();
// Before the variable takes anything away.
const features &detected_cpu();

// "avx2 avx512 avx512vnni sha", for device_info.arch.
std::string describe(const features &f);

}  // namespace gonka::cpu
