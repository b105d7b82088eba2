#include "seeded_transformer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "choice.hpp"

namespace gonka {
namespace {

constexpr uint64_t k_half = 2;

template <class Problem>
Problem make() {
  Problem p{};
  p.struct_size = sizeof p;
  return p;
}

// Whether implementation (0: any) of the device itself, not the host in its place, multiplies a_type by halves.
bool multiplies(stream &s, uint32_t a_type, uint32_t implementation) {
  gk_gemm p = make<gk_gemm>();
  p.implementation = implementation;
  p.a_type = a_type;
  p.b_type = GK_F16;
  p.d_type = a_type;
  p.m = p.n = p.k = p.lda = p.ldb = p.ldc = p.ldd = 64;
  p.alpha = 1;
  return s.owner().library().table->run(s.handle(), GK_OP_GEMM, &p, 1, nullptr) == GK_OK;
}

// F32 is nearer to the protocol's definition, but not worth leaving the device's fastest units: where the best
// implementation for halves takes nothing else (tensor cores), activations are halves too.
uint32_t best_activation_type(stream &s) {
  const backend_library &library = s.owner().library();
  const bool listed = GK_HAS(library.table, gk_backend, implementation) && library.table->implementation != nullptr;
  for (uint32_t i = 1; listed && library.table->implementation(s.owner().handle(), GK_OP_GEMM, i - 1) != nullptr; ++i)
    if (multiplies(s, GK_F16, i)) return multiplies(s, GK_F32, i) ? uint32_t(GK_F32) : uint32_t(GK_F16);
  return multiplies(s, GK_F32, 0) ? uint32_t(GK_F32) : uint32_t(GK_F16);
}

// Input values of one nonce as normal_fill draws them.
gk_normal_fill input_fill(int64_t rows, int64_t columns) {
  gk_normal_fill p = make<gk_normal_fill>();
  p.generator = GK_NORMAL_PCG64;
  p.out_type = GK_F16;
  p.segments = 1;
  p.rows = rows;
  p.columns = p.ldo = columns;
  p.sigma = 1;
  return p;
}

// Whether inputs are better drawn by the device itself: it can, and its memory is not the host's, where they could be
// drawn beside the computation.
bool better_drawn_there(stream &s, int64_t columns) {
  const gk_backend &table = *s.owner().library().table;
  if (table.buffer_pointer != nullptr) return false;
  const uint64_t seeds[4] = {};
  gk_normal_fill p = input_fill(1, columns);
  p.seeds_u64 = seeds;
  return table.run(s.handle(), GK_OP_NORMAL_FILL, &p, 1, nullptr) == GK_OK;
}

}  // namespace

// Buffers for one batch size; all row-major [tokens, width].
struct seeded_transformer::activations {
  int64_t batch = 0;
  buffer input;    // F16 [batch * seq, dim]
  buffer x;        // residual stream
  buffer h;        // normalised
  buffer q, k, v;  // projections
  buffer o;        // attention output
  buffer ffn;      // silu(w1 h) * w3 h
  buffer x_last, h_last;
  buffer logits;         // [batch, vocab]
  buffer wide_logits;    // the same in F32, where activations are halves and logits have been read
  buffer positions;      // I32 [batch * seq]: 0 .. seq-1 repeated
  buffer last;           // I32 [batch]: row of each sequence's last token
  buffer last_position;  // I32 [batch]: seq - 1
  std::vector<int64_t> cu_all, cu_last;
  int64_t passes = 0;
  recording pass;  // from the widened inputs to the logits
};

seeded_transformer::seeded_transformer(std::shared_ptr<device> device, const seeded_transformer_shape &shape,
                                       const parameter_source &source, std::span<const float> rope_table,
                                       const options &options)
    : device_(std::move(device)),
      stream_(std::make_unique<stream>(device_)),
      shape_(shape),
      head_dim_(shape.dim / shape.heads),
      cancel_(options.cancel) {
  activation_type_ = options.activation_type;
  if (activation_type_ == 0) activation_type_ = best_activation_type(*stream_);
  draws_inputs_ = better_drawn_there(*stream_, shape.seq_len * shape.dim);
  const auto offset_of = [&](int64_t l, layer_parameter p) {
    return source.offsets.at(size_t(1 + l * k_layer_parameters + int64_t(p)));
  };
  const auto report = [&](double fraction, const char *step) {
    if (options.progress) options.progress(fraction, step);
  };

  const int64_t kv_dim = head_dim_ * shape.heads_kv;
  rope_ = buffer(*device_, rope_table.size_bytes());
  stream_->write(rope_, 0, rope_table.data(), rope_table.size_bytes());

  // Norm weights are copied out: they are tiny and the source may be dropped.
  const uint64_t norm_bytes = uint64_t(shape.dim) * k_half;
  norms_ = buffer(*device_, norm_bytes * uint64_t(2 * shape.layers + 1));
  const auto copy_norm = [&](uint64_t slot, uint64_t offset) {
    stream_->write(norms_, slot * norm_bytes, &source.values[offset], norm_bytes);
    return slot * norm_bytes;
  };

  report(0, "uploading the pool");
  const uint64_t source_bytes = source.values.size_bytes();
  source_ = buffer(*device_, std::max<uint64_t>(source_bytes, 1));
  // In pieces, so that a cancelled start does not wait for gigabytes.
  constexpr uint64_t k_piece = uint64_t(64) << 20;
  for (uint64_t at = 0; at < source_bytes; at += k_piece) {
    check_cancel(cancel_);
    stream_->write(source_, at, reinterpret_cast<const char *>(source.values.data()) + at,
                   std::min(k_piece, source_bytes - at));
  }

  // Packed weights take what the parameters take in halves. Where that does not fit, the slices of the pool are used as
  // they are: slower, but a model of any size runs in the memory of its pool.
  const double total_bytes = k_half * (double(shape.layers) * (2.0 * shape.dim * shape.dim + 2.0 * shape.dim * kv_dim +
                                                               3.0 * shape.dim * shape.ffn_hidden) +
                                       double(shape.vocab) * shape.dim);
  bool try_pack = total_bytes < 0.8 * double(device_->current_info().memory_free_bytes);

  const auto load = [&](int64_t n, int64_t k, uint64_t offset, bool swiglu = false, uint64_t offset2 = 0) {
    check_cancel(cancel_);
    matrix w;
    w.n = n;
    w.k = k;
    w.offset = offset * k_half;
    w.offset2 = offset2 * k_half;
    w.swiglu = swiglu;
    if (try_pack) {
      gk_gemm_pack request = make<gk_gemm_pack>();
      request.a_type = activation_type_;
      request.b_type = GK_F16;
      request.epilogue = swiglu ? GK_EPILOGUE_SWIGLU : GK_EPILOGUE_NONE;
      request.n = n;
      request.k = k;
      request.ldb = k;
      request.b = source_.at(w.offset);
      if (swiglu) request.b2 = source_.at(w.offset2);
      w.packed = stream_->pack(request);
      if (!w.packed) {
        try_pack = false;
        return w;
      }
      weight_bytes_ += uint64_t(n * k) * k_half * (swiglu ? 2 : 1);
    }
    return w;
  };

  for (int64_t l = 0; l < shape.layers; ++l) {
    report(double(l) / double(shape.layers + 1), "packing weights");
    layer out;
    out.wq = load(shape.dim, shape.dim, offset_of(l, layer_parameter::wq));
    out.wk = load(kv_dim, shape.dim, offset_of(l, layer_parameter::wk));
    out.wv = load(kv_dim, shape.dim, offset_of(l, layer_parameter::wv));
    out.wo = load(shape.dim, shape.dim, offset_of(l, layer_parameter::wo));
    out.w13 =
        load(shape.ffn_hidden, shape.dim, offset_of(l, layer_parameter::w1), true, offset_of(l, layer_parameter::w3));
    out.w2 = load(shape.dim, shape.ffn_hidden, offset_of(l, layer_parameter::w2));
    out.attention_norm = copy_norm(uint64_t(2 * l), offset_of(l, layer_parameter::attention_norm));
    out.ffn_norm = copy_norm(uint64_t(2 * l + 1), offset_of(l, layer_parameter::ffn_norm));
    layers_.push_back(std::move(out));
  }
  const size_t after_layers = size_t(1 + shape.layers * k_layer_parameters);
  final_norm_ = copy_norm(uint64_t(2 * shape.layers), source.offsets.at(after_layers));
  output_ = load(shape.vocab, shape.dim, source.offsets.at(after_layers + 1));
  stream_->synchronize();
  packed_ = std::ranges::all_of(layers_, [](const layer &l) { return bool(l.w2.packed); }) && output_.packed;
  if (packed_)
    source_ = buffer();
  else
    weight_bytes_ += source_bytes;
  report(1, "ready");
}

seeded_transformer::~seeded_transformer() = default;

uint64_t seeded_transformer::bytes_per_nonce() const {
  const int64_t kv_dim = head_dim_ * shape_.heads_kv;
  const int64_t per_token = 4 * shape_.dim + 2 * kv_dim + shape_.ffn_hidden;
  const uint64_t element = activation_type_ == GK_F32 ? 4 : 2;
  const uint64_t widened = activation_type_ == GK_F32 ? 0 : uint64_t(shape_.vocab) * sizeof(float);
  return uint64_t(shape_.seq_len * per_token + 2 * shape_.dim + shape_.vocab) * element + widened +
         uint64_t(shape_.seq_len * shape_.dim) * k_half;
}

std::string seeded_transformer::implementations(int64_t batch) const {
  const int64_t tokens = batch * shape_.seq_len;
  gk_gemm product = make<gk_gemm>();
  product.a_type = product.d_type = activation_type_;
  product.b_type = GK_F16;
  product.b_packed = packed_ ? 1 : 0;
  product.m = tokens;
  product.n = product.k = product.lda = product.ldb = product.ldd = shape_.dim;
  product.alpha = 1;
  if (packed_) product.b = layers_.front().wq.packed.at();

  gk_attention attention = attention_problem();
  std::vector<int64_t> cu(size_t(batch) + 1);
  for (int64_t b = 0; b <= batch; ++b) cu[size_t(b)] = b * shape_.seq_len;
  attention.batch = uint32_t(batch);
  attention.cu_seqlens_q = attention.cu_seqlens_k = cu.data();

  gk_rms_norm norm = norm_problem(tokens);
  gk_rope rope = rope_problem(tokens, shape_.heads);
  gk_gather gather = make<gk_gather>();
  gather.x_type = gather.out_type = activation_type_;
  gather.rows = gather.x_rows = tokens;
  gather.columns = gather.x_columns = gather.ldx = gather.ldo = shape_.dim;

  const std::pair<gk_op, void *> problems[] = {{GK_OP_GEMM, &product},
                                               {GK_OP_ATTENTION, &attention},
                                               {GK_OP_RMS_NORM, &norm},
                                               {GK_OP_ROPE, &rope},
                                               {GK_OP_GATHER, &gather}};
  std::string out;
  for (const auto &[op, problem] : problems)
    out += (out.empty() ? "" : " ") + std::string(find_op(op)->name) + "=" + chosen_name(*stream_, op, problem);
  return out;
}

void seeded_transformer::check_cancel(const std::atomic<bool> *cancel) const {
  if (cancel != nullptr && cancel->load(std::memory_order_relaxed)) throw status_error(GK_CANCELLED, "cancelled");
}

void seeded_transformer::reserve(int64_t batch) {
  if (act_ && act_->batch == batch) return;
  stream_->settle();
  act_.reset();  // free before allocating: the peak counts
  auto a = std::make_unique<activations>();
  const uint64_t element = activation_type_ == GK_F32 ? 4 : 2;
  const int64_t tokens = batch * shape_.seq_len, kv_dim = head_dim_ * shape_.heads_kv;
  const auto floats = [&](int64_t rows, int64_t columns) {
    return buffer(*device_, uint64_t(rows * columns) * element);
  };
  a->batch = batch;
  a->input = buffer(*device_, uint64_t(tokens * shape_.dim) * k_half);
  a->x = floats(tokens, shape_.dim);
  a->h = floats(tokens, shape_.dim);
  a->q = floats(tokens, shape_.dim);
  a->k = floats(tokens, kv_dim);
  a->v = floats(tokens, kv_dim);
  a->o = floats(tokens, shape_.dim);
  a->ffn = floats(tokens, shape_.ffn_hidden);
  a->x_last = floats(batch, shape_.dim);
  a->h_last = floats(batch, shape_.dim);
  a->logits = floats(batch, shape_.vocab);
  std::vector<int32_t> positions(static_cast<size_t>(tokens)), last(static_cast<size_t>(batch)),
      last_position(static_cast<size_t>(batch), int32_t(shape_.seq_len - 1));
  for (int64_t t = 0; t < tokens; ++t) positions[size_t(t)] = int32_t(t % shape_.seq_len);
  for (int64_t b = 0; b < batch; ++b) last[size_t(b)] = int32_t((b + 1) * shape_.seq_len - 1);
  for (int64_t b = 0; b <= batch; ++b) {
    a->cu_all.push_back(b * shape_.seq_len);
    a->cu_last.push_back(b);
  }
  const auto upload = [&](const std::vector<int32_t> &values) {
    buffer out(*device_, values.size() * sizeof(int32_t));
    stream_->write(out, 0, values.data(), values.size() * sizeof(int32_t));
    return out;
  };
  a->positions = upload(positions);
  a->last = upload(last);
  a->last_position = upload(last_position);
  act_ = std::move(a);
}

void seeded_transformer::multiply(const matrix &w, const gk_ref &a, int64_t lda, const gk_ref &d, int64_t ldd,
                                  int64_t m, bool add) {
  check_cancel(cancel_);
  gk_gemm p = make<gk_gemm>();
  p.a_type = activation_type_;
  p.b_type = GK_F16;
  p.d_type = activation_type_;
  p.b_packed = w.packed ? 1 : 0;
  p.m = m;
  p.n = w.n;
  p.k = w.k;
  p.lda = lda;
  p.ldb = w.k;
  p.ldc = p.ldd = ldd;
  p.alpha = 1;
  p.beta = add ? 1.f : 0.f;
  p.a = a;
  p.b = w.packed ? w.packed.at() : source_.at(w.offset);
  if (add) p.c = d;
  p.d = d;
  p.epilogue = w.swiglu ? GK_EPILOGUE_SWIGLU : GK_EPILOGUE_NONE;
  if (w.swiglu && !w.packed) p.b2 = source_.at(w.offset2);
  stream_->run(GK_OP_GEMM, &p);
}

gk_rms_norm seeded_transformer::norm_problem(int64_t rows) const {
  gk_rms_norm p = make<gk_rms_norm>();
  p.type = activation_type_;
  p.w_type = GK_F16;
  p.round_before_weight = 1;
  p.eps = shape_.norm_eps;
  p.rows = rows;
  p.columns = p.ldx = p.ldy = p.ld_residual = p.ld_sum = shape_.dim;
  return p;
}

void seeded_transformer::normalise(const gk_ref &x, uint64_t weight, const gk_ref &y, int64_t rows) {
  gk_rms_norm p = norm_problem(rows);
  p.x = x;
  p.w = norms_.at(weight);
  p.y = y;
  stream_->run(GK_OP_RMS_NORM, &p);
}

gk_rope seeded_transformer::rope_problem(int64_t tokens, int64_t heads) const {
  gk_rope p = make<gk_rope>();
  p.type = activation_type_;
  p.layout = GK_ROPE_ADJACENT;
  p.tokens = tokens;
  p.token_stride = heads * head_dim_;
  p.head_stride = head_dim_;
  p.heads = int32_t(heads);
  p.head_dim = p.rotary_dim = int32_t(head_dim_);
  p.table_positions = int64_t(rope_.size() / (uint64_t(head_dim_) * sizeof(float)));
  return p;
}

void seeded_transformer::rotate(const gk_ref &x, int64_t tokens, int64_t heads, const gk_ref &positions) {
  gk_rope p = rope_problem(tokens, heads);
  p.x = x;
  p.table = rope_.at();
  p.positions = positions;
  stream_->run(GK_OP_ROPE, &p);
}

void seeded_transformer::convert(const gk_ref &from, uint32_t from_type, const gk_ref &to, uint32_t to_type,
                                 int64_t rows, int64_t columns) {
  gk_gather p = make<gk_gather>();
  p.x_type = from_type;
  p.out_type = to_type;
  p.rows = p.x_rows = rows;
  p.columns = p.x_columns = p.ldx = p.ldo = columns;
  p.x = from;
  p.out = to;
  stream_->run(GK_OP_GATHER, &p);
}

void seeded_transformer::last_rows(const gk_ref &from, const gk_ref &to, int64_t batch, uint32_t from_type,
                                   uint32_t to_type) {
  gk_gather p = make<gk_gather>();
  p.x_type = from_type;
  p.out_type = to_type;
  p.rows = batch;
  p.columns = p.x_columns = p.ldx = p.ldo = shape_.dim;
  p.x_rows = batch * shape_.seq_len;
  p.x = from;
  p.row_index = act_->last.at();
  p.out = to;
  stream_->run(GK_OP_GATHER, &p);
}

gk_attention seeded_transformer::attention_problem() const {
  gk_attention p = make<gk_attention>();
  p.qkv_type = p.o_type = activation_type_;
  p.causal = 1;  // aligned to the end, so a single last query sees every key
  p.num_heads = int32_t(shape_.heads);
  p.num_heads_kv = int32_t(shape_.heads_kv);
  p.head_dim = int32_t(head_dim_);
  p.softmax_scale = float(1 / std::sqrt(double(head_dim_)));
  p.q_token_stride = p.o_token_stride = shape_.dim;
  p.k_token_stride = p.v_token_stride = head_dim_ * shape_.heads_kv;
  p.q_head_stride = p.k_head_stride = p.v_head_stride = p.o_head_stride = head_dim_;
  return p;
}

void seeded_transformer::run_layer(const layer &l, bool last, int64_t batch) {
  activations &a = *act_;
  const int64_t tokens = batch * shape_.seq_len, dim = shape_.dim, kv_dim = head_dim_ * shape_.heads_kv;
  // In the last layer only the last position goes on after the keys and values are there.
  const bool narrow = last && shape_.seq_len > 1;
  const int64_t rows = narrow ? batch : tokens;

  normalise(a.x.at(), l.attention_norm, a.h.at(), tokens);
  gk_ref x = a.x.at(), h = a.h.at();
  if (narrow) {
    last_rows(a.x.at(), a.x_last.at(), batch, activation_type_, activation_type_);
    last_rows(a.h.at(), a.h_last.at(), batch, activation_type_, activation_type_);
    x = a.x_last.at();
    h = a.h_last.at();
  }
  multiply(l.wq, h, dim, a.q.at(), dim, rows, false);
  multiply(l.wk, a.h.at(), dim, a.k.at(), kv_dim, tokens, false);
  multiply(l.wv, a.h.at(), dim, a.v.at(), kv_dim, tokens, false);
  rotate(a.q.at(), rows, shape_.heads, narrow ? a.last_position.at() : a.positions.at());
  rotate(a.k.at(), tokens, shape_.heads_kv, a.positions.at());

  check_cancel(cancel_);
  gk_attention p = attention_problem();
  p.batch = uint32_t(batch);
  p.cu_seqlens_q = narrow ? a.cu_last.data() : a.cu_all.data();
  p.cu_seqlens_k = a.cu_all.data();
  p.q = a.q.at();
  p.k = a.k.at();
  p.v = a.v.at();
  p.o = a.o.at();
  stream_->run(GK_OP_ATTENTION, &p);

  multiply(l.wo, a.o.at(), dim, x, dim, rows, true);
  normalise(x, l.ffn_norm, h, rows);
  multiply(l.w13, h, dim, a.ffn.at(), shape_.ffn_hidden, rows, false);
  multiply(l.w2, a.ffn.at(), shape_.ffn_hidden, x, dim, rows, true);
}

void seeded_transformer::run_layers(int64_t batch) {
  activations &a = *act_;
  const int64_t tokens = batch * shape_.seq_len;
  convert(a.input.at(), GK_F16, a.x.at(), activation_type_, tokens, shape_.dim);

  for (size_t l = 0; l < layers_.size(); ++l) run_layer(layers_[l], l + 1 == layers_.size(), batch);

  const gk_ref x = shape_.seq_len > 1 ? a.x_last.at() : a.x.at();
  normalise(x, final_norm_, a.h_last.at(), batch);
  multiply(output_, a.h_last.at(), shape_.dim, a.logits.at(), shape_.vocab, batch, false);
}

void seeded_transformer::start(const inputs &inputs, int64_t batch, const std::atomic<bool> *cancel) {
  const int64_t size = shape_.seq_len * shape_.dim;
  const bool drawn = inputs.values.empty();
  if (batch <= 0 || (drawn ? int64_t(inputs.seeds.size()) != batch * 4 : int64_t(inputs.values.size()) != batch * size))
    throw status_error(GK_INVALID_ARGUMENT, "forward: inputs do not have the size of the batch");
  cancel_ = cancel;
  check_cancel(cancel_);
  reserve(batch);
  activations &a = *act_;
  if (drawn) {
    gk_normal_fill p = input_fill(batch, size);
    p.seeds_u64 = inputs.seeds.data();
    p.out = a.input.at();
    stream_->run(GK_OP_NORMAL_FILL, &p);
  } else {
    stream_->write(a.input, 0, inputs.values.data(), inputs.values.size_bytes());
  }
  if (a.passes++ == 1 && not_recorded_.empty()) a.pass = stream_->record([&] { run_layers(batch); }, &not_recorded_);
  if (a.pass)
    stream_->replay(a.pass);
  else
    run_layers(batch);
}

gk_ref seeded_transformer::logits() const {
  return act_->logits.at();
}

void seeded_transformer::read_logits(std::span<float> logits) {
  if (!act_ || int64_t(logits.size()) != act_->batch * shape_.vocab)
    throw status_error(GK_INVALID_ARGUMENT, "read_logits: no room for the logits of the batch");
  activations &a = *act_;
  if (activation_type_ == GK_F32) {
    stream_->read(a.logits, 0, logits.data(), logits.size_bytes());
    return;
  }
  // The reference widens half-precision logits, too.
  if (!a.wide_logits) a.wide_logits = buffer(*device_, logits.size_bytes());
  convert(a.logits.at(), activation_type_, a.wide_logits.at(), GK_F32, a.batch, shape_.vocab);
  stream_->read(a.wide_logits, 0, logits.data(), logits.size_bytes());
}

}  // namespace gonka
