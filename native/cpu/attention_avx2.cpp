#include "attention_blocked.hpp"
#include "f32_avx2.hpp"

namespace gonka::cpu {

uint64_t attention_scratch_avx2(const gk_attention &p, const attention_plan &plan) {
  return scratch_bytes<f32_avx2>(p, plan);
}

void attention_task_avx2(const gk_attention &p, void *const *pointers, const attention_plan &plan,
                         const attention_task &task, void *scratch) {
  switch (p.qkv_type) {
    case GK_F32:
      return run_task<f32_avx2, GK_F32>(p, pointers, plan, task, scratch);
    case GK_F16:
      return run_task<f32_avx2, GK_F16>(p, pointers, plan, task, scratch);
    default:
      return run_task<f32_avx2, GK_BF16>(p, pointers, plan, task, scratch);
  }
}

}  // namespace gonka::cpu
