// attention of f16 operands on mma.sync; see device/attention_mma.cuh.
#include "device/attention_mma.cuh"

namespace gonka::cuda {

void run_attention_mma_f16(const gk_attention &p, places at, context &ctx) {
  run_attention_mma<f16>(p, at, ctx);
}

}  // namespace gonka::cuda
