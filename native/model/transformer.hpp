// The forward pass of PoC v2: from input embeddings to the last hidden state, with a reflection after every layer.
//
// Mathematics: the decoder of Hugging Face transformers (Llama, Mistral, Qwen2, Qwen3, Qwen3-MoE) with a Householder
// reflection of the residual stream after each layer, and the final RMS norm on each sequence's last token.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "checkpoint.hpp"
#include "description.hpp"
#include "device.hpp"
#include "transformer_weights.hpp"

namespace gonka {

struct transformer_options {
  // Type of the gemm and attention operands: F32, or the model's own type (F16, BF16). 0: the model's own.
  uint32_t compute = 0;
  load_options load;
};

class transformer {
 public:
  // Loads the weights; the checkpoint may go afterwards. Throws status_error.
  transformer(std::shared_ptr<device> device, model_description model, const checkpoint &files,
              const transformer_options &options);
  ~transformer();

  const model_description &model() const { return model_; }
  uint32_t compute_type() const { return compute_; }
  uint64_t weight_bytes() const { return weights_.bytes; }
  bool packed() const { return weights_.packed; }
  stream &on() { return *stream_; }

  // Device memory that one sequence of seq_len tokens takes while it is computed.
  uint64_t bytes_per_sequence(int64_t seq_len) const;

  // Unit vectors [layers, hidden], F32, host: the reflection after each layer. None: no reflections.
  void set_reflections(std::span<const float> vectors);

  // Makes room for a batch and returns where its inputs go: [batch, seq_len, hidden] of the model's type, dense, on the
  // device, to be written on stream on(). Throws status_error(GK_INVALID_ARGUMENT) for a sequence longer than the
  // model's positions or attention window.
  gk_ref inputs(int64_t batch, int64_t seq_len);

  // Gets the residual stream after a layer and its reflection: F32 [batch, seq_len, hidden].
  using trace_sink = std::function<void(int64_t layer, std::span<const float> stream)>;

  // Computes the batch whose inputs are in place. last_hidden: F32 [batch, hidden], host, after the final norm.
  // A sequence's result depends neither on the others nor on their number where the device's ops compute each row by
  // itself. Bitwise repeatable for one device, implementation and batch. With a trace the last layer computes every
  // token instead of the last one of each sequence.
  void forward(std::span<float> last_hidden, const std::atomic<bool> *cancel = nullptr,
               const trace_sink &trace = nullptr);

 private:
  struct activations;
  // Rows that a layer works on: all tokens, or each sequence's last.
  struct rows {
    gk_ref x, h;        // residual stream, normalised
    int64_t count = 0;  // a multiple of chunk
    int64_t chunk = 0;  // rows per gemm
  };

  void reserve(int64_t batch, int64_t seq_len);
  void run_layer(size_t index, bool narrow, bool reflect_at_once);
  void attend(const attention_description &a, const layer_weights &weights, const rows &at, bool narrow);
  // x += mlp(h).
  void feed_forward(const mlp_weights &weights, const rows &at);
  void mix_experts(const mlp_description &mlp, const layer_weights &weights, const rows &at);
  void trace_stream(int64_t layer, const trace_sink &trace);
  void check_cancel() const;

  // d = a w^T, + bias, + d if add; in gemms of at most `chunk` rows.
  struct product {
    const weight_matrix &w;
    gk_ref a, d;
    uint32_t d_type;
    int64_t rows, chunk;
    bool add = false;
    const buffer *bias = nullptr;
  };
  void multiply(const product &p);
  // What becomes of x before it is normalised: x + residual, then reflected. Absent ones leave it.
  struct change {
    gk_ref residual, reflector;
  };
  // y = norm(x) * weight over rows of the model's width, x of the residual stream's type, y of the compute type.
  void normalise_stream(const gk_ref &x, const buffer &weight, const gk_ref &y, int64_t count,
                        const change &first = {});
  void normalise(const gk_ref &x, uint32_t type, const buffer &weight, const gk_ref &y, int64_t count, int64_t columns,
                 const change &first = {});
  void rotate(const gk_ref &x, int64_t tokens, const attention_description &a, int64_t heads, const gk_ref &positions);
  // to[r] = from[row_index[r]], or from[r] without an index.
  struct copy {
    gk_ref from;
    uint32_t from_type;
    int64_t from_rows;
    gk_ref to;
    uint32_t to_type;
    int64_t count, columns;
    gk_ref row_index{nullptr, 0};
  };
  void gather(const copy &c);
  void reflect(size_t layer, const gk_ref &x, int64_t count);
  gk_ref reflector_of(size_t layer) const;

  std::shared_ptr<device> device_;
  std::unique_ptr<stream> stream_;
  const model_description model_;
  uint32_t compute_;      // of gemm and attention operands
  uint32_t stream_type_;  // of the residual stream
  transformer_weights weights_;
  buffer reflections_;  // [layers, hidden] of stream_type_; empty: none
  // Whether the device itself reflects in the norm that follows, which spares a reading of the stream.
  bool reflects_in_norm_ = false;
  buffer rope_;  // F32 [seq_len, rotary_dim / 2, 2]
  int64_t rope_positions_ = 0;
  std::unique_ptr<activations> act_;
  const std::atomic<bool> *cancel_ = nullptr;
  const settles_at_end settles_{stream_};
};

}  // namespace gonka
