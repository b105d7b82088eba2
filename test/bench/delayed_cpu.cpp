// The CPU backend with a planted slow-down: after each call of an op, GONKA_TEST_DELAY_LOOPS turns of a loop of two
// instructions. The variable is read at every call, so that a test can set it. GONKA_TEST_DELAY_FILE: only a library whose
// file name contains this is slowed, so that two copies that are the same byte for byte can be held against each other.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

#include "backend.hpp"

namespace {

bool is_slow() {
  const char *wanted = std::getenv("GONKA_TEST_DELAY_FILE");
  if (wanted == nullptr) return true;
  static const char *own = [] {
    Dl_info info{};
    return dladdr(reinterpret_cast<void *>(&is_slow), &info) == 0 ? "" : info.dli_fname;
  }();
  return std::strstr(own, wanted) != nullptr;
}

void spin(long turns) {
  if (turns <= 0) return;
#if defined(__x86_64__)
  __asm__ volatile("1: sub $1, %0\n\tjnz 1b" : "+r"(turns) : : "cc");
#elif defined(__aarch64__)
  __asm__ volatile("1: subs %0, %0, #1\n\tb.ne 1b" : "+r"(turns) : : "cc");
#else
  for (; turns > 0; --turns) __asm__ volatile("" : "+r"(turns));
#endif
}

gk_status delayed_run(gk_stream *stream, uint32_t op, void *problem, int dry_run, gk_error *err) {
  const gk_status status = gonka::cpu::backend().run(stream, op, problem, dry_run, err);
  if (dry_run == 0) {
    const char *text = std::getenv("GONKA_TEST_DELAY_LOOPS");
    if (text != nullptr && is_slow()) spin(std::atol(text));
  }
  return status;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const gk_backend *gk_backend_entry(uint32_t host_abi_major) {
  if (host_abi_major != GK_ABI_MAJOR) return nullptr;
  static const gk_backend table = [] {
    gk_backend copy = gonka::cpu::backend();
    copy.run = delayed_run;
    return copy;
  }();
  return &table;
}
