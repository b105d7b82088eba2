// Fused attention: see gk_attention in gonka_backend.h for the definition.
#pragma once

#include "op.hpp"

namespace gonka {

// Order of attention_op.operands(). Each but lse has heads as planes and tokens as rows.
enum attention_operand { k_attention_q, k_attention_k, k_attention_v, k_attention_o, k_attention_lse };

constexpr int k_attention_max_head_dim = 256;

// Keys that query i of a sequence sees: the first visible_keys(...) of its keys.
inline int64_t visible_keys(const gk_attention &p, int64_t i, int64_t seqlen_q, int64_t seqlen_k) {
  if (p.causal == 0) return seqlen_k;
  const int64_t visible = i + seqlen_k - seqlen_q + 1;
  return visible < 0 ? 0 : visible;
}

void attention_reference(void *problem, operand_pointers pointers);

}  // namespace gonka
