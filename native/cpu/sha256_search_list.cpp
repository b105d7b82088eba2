// Implementations of sha256_search, best first.
#include "sha256_search.hpp"

namespace gonka {
void sha256_search_reference(void *problem, operand_pointers pointers);
}

namespace gonka::cpu {
namespace {

#if defined(__x86_64__)
template <sha256_scan Scan>
void run(void *problem, operand_pointers, context &ctx) {
  sha256_search_with(Scan, *static_cast<gk_sha256_search *>(problem), ctx);
}
#endif

constexpr implementation k_list[] = {
#if defined(__x86_64__)
    {"avx512", [](const void *, const features &cpu) { return cpu.avx512 ? nullptr : "needs AVX-512"; },
     run<sha256_scan_avx512>},
    {"sha", [](const void *, const features &cpu) { return cpu.sha ? nullptr : "needs the SHA extensions"; },
     run<sha256_scan_sha>},
    {"avx2", [](const void *, const features &cpu) { return cpu.avx2 ? nullptr : "needs AVX2"; },
     run<sha256_scan_avx2>},
#endif
    {"ref", [](const void *, const features &) -> const char * { return nullptr; },
     [](void *problem, operand_pointers pointers, context &) { sha256_search_reference(problem, pointers); }}};

}  // namespace

std::span<const implementation> sha256_search_list() noexcept {
  return k_list;
}

}  // namespace gonka::cpu
