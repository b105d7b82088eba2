// How attention is cut into tasks, shared by its blocked implementations.
//
// A task is a run of rows of one sequence, for one or several kv heads, which it does one after the other. A row is a
// query token with one of the query heads that read the kv head: row = token * group + head within the group, so that
// all rows share keys and values and their visible keys only grow. Every row sees the keys in the same blocks and the
// same order whatever the cut, so results do not depend on it.
#pragma once

#include <cstdint>

#include "attention/attention.hpp"

namespace gonka::cpu {

constexpr int k_attention_block_keys = 128;  // most keys between two visits to the output rows

struct attention_task {
  uint32_t sequence;
  int32_t head_begin, head_end;  // kv heads
  int64_t row_begin, row_end;
};

// Sizes that hold for all tasks of a problem.
struct attention_plan {
  int64_t rows;        // most rows of a task
  int64_t block_keys;  // keys per block, a multiple of 32, at most k_attention_block_keys
};

// Bytes of working memory for one task at a time; and one task. scratch is 64-byte aligned.
uint64_t attention_scratch_avx512bf16(const gk_attention &p, const attention_plan &plan);
void attention_task_avx512bf16(const gk_attention &p, void *const *pointers, const attention_plan &plan,
                               const attention_task &task, void *scratch);
uint64_t attention_scratch_avx512(const gk_attention &p, const attention_plan &plan);
void attention_task_avx512(const gk_attention &p, void *const *pointers, const attention_plan &plan,
                           const attention_task &task, void *scratch);
uint64_t attention_scratch_avx2(const gk_attention &p, const attention_plan &plan);
void attention_task_avx2(const gk_attention &p, void *const *pointers, const attention_plan &plan,
                         const attention_task &task, void *scratch);

}  // namespace gonka::cpu
