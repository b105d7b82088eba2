// Spreads the rows of a row-wise op over the device's threads.
#pragma once

#include <algorithm>

#include "implementation.hpp"

namespace gonka::cpu {

// Calls Rows for runs of rows that together are [0, rows). bytes: of all operands. A task has at least 64 kB to touch:
// some microseconds, well above what handing it out costs.
template <class Problem, void (*Rows)(const Problem &, void *const *, int64_t, int64_t)>
void run_rows(const Problem &p, operand_pointers pointers, context &ctx, int64_t rows, double bytes) {
  const int64_t most = std::min<int64_t>(rows, 4 * int64_t(ctx.pool.size()));
  const int64_t tasks = std::clamp<int64_t>(int64_t(bytes / 65536), 1, std::max<int64_t>(most, 1));
  ctx.pool.parallel_for(uint32_t(tasks), [&](uint32_t task, uint32_t) {
    Rows(p, pointers.data(), rows * task / tasks, rows * (task + 1) / tasks);
  });
}

}  // namespace gonka::cpu
