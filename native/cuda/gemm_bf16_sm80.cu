// gemm of bf16 operands on mma.sync; see device/gemm_mma.cuh.
#include "device/gemm_mma.cuh"

namespace gonka::cuda {

void launch_gemm_mma_bf16(gemm_args &a, context &ctx) {
  launch_gemm_mma<bf16>(a, ctx);
}

}  // namespace gonka::cuda
