// gemm of f16 operands on mma.sync; see device/gemm_mma.cuh.
#include "device/gemm_mma.cuh"

namespace gonka::cuda {

void launch_gemm_mma_f16(gemm_args &a, context &ctx) {
  launch_gemm_mma<f16>(a, ctx);
}

}  // namespace gonka::cuda
