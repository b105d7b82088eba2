// Vector implementations of the row-wise ops: each does rows [begin, end) of a valid problem (tokens for rope);
// pointers in the order of op_spec::operands. A row's result depends on that row alone, so any cut over threads gives
// the same.
#pragma once

#include <cstdint>

#include "gonka_backend.h"

namespace gonka::cpu {

void rms_norm_avx512(const gk_rms_norm &p, void *const *pointers, int64_t begin, int64_t end);
void rms_norm_avx2(const gk_rms_norm &p, void *const *pointers, int64_t begin, int64_t end);
void rope_avx512(const gk_rope &p, void *const *pointers, int64_t begin, int64_t end);
void rope_avx2(const gk_rope &p, void *const *pointers, int64_t begin, int64_t end);
void silu_mul_avx512(const gk_silu_mul &p, void *const *pointers, int64_t begin, int64_t end);
void silu_mul_avx2(const gk_silu_mul &p, void *const *pointers, int64_t begin, int64_t end);
void householder_avx512(const gk_householder &p, void *const *pointers, int64_t begin, int64_t end);
void householder_avx2(const gk_householder &p, void *const *pointers, int64_t begin, int64_t end);
void gather_avx512(const gk_gather &p, void *const *pointers, int64_t begin, int64_t end);
void gather_avx2(const gk_gather &p, void *const *pointers, int64_t begin, int64_t end);
void l2_normalize_avx512(const gk_l2_normalize &p, void *const *pointers, int64_t begin, int64_t end);
void l2_normalize_avx2(const gk_l2_normalize &p, void *const *pointers, int64_t begin, int64_t end);

}  // namespace gonka::cpu
