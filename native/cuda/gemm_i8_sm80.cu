// gemm of i8 operands on mma.sync; see device/gemm_mma.cuh.
#include "device/gemm_mma.cuh"

namespace gonka::cuda {

void launch_gemm_mma_i8(gemm_args &a, context &ctx) {
  launch_gemm_mma<i8>(a, ctx);
}

}  // namespace gonka::cuda
