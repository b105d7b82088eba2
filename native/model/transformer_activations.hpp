// Buffers of a transformer's forward pass. Private to the transformer*.cpp files.
#pragma once

#include <cstdint>
#include <vector>

#include "transformer.hpp"

namespace gonka {

// Rows per gemm once only each sequence's last token is left. A fixed number, filled up with copies, so that the choice
// of a kernel by its row count cannot make a result depend on the batch.
inline constexpr int64_t k_narrow_rows = 32;

inline int64_t round_up(int64_t value, int64_t step) {
  return (value + step - 1) / step * step;
}

// All row-major. tokens = batch * seq_len; "last" rows: one per sequence, rounded up to k_narrow_rows.
struct transformer::activations {
  int64_t batch = 0, seq_len = 0, capacity = 0;  // capacity: sequences
  buffer input;                                  // model's type [tokens, hidden]
  buffer x;                                      // residual stream [tokens, hidden]
  buffer h;                                      // normalised, compute type [tokens, hidden]
  buffer wide;                                   // F32 [tokens, hidden], where stream and compute types differ
  buffer projected;                              // stream type [tokens, hidden], for output projections with bias
  buffer q, k, v, o;                             // compute type [tokens, heads * head_dim]
  buffer ffn;                                    // compute type [tokens, intermediate]
  buffer x_last, h_last;
  buffer final_hidden;                             // F32 [last, hidden]
  buffer positions;                                // I32 [tokens]: 0 .. seq_len - 1 repeated
  buffer last_positions;                           // I32 [last]: seq_len - 1
  buffer last;                                     // I32 [last]: row of each sequence's last token
  buffer zeros;                                    // I32 [tokens or last]: row 0, to spread a bias
  std::vector<int64_t> all_offsets, last_offsets;  // cu_seqlens

  // Of layers with experts: k rows per token, ordered by expert.
  buffer router_logits;                     // compute type [tokens, experts]
  buffer expert_rows;                       // I32 [tokens * k]
  buffer expert_h, expert_ffn, expert_out;  // [tokens * k, ...]; expert_out F32
};

}  // namespace gonka
