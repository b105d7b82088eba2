// The transformer of PoC v1: pre-norm Llama whose parameters are slices of one half-precision source.
//
// Mathematics: gonka-ai/gonka mlnode/packages/pow/src/pow/models/llama31.py at commit 312044d28. RMSNorm, attention
// with rotary embedding on adjacent pairs, SwiGLU feed-forward, final norm, output matrix; only the last position is
// wanted, so the last layer computes queries, projections and feed-forward for that position alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "device.hpp"

namespace gonka {

struct seeded_transformer_shape {
  int64_t dim = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t heads_kv = 0;
  int64_t ffn_hidden = 0;
  int64_t vocab = 0;
  int64_t seq_len = 0;
  float norm_eps = 0;
};

// Where the parameters are: `values` holds halves; parameter p (in the order of seeded_parameters()) begins at
// offsets[p] and is contiguous. Slices may overlap.
struct parameter_source {
  std::span<const uint16_t> values;
  std::vector<uint64_t> offsets;
};

// Position of each parameter in the order tok_embeddings, per layer (wq, wk, wv, wo, w1, w2, w3, attention_norm,
// ffn_norm), norm, output.
enum class layer_parameter { wq, wk, wv, wo, w1, w2, w3, attention_norm, ffn_norm };
inline constexpr int64_t k_layer_parameters = 9;

class seeded_transformer {
 public:
  struct options {
    std::function<void(double fraction, const char *step)> progress;  // from the calling thread
    const std::atomic<bool> *cancel = nullptr;                        // ends construction or forward with GK_CANCELLED
    uint32_t activation_type = 0;  // GK_F32 or GK_F16; 0: what the device's best gemm takes
  };

  // rope_table F32 [positions >= seq_len, head_dim / 2, 2] of (cos, sin). Copies or packs what it needs of the source:
  // the source may go when the constructor returns. Throws status_error.
  seeded_transformer(std::shared_ptr<device> device, const seeded_transformer_shape &shape,
                     const parameter_source &source, std::span<const float> rope_table, const options &options);
  ~seeded_transformer();

  // Where inputs come from: the host, or the generator of the device itself.
  struct inputs {
    std::span<const uint16_t> values;  // F16 [batch, seq_len, dim], host; empty: drawn from the seeds
    std::span<const uint64_t> seeds;   // [batch, 4]: PCG64 state and increment, as gk_normal_fill has them
  };
  // Whether the device itself, not the host in its place, draws inputs.
  bool draws_inputs() const { return draws_inputs_; }

  // One pass, queued; its logits are there for read_logits and whatever is queued on work_stream() next. Uses that one
  // stream: one call at a time. A nonce's logits depend on the batch only through the kernel that gemm picks for its
  // row count.
  //
  // The first pass of a batch size runs op by op; the second one is recorded where the device can, and from then on the
  // pass is one replay, which cancel does not interrupt.
  void start(const inputs &inputs, int64_t batch, const std::atomic<bool> *cancel);
  // Logits of the last pass: F32 [batch, vocab], host.
  void read_logits(std::span<float> logits);
  void forward(std::span<const uint16_t> values, int64_t batch, std::span<float> logits,
               const std::atomic<bool> *cancel) {
    start(inputs{values, {}}, batch, cancel);
    read_logits(logits);
  }
  // The same [batch, vocab] on the device, dense, of activation_type().
  gk_ref logits() const;
  stream &work_stream() const { return *stream_; }
  // Why passes are not replayed: empty where they are, or if no pass has come to it.
  const std::string &not_recorded() const { return not_recorded_; }

  // GK_F32, or GK_F16 on devices whose best gemm takes halves only: type of the activations.
  uint32_t activation_type() const { return activation_type_; }
  uint64_t weight_bytes() const { return weight_bytes_; }
  // Activation bytes per nonce of a batch.
  uint64_t bytes_per_nonce() const;
  bool packed() const { return packed_; }
  // "gemm=sm90_wgmma attention=...": what the first layer's ops of a pass of `batch` nonces run on.
  std::string implementations(int64_t batch) const;

 private:
  struct matrix {
    buffer packed;  // empty: use the source
    uint64_t offset = 0, offset2 = 0;
    int64_t n = 0, k = 0;
    bool swiglu = false;
  };
  struct layer {
    matrix wq, wk, wv, wo, w13, w2;
    uint64_t attention_norm = 0, ffn_norm = 0;  // bytes in norms_
  };
  struct activations;

  gk_attention attention_problem() const;  // all but batch, lengths and operands
  gk_rms_norm norm_problem(int64_t rows) const;
  gk_rope rope_problem(int64_t tokens, int64_t heads) const;
  void reserve(int64_t batch);
  void run_layers(int64_t batch);
  void run_layer(const layer &l, bool last, int64_t batch);
  void multiply(const matrix &w, const gk_ref &a, int64_t lda, const gk_ref &d, int64_t ldd, int64_t m, bool add);
  void normalise(const gk_ref &x, uint64_t weight, const gk_ref &y, int64_t rows);
  void rotate(const gk_ref &x, int64_t tokens, int64_t heads, const gk_ref &positions);
  void convert(const gk_ref &from, uint32_t from_type, const gk_ref &to, uint32_t to_type, int64_t rows,
               int64_t columns);
  void last_rows(const gk_ref &from, const gk_ref &to, int64_t batch, uint32_t from_type, uint32_t to_type);
  void check_cancel(const std::atomic<bool> *cancel) const;

  std::shared_ptr<device> device_;
  std::unique_ptr<stream> stream_;
  seeded_transformer_shape shape_;
  int64_t head_dim_;
  uint32_t activation_type_ = GK_F32;
  bool packed_ = false;
  bool draws_inputs_ = false;
  std::string not_recorded_;
  uint64_t weight_bytes_ = 0;
  buffer source_, norms_, rope_;
  std::vector<layer> layers_;
  matrix output_;
  uint64_t final_norm_ = 0;
  std::unique_ptr<activations> act_;
  const std::atomic<bool> *cancel_ = nullptr;
  const settles_at_end settles_{stream_};
};

}  // namespace gonka
