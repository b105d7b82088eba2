#include "transformer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "number.hpp"
#include "transformer_activations.hpp"

namespace gonka {
namespace {

uint32_t chosen_compute(const model_description &model, uint32_t asked) {
  if (asked == 0 || asked == model.dtype) return model.dtype;
  if (asked == GK_F32) return GK_F32;
  throw status_error(GK_INVALID_ARGUMENT, std::string("a model of type ") + dtype_name(model.dtype) +
                                              " is computed in that type or in f32, not in " + dtype_name(asked));
}

// Widest row of each kind over all layers.
struct widths {
  int64_t q = 0, kv = 0, ffn = 0, experts = 0, expert_ffn = 0, top_k = 0;
  bool o_bias = false;
};

widths widest(const model_description &model) {
  widths w;
  for (const layer_description &layer : model.layers) {
    const attention_description &a = layer.attention;
    w.q = std::max(w.q, int64_t(a.heads) * a.head_dim);
    w.kv = std::max(w.kv, int64_t(a.heads_kv) * a.head_dim);
    w.o_bias = w.o_bias || a.o_bias;
    if (layer.mlp.experts == 0) {
      w.ffn = std::max(w.ffn, layer.mlp.intermediate);
    } else {
      w.experts = std::max<int64_t>(w.experts, layer.mlp.experts);
      w.expert_ffn = std::max(w.expert_ffn, layer.mlp.intermediate);
      w.top_k = std::max<int64_t>(w.top_k, layer.mlp.experts_per_token);
    }
  }
  return w;
}

}  // namespace

transformer::transformer(std::shared_ptr<device> device, model_description model, const checkpoint &files,
                         const transformer_options &options)
    : device_(std::move(device)),
      stream_(std::make_unique<stream>(device_)),
      model_(std::move(model)),
      compute_(chosen_compute(model_, options.compute)),
      stream_type_(GK_F32),
      weights_(load_transformer(*stream_, model_, files, compute_, options.load)) {}

transformer::~transformer() = default;

uint64_t transformer::bytes_per_sequence(int64_t seq_len) const {
  const widths w = widest(model_);
  const uint64_t element = dtype_size(compute_), stored = dtype_size(model_.dtype), residual = dtype_size(stream_type_);
  const auto count = [](int64_t n) { return uint64_t(n); };
  uint64_t row = count(model_.hidden) * (stored + residual + element) + count(2 * (w.q + w.kv) + w.ffn) * element;
  if (compute_ != stream_type_) row += count(model_.hidden) * 4;
  if (w.o_bias) row += count(model_.hidden) * residual;
  row += count(w.experts) * element +
         count(w.top_k) * (count(model_.hidden + w.expert_ffn) * element + count(model_.hidden) * 4 + sizeof(int32_t));
  return count(seq_len) * (row + 2 * sizeof(int32_t));
}

void transformer::set_reflections(std::span<const float> vectors) {
  if (vectors.empty()) {
    reflections_ = buffer();
    return;
  }
  if (vectors.size() != model_.layers.size() * size_t(model_.hidden))
    throw status_error(GK_INVALID_ARGUMENT,
                       "reflections: got " + std::to_string(vectors.size()) + " values; expected layers x hidden_size");
  const uint64_t bytes = vectors.size() * dtype_size(stream_type_);
  if (!reflections_) reflections_ = buffer(*device_, bytes);
  stream_->write(reflections_, 0, vectors.data(), bytes);
  gk_rms_norm fused{};
  fused.struct_size = sizeof fused;
  fused.type = stream_type_;
  fused.w_type = model_.dtype;
  fused.rows = 1;
  fused.columns = fused.ldx = fused.ldy = fused.ld_sum = model_.hidden;
  fused.reflector = reflector_of(0);
  reflects_in_norm_ = stream_->runs_itself(GK_OP_RMS_NORM, &fused);
}

void transformer::check_cancel() const {
  if (cancel_ != nullptr && cancel_->load(std::memory_order_relaxed)) throw status_error(GK_CANCELLED, "cancelled");
}

gk_ref transformer::inputs(int64_t batch, int64_t seq_len) {
  if (batch < 1 || seq_len < 1)
    throw status_error(GK_INVALID_ARGUMENT, "a batch of " + std::to_string(batch) + " sequences of " +
                                                std::to_string(seq_len) + " tokens; expected at least 1 of each");
  if (seq_len > model_.max_positions)
    throw status_error(GK_INVALID_ARGUMENT, "sequences of " + std::to_string(seq_len) + " tokens; the model has " +
                                                std::to_string(model_.max_positions) + " positions");
  for (const layer_description &layer : model_.layers)
    if (layer.attention.window != 0 && seq_len > layer.attention.window)
      throw status_error(GK_UNSUPPORTED,
                         "sequences of " + std::to_string(seq_len) + " tokens pass the model's attention window of " +
                             std::to_string(layer.attention.window) + ", which this engine does not compute");
  if (batch > (int64_t(1) << 31) / round_up(seq_len, k_narrow_rows))
    throw status_error(GK_INVALID_ARGUMENT, "a batch of " + std::to_string(batch) + " sequences of " +
                                                std::to_string(seq_len) + " tokens has more than 2^31 tokens");
  reserve(batch, seq_len);
  return act_->input.at();
}

void transformer::reserve(int64_t batch, int64_t seq_len) {
  if (!act_ || act_->seq_len != seq_len || act_->capacity < batch) {
    stream_->settle();
    act_.reset();  // free before allocating: the peak counts
    auto a = std::make_unique<activations>();
    const widths w = widest(model_);
    const int64_t tokens = batch * seq_len, last = round_up(batch, k_narrow_rows), most = std::max(tokens, last);
    const auto make = [&](int64_t rows, int64_t columns, uint32_t type) {
      const uint64_t bytes = uint64_t(rows) * uint64_t(columns) * dtype_size(type);
      return bytes == 0 ? buffer() : buffer(*device_, bytes);
    };
    a->seq_len = seq_len;
    a->capacity = batch;
    a->input = make(tokens, model_.hidden, model_.dtype);
    a->x = make(tokens, model_.hidden, stream_type_);
    a->h = make(tokens, model_.hidden, compute_);
    if (compute_ != stream_type_) a->wide = make(most, model_.hidden, GK_F32);
    if (w.o_bias) a->projected = make(most, model_.hidden, stream_type_);
    a->q = make(most, w.q, compute_);
    a->k = make(tokens, w.kv, compute_);
    a->v = make(tokens, w.kv, compute_);
    a->o = make(most, w.q, compute_);
    a->ffn = make(most, w.ffn, compute_);
    a->x_last = make(last, model_.hidden, stream_type_);
    a->h_last = make(last, model_.hidden, compute_);
    a->final_hidden = make(last, model_.hidden, GK_F32);
    a->positions = make(tokens, 1, GK_I32);
    a->last_positions = make(last, 1, GK_I32);
    a->last = make(last, 1, GK_I32);
    a->zeros = make(most, 1, GK_I32);
    a->router_logits = make(most, w.experts, compute_);
    a->expert_rows = make(most * w.top_k, 1, GK_I32);
    a->expert_h = make(most * w.top_k, w.top_k == 0 ? 0 : model_.hidden, compute_);
    a->expert_ffn = make(most * w.top_k, w.expert_ffn, compute_);
    a->expert_out = make(most * w.top_k, w.top_k == 0 ? 0 : model_.hidden, GK_F32);
    // Rows that fill up the last chunk are computed and dropped; they must hold numbers.
    const std::vector<std::byte> nothing(a->o.size());
    stream_->write(a->o, 0, nothing.data(), nothing.size());
    act_ = std::move(a);
  }
  activations &a = *act_;
  if (a.batch == batch) return;
  a.batch = 0;  // until all below is there: a failure on the way must not look like success the next time
  const int64_t tokens = batch * seq_len, last = round_up(batch, k_narrow_rows);
  const auto upload = [&](const buffer &to, const std::vector<int32_t> &values) {
    stream_->write(to, 0, values.data(), values.size() * sizeof(int32_t));
  };
  std::vector<int32_t> positions(static_cast<size_t>(tokens)), rows(static_cast<size_t>(last), int32_t(seq_len - 1));
  for (int64_t t = 0; t < tokens; ++t) positions[size_t(t)] = int32_t(t % seq_len);
  for (int64_t b = 0; b < batch; ++b) rows[size_t(b)] = int32_t((b + 1) * seq_len - 1);
  upload(a.positions, positions);
  upload(a.last, rows);
  upload(a.last_positions, std::vector<int32_t>(static_cast<size_t>(last), int32_t(seq_len - 1)));
  upload(a.zeros, std::vector<int32_t>(static_cast<size_t>(std::max(tokens, last)), 0));
  a.all_offsets.clear();
  a.last_offsets.clear();
  for (int64_t b = 0; b <= batch; ++b) {
    a.all_offsets.push_back(b * seq_len);
    a.last_offsets.push_back(b);
  }

  if (rope_positions_ < seq_len) {
    const std::vector<float> frequencies = inverse_frequencies(model_.rope);
    std::vector<float> table;
    // The reference keeps the table in the type it computes in.
    const auto rounded = [&](double value) {
      const float f = static_cast<float>(value);
      return compute_ == GK_F16 ? f16_to_f32(f32_to_f16(f)) : compute_ == GK_BF16 ? bf16_to_f32(f32_to_bf16(f)) : f;
    };
    for (int64_t position = 0; position < seq_len; ++position)
      for (const float frequency : frequencies) {
        const double angle = static_cast<float>(position) * frequency;
        table.push_back(rounded(std::cos(angle)));
        table.push_back(rounded(std::sin(angle)));
      }
    rope_positions_ = 0;
    rope_ = buffer(*device_, table.size() * sizeof(float));
    stream_->write(rope_, 0, table.data(), table.size() * sizeof(float));
    rope_positions_ = seq_len;
  }
  a.batch = batch;
}

void transformer::attend(const attention_description &d, const layer_weights &w, const rows &at, bool narrow) {
  activations &a = *act_;
  const int64_t tokens = a.batch * a.seq_len, q_width = int64_t(d.heads) * d.head_dim,
                kv_width = int64_t(d.heads_kv) * d.head_dim;
  multiply({w.q, at.h, a.q.at(), compute_, at.count, at.chunk, false, &w.q_bias});
  multiply({w.k, a.h.at(), a.k.at(), compute_, tokens, tokens, false, &w.k_bias});
  multiply({w.v, a.h.at(), a.v.at(), compute_, tokens, tokens, false, &w.v_bias});
  if (d.norm == qk_norm::per_head) {
    normalise(a.q.at(), compute_, w.q_norm, a.q.at(), at.count * d.heads, d.head_dim);
    normalise(a.k.at(), compute_, w.k_norm, a.k.at(), tokens * d.heads_kv, d.head_dim);
  }
  rotate(a.q.at(), at.count, d, d.heads, narrow ? a.last_positions.at() : a.positions.at());
  rotate(a.k.at(), tokens, d, d.heads_kv, a.positions.at());

  check_cancel();
  gk_attention p{};
  p.struct_size = sizeof p;
  p.qkv_type = p.o_type = compute_;
  p.causal = 1;  // aligned to the end, so a single last query sees every key
  p.batch = uint32_t(a.batch);
  p.num_heads = d.heads;
  p.num_heads_kv = d.heads_kv;
  p.head_dim = d.head_dim;
  p.softmax_scale = float(1 / std::sqrt(double(d.head_dim)));
  p.cu_seqlens_q = narrow ? a.last_offsets.data() : a.all_offsets.data();
  p.cu_seqlens_k = a.all_offsets.data();
  p.q_token_stride = p.o_token_stride = q_width;
  p.k_token_stride = p.v_token_stride = kv_width;
  p.q_head_stride = p.k_head_stride = p.v_head_stride = p.o_head_stride = d.head_dim;
  p.q = a.q.at();
  p.k = a.k.at();
  p.v = a.v.at();
  p.o = a.o.at();
  stream_->run(GK_OP_ATTENTION, &p);

  if (d.o_bias) {
    multiply({w.o, a.o.at(), a.projected.at(), stream_type_, at.count, at.chunk, false, &w.o_bias});
    const gk_ref projected = a.projected.at();
    normalise_stream(at.x, w.post_attention_norm, at.h, at.count, {projected, {}});
  } else {
    multiply({w.o, a.o.at(), at.x, stream_type_, at.count, at.chunk, true});
    normalise_stream(at.x, w.post_attention_norm, at.h, at.count);
  }
}

void transformer::feed_forward(const mlp_weights &w, const rows &at) {
  multiply({w.gate_up, at.h, act_->ffn.at(), compute_, at.count, at.chunk});
  multiply({w.down, act_->ffn.at(), at.x, stream_type_, at.count, at.chunk, true});
}

void transformer::run_layer(size_t index, bool narrow, bool reflect_at_once) {
  activations &a = *act_;
  const layer_description &layer = model_.layers[index];
  const layer_weights &w = weights_.layers[index];
  const int64_t tokens = a.batch * a.seq_len, last = round_up(a.batch, k_narrow_rows);
  // The reflection after the layer before, where it was left to this norm.
  const bool pending = reflections_ && !reflect_at_once && index > 0;
  normalise_stream(a.x.at(), w.input_norm, a.h.at(), tokens, {{}, pending ? reflector_of(index - 1) : gk_ref{}});
  rows at{a.x.at(), a.h.at(), tokens, tokens};
  if (narrow) {
    gather({a.x.at(), stream_type_, tokens, a.x_last.at(), stream_type_, last, model_.hidden, a.last.at()});
    gather({a.h.at(), compute_, tokens, a.h_last.at(), compute_, last, model_.hidden, a.last.at()});
    at = {a.x_last.at(), a.h_last.at(), last, k_narrow_rows};
  }
  attend(layer.attention, w, at, narrow);
  if (layer.mlp.experts == 0)
    feed_forward(w.dense, at);
  else
    mix_experts(layer.mlp, w, at);
  if (reflections_ && reflect_at_once) reflect(index, at.x, at.count);
}

void transformer::trace_stream(int64_t layer, const trace_sink &trace) {
  std::vector<float> values(size_t(act_->batch * act_->seq_len * model_.hidden));
  stream_->read(act_->x, 0, values.data(), values.size() * sizeof(float));
  trace(layer, values);
}

void transformer::forward(std::span<float> last_hidden, const std::atomic<bool> *cancel, const trace_sink &trace) {
  if (!act_ || last_hidden.size() != size_t(act_->batch * model_.hidden))
    throw status_error(GK_INVALID_ARGUMENT, "forward: last_hidden does not have the size of the batch");
  cancel_ = cancel;
  activations &a = *act_;
  const int64_t tokens = a.batch * a.seq_len, last = round_up(a.batch, k_narrow_rows);
  gather({a.input.at(), model_.dtype, tokens, a.x.at(), stream_type_, tokens, model_.hidden});
  const bool at_once = trace || !reflects_in_norm_;  // a trace shows the stream as it is after the reflection
  for (size_t i = 0; i < model_.layers.size(); ++i) {
    const bool narrow = i + 1 == model_.layers.size() && !trace;
    run_layer(i, narrow, at_once);
    if (trace) trace_stream(int64_t(i), trace);
  }
  if (trace) gather({a.x.at(), stream_type_, tokens, a.x_last.at(), stream_type_, last, model_.hidden, a.last.at()});
  const bool pending = reflections_ && !at_once && !model_.layers.empty();
  normalise(a.x_last.at(), GK_F32, weights_.final_norm, a.final_hidden.at(), last, model_.hidden,
            {{}, pending ? reflector_of(model_.layers.size() - 1) : gk_ref{}});
  stream_->read(a.final_hidden, 0, last_hidden.data(), last_hidden.size_bytes());
}

}  // namespace gonka
