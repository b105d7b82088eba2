// attention of bf16 operands on mma.sync; see device/attention_mma.cuh.
#include "device/attention_mma.cuh"

namespace gonka::cuda {

void run_attention_mma_bf16(const gk_attention &p, places at, context &ctx) {
  run_attention_mma<bf16>(p, at, ctx);
}

}  // namespace gonka::cuda
