// What the vector implementations of normal_fill share: the split into tasks, and the two kernels each of them has.
#pragma once

#include "implementation.hpp"
#include "normal_fill/normal_fill.hpp"

namespace gonka::cpu {

// Pairs [begin, end) of a segment of `count` values under one seed; out is the segment's first value.
struct murmur_block {
  uint32_t seed;
  int64_t count, begin, end;
  float sigma;
  uint32_t type;
  void *out;
};

struct normal_kernels {
  void (*murmur)(const murmur_block &block);
  // out[i] = sigma * values[i], F64 -> F32 -> type (F64 stays).
  void (*convert)(const double *values, int64_t count, double sigma, uint32_t type, void *out);
};

extern const normal_kernels k_normal_avx2, k_normal_avx512;

// Rows, segments and pieces of long segments go to the pool's threads; a PCG64 row is one task. Deterministic.
void normal_fill_with(const normal_kernels &kernels, const gk_normal_fill &problem, void *out, context &ctx);

}  // namespace gonka::cpu
