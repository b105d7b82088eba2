// matmul_pow: which kernel folds, best first.
#include "device/dispatch.hpp"
#include "implementation.hpp"
#include "matmul_pow/matmul_pow.hpp"

namespace gonka::cuda {

void run_matmul_pow_mma(void *problem, places at, context &ctx);
void run_matmul_pow_wgmma(void *problem, places at, context &ctx);

namespace {

constexpr implementation k_list[] = {
    {"sm90_wgmma",
     [](const void *, const capability &can) -> const char * {
       return can.compute_capability != 90 ? "wgmma exists on compute capability 9.0 only" : nullptr;
     },
     [](const void *, places at) -> const char * {
       return aligned_16(at[k_pow_a]) && aligned_16(at[k_pow_b]) ? nullptr
                                                                 : "bulk copies need operands 16 bytes aligned";
     },
     run_matmul_pow_wgmma, nullptr,
     // By rule, square tiles, wide tiles.
     [](const void *, const capability &) { return 3u; },
     [](const void *problem) {
       const auto &p = *static_cast<const gk_matmul_pow *>(problem);
       const pow_part part = pow_part_of(p);
       return "i8 " + std::to_string(part.rows) + " " + std::to_string(part.columns) + " " + std::to_string(p.k);
     }},
    {"sm80_mma",
     [](const void *, const capability &can) -> const char * {
       return can.compute_capability < 80 ? "mma.sync of I8 needs compute capability 8.0" : nullptr;
     },
     nullptr, run_matmul_pow_mma},
};

}  // namespace

std::span<const implementation> matmul_pow_list() noexcept {
  return k_list;
}

}  // namespace gonka::cuda
