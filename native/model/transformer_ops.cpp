// The transformer's ops as problems of the backend boundary.
#include <algorithm>

#include "transformer.hpp"
#include "transformer_activations.hpp"

namespace gonka {
namespace {

gk_ref advanced(const gk_ref &ref, uint64_t bytes) {
  return {ref.buffer, ref.offset + bytes};
}

}  // namespace

void transformer::multiply(const product &c) {
  check_cancel();
  const weight_matrix &w = c.w;
  const bool biased = c.bias != nullptr && static_cast<bool>(*c.bias);
  // The bias is what the product is added to: one row, spread over all.
  if (biased) gather({c.bias->at(), model_.dtype, 1, c.d, c.d_type, c.rows, w.n, act_->zeros.at()});
  gk_gemm p{};
  p.struct_size = sizeof p;
  p.a_type = compute_;
  p.b_type = w.type;
  p.d_type = c.d_type;
  p.b_packed = w.packed ? 1 : 0;
  p.n = w.n;
  p.k = w.k;
  p.lda = p.ldb = w.k;
  p.ldc = p.ldd = w.n;
  p.alpha = 1;
  p.beta = c.add || biased ? 1.f : 0.f;
  p.b = w.data.at();
  p.epilogue = w.swiglu ? GK_EPILOGUE_SWIGLU : GK_EPILOGUE_NONE;
  if (w.swiglu && !w.packed) p.b2 = w.data.at(w.second_offset);
  for (int64_t row = 0; row < c.rows; row += c.chunk) {
    p.m = std::min(c.chunk, c.rows - row);
    p.a = advanced(c.a, uint64_t(row) * uint64_t(w.k) * dtype_size(compute_));
    p.d = advanced(c.d, uint64_t(row) * uint64_t(w.n) * dtype_size(c.d_type));
    if (p.beta != 0) p.c = p.d;
    stream_->run(GK_OP_GEMM, &p);
  }
}

void transformer::normalise(const gk_ref &x, uint32_t type, const buffer &weight, const gk_ref &y, int64_t count,
                            int64_t columns, const change &first) {
  gk_rms_norm p{};
  p.struct_size = sizeof p;
  p.type = type;
  p.w_type = model_.dtype;
  p.round_before_weight = 1;
  p.eps = model_.norm_eps;
  p.rows = count;
  p.columns = p.ldx = p.ldy = p.ld_residual = p.ld_sum = columns;
  p.x = x;
  p.residual = first.residual;
  p.reflector = first.reflector;
  if (first.residual.buffer != nullptr || first.reflector.buffer != nullptr) p.sum = x;
  p.w = weight.at();
  p.y = y;
  stream_->run(GK_OP_RMS_NORM, &p);
}

void transformer::normalise_stream(const gk_ref &x, const buffer &weight, const gk_ref &y, int64_t count,
                                   const change &first) {
  if (compute_ == stream_type_) return normalise(x, compute_, weight, y, count, model_.hidden, first);
  const gk_ref wide = act_->wide.at();
  normalise(x, stream_type_, weight, wide, count, model_.hidden, first);
  gather({wide, stream_type_, count, y, compute_, count, model_.hidden});
}

void transformer::rotate(const gk_ref &x, int64_t tokens, const attention_description &a, int64_t heads,
                         const gk_ref &positions) {
  gk_rope p{};
  p.struct_size = sizeof p;
  p.type = compute_;
  p.layout = GK_ROPE_HALF;
  p.tokens = tokens;
  p.token_stride = heads * a.head_dim;
  p.head_stride = a.head_dim;
  p.heads = int32_t(heads);
  p.head_dim = a.head_dim;
  p.rotary_dim = model_.rope.rotary_dim;
  p.table_positions = rope_positions_;
  p.x = x;
  p.table = rope_.at();
  p.positions = positions;
  stream_->run(GK_OP_ROPE, &p);
}

void transformer::gather(const copy &c) {
  gk_gather p{};
  p.struct_size = sizeof p;
  p.x_type = c.from_type;
  p.out_type = c.to_type;
  p.rows = c.count;
  p.columns = p.x_columns = p.ldx = p.ldo = c.columns;
  p.x_rows = c.from_rows;
  p.x = c.from;
  p.row_index = c.row_index;
  p.out = c.to;
  stream_->run(GK_OP_GATHER, &p);
}

void transformer::reflect(size_t layer, const gk_ref &x, int64_t count) {
  gk_householder p{};
  p.struct_size = sizeof p;
  p.type = stream_type_;
  p.rows = count;
  p.columns = p.ldx = model_.hidden;
  p.x = x;
  p.v = reflector_of(layer);
  stream_->run(GK_OP_HOUSEHOLDER, &p);
}

gk_ref transformer::reflector_of(size_t layer) const {
  return reflections_.at(layer * uint64_t(model_.hidden) * dtype_size(stream_type_));
}

}  // namespace gonka
