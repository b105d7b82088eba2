// gemm of e5m2 operands on mma.sync; see device/gemm_mma.cuh.
#include "device/gemm_mma.cuh"

namespace gonka::cuda {

void launch_gemm_mma_e5m2(gemm_args &a, context &ctx) {
  launch_gemm_mma<e5m2>(a, ctx);
}

}  // namespace gonka::cuda
