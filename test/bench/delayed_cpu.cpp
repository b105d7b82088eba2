// The CPU backend with a planted slow-down: after each call of an op, GONKA_TEST_DELAY_LOOPS turns of a loop of two
// dependent instructions. The variable is read at every call, so that a test can set it.
#include <cstdlib>

#include "backend.hpp"

namespace {

gk_status delayed_run(gk_stream *stream, uint32_t op, void *problem, int dry_run, gk_error *err) {
  const gk_status status = gonka::cpu::backend().run(stream, op, problem, dry_run, err);
  if (dry_run == 0) {
    const char *text = std::getenv("GONKA_TEST_DELAY_LOOPS");
    for (long left = text == nullptr ? 0 : std::atol(text); left > 0; --left) __asm__ volatile("" : "+r"(left));
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
