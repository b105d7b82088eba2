// PoC v1's model parameters: the published set of numbers, the tensors that follow from them, and the RoPE table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "op.hpp"

namespace gonka::poc_v1 {

// The transformer of a round, field by field as the protocol names them. Defaults are the protocol's.
struct params {
  int64_t dim = 2048;
  int64_t n_layers = 16;
  int64_t n_heads = 16;
  int64_t n_kv_heads = 16;
  int64_t vocab_size = 8192;
  double ffn_dim_multiplier = 1.3;
  int64_t multiple_of = 1024;
  double norm_eps = 1e-5;
  double rope_theta = 500000;
  bool use_scaled_rope = false;
  int64_t seq_len = 16;

  int64_t head_dim() const { return dim / n_heads; }
};

// One weight tensor, out x in (or a vector with columns = 0), in the order of the protocol.
struct parameter {
  std::string name;  // "layers.0.attention.wq.weight"
  int64_t rows = 0;
  int64_t columns = 0;  // 0: a vector of `rows`
  uint64_t count() const { return uint64_t(rows) * uint64_t(columns == 0 ? 1 : columns); }
};

// Largest model accepted: its element count stays exact in F64, as the pool size formula needs.
inline constexpr uint64_t k_max_parameters = uint64_t(1) << 46;

// Names the first field that is out of range or does not fit the others: GK_INVALID_ARGUMENT. Everything below expects
// a validated set.
gk_status validate(const params &p, gk_error *err) noexcept;

// Width of the feed-forward layer: floor(8 dim / 3), times the multiplier, rounded up to multiple_of.
int64_t ffn_hidden(const params &p);

// tok_embeddings; per layer wq, wk, wv, wo, w1, w2, w3, attention_norm, ffn_norm; norm, output.
std::vector<parameter> parameters(const params &p);

uint64_t total_params(const params &p);

// (cos, sin) pairs, F32 [2 * seq_len, head_dim / 2, 2], for adjacent-pair rotation. Angles are computed in F32;
// rounded_to_f16 gives what a half-precision model uses, widened again.
std::vector<float> rope_table(const params &p, bool rounded_to_f16);

}  // namespace gonka::poc_v1
