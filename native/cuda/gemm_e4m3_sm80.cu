// gemm of e4m3 operands on mma.sync; see device/gemm_mma.cuh.
#include "device/gemm_mma.cuh"

namespace gonka::cuda {

void launch_gemm_mma_e4m3(gemm_args &a, context &ctx) {
  launch_gemm_mma<e4m3>(a, ctx);
}

}  // namespace gonka::cuda
