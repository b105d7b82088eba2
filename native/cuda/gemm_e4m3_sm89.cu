// gemm of e4m3 operands on the F8 units of mma.sync; see device/gemm_mma.cuh.
#include "device/gemm_mma.cuh"

namespace gonka::cuda {

void launch_gemm_mma_e4m3_units(gemm_args &a, context &ctx) {
  launch_gemm_mma<f8_units<e4m3>>(a, ctx);
}

}  // namespace gonka::cuda
