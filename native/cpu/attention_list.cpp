// Implementations of attention on the CPU, and the cut into tasks that the blocked ones share.
#include <algorithm>
#include <vector>

#include "attention_plan.hpp"
#include "implementation.hpp"
#include "workspace.hpp"

namespace gonka::cpu {
namespace {

using scratch_function = uint64_t (*)(const gk_attention &, const attention_plan &);
using task_function = void (*)(const gk_attention &, void *const *, const attention_plan &, const attention_task &,
                               void *);

// Packing a block of K and V costs about as much as five rows' products with it: at 384 rows little over 1 %, and Q and
// O of a task (2 x 384 x 128 x 4 bytes) share a 1 MB L2 with the packed block. Fewer rows where that leaves threads
// idle.
constexpr int64_t k_task_rows = 384, k_least_task_rows = 96;

// Short sequences: one task does heads up to this many multiply-adds, some 10 microseconds.
constexpr double k_least_task_work = 1 << 19;

std::vector<attention_task> cut(const gk_attention &p, int64_t task_rows) {
  std::vector<attention_task> tasks;
  const int64_t group = p.num_heads / p.num_heads_kv;
  for (uint32_t b = 0; b < p.batch; ++b) {
    const int64_t rows = (p.cu_seqlens_q[b + 1] - p.cu_seqlens_q[b]) * group;
    const int64_t keys = p.cu_seqlens_k[b + 1] - p.cu_seqlens_k[b];
    const int64_t pieces = (rows + task_rows - 1) / task_rows;
    const double head_work = 2.0 * double(rows) * double(keys + 1) * p.head_dim;
    const int32_t heads =
        pieces == 1 ? int32_t(std::clamp(k_least_task_work / head_work, 1.0, double(p.num_heads_kv))) : 1;
    for (int32_t h = 0; h < p.num_heads_kv; h += heads)
      // The last rows see the most keys: first, so that no thread starts on them when the others are done.
      for (int64_t i = pieces - 1; i >= 0; --i)
        tasks.push_back(
            {b, h, std::min(p.num_heads_kv, h + heads), i * task_rows, std::min(rows, (i + 1) * task_rows)});
  }
  return tasks;
}

void run_blocked(const gk_attention &p, operand_pointers pointers, context &ctx, scratch_function scratch_bytes,
                 task_function run_task) {
  int64_t task_rows = k_task_rows;
  std::vector<attention_task> tasks = cut(p, task_rows);
  while (tasks.size() < 4 * size_t(ctx.pool.size()) && task_rows > k_least_task_rows && ctx.pool.size() > 1)
    tasks = cut(p, task_rows /= 2);
  if (tasks.empty()) return;

  attention_plan plan{0, 0};
  int64_t keys = 1;
  for (const attention_task &task : tasks) {
    plan.rows = std::max(plan.rows, task.row_end - task.row_begin);
    keys = std::max(keys, p.cu_seqlens_k[task.sequence + 1] - p.cu_seqlens_k[task.sequence]);
  }
  plan.block_keys = std::min<int64_t>(k_attention_block_keys, (keys + 31) / 32 * 32);

  const uint64_t stride = (scratch_bytes(p, plan) + 127) / 64 * 64;
  const workspace memory(stride * ctx.pool.size());
  ctx.pool.parallel_for(uint32_t(tasks.size()), [&](uint32_t i, uint32_t worker) {
    run_task(p, pointers.data(), plan, tasks[i], memory.data() + stride * worker);
  });
}

const char *accept(const void *, const features &) {
  return nullptr;
}

const char *reject_avx512bf16(const void *problem, const features &cpu) {
  if (!cpu.avx512bf16) return "this processor has no AVX-512 BF16";
  return static_cast<const gk_attention *>(problem)->qkv_type == GK_BF16 ? nullptr : "only for bf16 operands";
}

const char *reject_avx512(const void *, const features &cpu) {
  return cpu.avx512 ? nullptr : "this processor has no AVX-512";
}

const char *reject_avx2(const void *, const features &cpu) {
  return cpu.avx2 ? nullptr : "this processor has no AVX2";
}

void run_reference(void *problem, operand_pointers pointers, context &) {
  attention_reference(problem, pointers);
}

#if defined(__x86_64__)
void run_avx512bf16(void *problem, operand_pointers pointers, context &ctx) {
  run_blocked(*static_cast<gk_attention *>(problem), pointers, ctx, attention_scratch_avx512bf16,
              attention_task_avx512bf16);
}

void run_avx512(void *problem, operand_pointers pointers, context &ctx) {
  run_blocked(*static_cast<gk_attention *>(problem), pointers, ctx, attention_scratch_avx512, attention_task_avx512);
}

void run_avx2(void *problem, operand_pointers pointers, context &ctx) {
  run_blocked(*static_cast<gk_attention *>(problem), pointers, ctx, attention_scratch_avx2, attention_task_avx2);
}
#endif

constexpr implementation k_list[] = {
#if defined(__x86_64__)
    {"avx512bf16", reject_avx512bf16, run_avx512bf16},
    {"avx512", reject_avx512, run_avx512},
    {"avx2", reject_avx2, run_avx2},
#endif
    {"ref", accept, run_reference},
};

}  // namespace

std::span<const implementation> attention_list() noexcept {
  return k_list;
}

}  // namespace gonka::cpu
