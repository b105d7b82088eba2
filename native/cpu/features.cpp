#include "features.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace gonka::cpu {
namespace {

struct level {
  const char *name;
  bool features::*field;
};

// In order of level: naming one keeps it and everything before it. SHA is a level of its own kind but sits with SSE.
constexpr level k_levels[] = {{"sse41", &features::sse41},
                              {"sha", &features::sha},
                              {"avx2", &features::avx2},
                              {"avx512", &features::avx512},
                              {"avx512vnni", &features::avx512vnni},
                              {"avx512bf16", &features::avx512bf16},
                              {"amx_int8", &features::amx_int8},
                              {"amx_bf16", &features::amx_bf16},
                              {"neon", &features::neon},
                              {"neondot", &features::neondot},
                              {"i8mm", &features::i8mm}};

// A set that builds on another cannot outlive it.
void drop_dependents(features &f) {
  if (!f.sse41) f.sha = false;
  if (!f.avx2) f.avx512 = false;
  if (!f.avx512) f.avx512vnni = f.avx512bf16 = f.amx_int8 = f.amx_bf16 = false;
  if (!f.neon) f.neondot = false;
  if (!f.neondot) f.i8mm = false;
}

#if defined(__x86_64__)
uint64_t xcr0() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

// Linux hands out AMX tile state per process on request (arch_prctl ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA = 18).
bool request_amx() {
  constexpr long k_arch_req_xcomp_perm = 0x1023;
  return syscall(SYS_arch_prctl, k_arch_req_xcomp_perm, 18) == 0;
}

features detect() {
  features f;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return f;
  const bool osxsave = c & (1u << 27);
  const bool avx = c & (1u << 28), fma = c & (1u << 12), f16c = c & (1u << 29);
  f.sse41 = (c & (1u << 19)) && (c & (1u << 9));
  const uint64_t state = osxsave ? xcr0() : 0;
  const bool ymm = (state & 0x6) == 0x6, zmm = (state & 0xe6) == 0xe6, tiles = (state & 0x60000) == 0x60000;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    f.sha = f.sse41 && (b & (1u << 29));
    f.avx2 = ymm && avx && fma && f16c && (b & (1u << 5)) && (b & (1u << 8));
    const uint32_t avx512_bits = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;  // F DQ CD BW VL
    f.avx512 = f.avx2 && zmm && (b & avx512_bits) == avx512_bits;
    f.avx512vnni = f.avx512 && (c & (1u << 11));
    const bool amx_tile = d & (1u << 24), amx_int8 = d & (1u << 25), amx_bf16 = d & (1u << 22);
    if (f.avx512 && tiles && amx_tile && (amx_int8 || amx_bf16) && request_amx()) {
      f.amx_int8 = amx_int8;
      f.amx_bf16 = amx_bf16;
    }
#if defined(GONKA_AMX_MODEL)
    f.amx_int8 = f.amx_bf16 = f.avx512;  // the model of amx_tile.hpp takes their place
#endif
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) f.avx512bf16 = f.avx512 && (a & (1u << 5));
  }
  uint32_t brand[12];
  bool complete = true;
  for (uint32_t i = 0; i < 3; ++i)
    complete =
        complete && __get_cpuid(0x80000002 + i, &brand[4 * i], &brand[4 * i + 1], &brand[4 * i + 2], &brand[4 * i + 3]);
  if (complete) {
    f.model.assign(reinterpret_cast<const char *>(brand), sizeof brand);
    f.model = f.model.substr(0, f.model.find('\0'));
    const auto first = f.model.find_first_not_of(' '), last = f.model.find_last_not_of(' ');
    f.model = first == std::string::npos ? "" : f.model.substr(first, last - first + 1);
  }
  return f;
}
#elif defined(__aarch64__)
features detect() {
  features f;
  f.neon = true;  // part of the base architecture
#if defined(__linux__)
  constexpr unsigned long k_hwcap_asimddp = 1ul << 20;  // arm64 elf_hwcaps, HWCAP_ASIMDDP
  constexpr unsigned long k_hwcap2_i8mm = 1ul << 13;    // HWCAP2_I8MM
  f.neondot = (getauxval(AT_HWCAP) & k_hwcap_asimddp) != 0;
  f.i8mm = f.neondot && (getauxval(AT_HWCAP2) & k_hwcap2_i8mm) != 0;
#endif
  return f;
}
#else
features detect() {
  return {};
}
#endif

void apply_override(features &f, const char *text) {
  std::istringstream words{std::string(text)};
  for (std::string word; std::getline(words, word, ',');) {
    if (word.empty()) continue;
    if (word == "ref" || word == "none") {
      for (const level &l : k_levels) f.*l.field = false;
      continue;
    }
    const bool minus = word[0] == '-';
    const std::string name = minus ? word.substr(1) : word;
    bool known = false;
    for (const level &l : k_levels) {
      if (known && !minus) f.*l.field = false;
      if (name != l.name) continue;
      known = true;
      if (minus) f.*l.field = false;
    }
    if (!known)
      std::fprintf(stderr, "GONKA_CPU_FEATURES: unknown level '%s'; expected ref, sse41, sha, avx2, avx512, ...\n",
                   name.c_str());
  }
  drop_dependents(f);
}

}  // namespace

const features &detected_cpu() {
  static const features cached = detect();
  return cached;
}

const features &this_cpu() {
  static const features cached = [] {
    features f = detected_cpu();
    if (const char *text = std::getenv("GONKA_CPU_FEATURES"); text != nullptr && *text != '\0') apply_override(f, text);
    return f;
  }();
  return cached;
}

std::string describe(const features &f) {
  std::string out;
  for (const level &l : k_levels) {
    if (!(f.*l.field)) continue;
    if (!out.empty()) out += ' ';
    out += l.name;
  }
  return out.empty() ? "baseline" : out;
}

}  // namespace gonka::cpu
