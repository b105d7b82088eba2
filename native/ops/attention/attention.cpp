#include "attention.hpp"

#include <cmath>

#include "check.hpp"

namespace gonka {
namespace {

gk_status check_offsets(const char *field, const int64_t *offsets, uint32_t batch, gk_error *err) noexcept {
  if (offsets == nullptr)
    return fail(err, GK_INVALID_ARGUMENT, "attention: %s is null; expected %u offsets", field, batch + 1);
  if (offsets[0] != 0)
    return fail(err, GK_INVALID_ARGUMENT, "attention: %s[0]=%lld; expected 0", field,
                static_cast<long long>(offsets[0]));
  for (uint32_t b = 0; b < batch; ++b)
    if (offsets[b + 1] < offsets[b])
      return fail(err, GK_INVALID_ARGUMENT, "attention: %s[%u]=%lld is below %s[%u]=%lld; expected increasing offsets",
                  field, b + 1, static_cast<long long>(offsets[b + 1]), field, b, static_cast<long long>(offsets[b]));
  return GK_OK;
}

gk_status check_strides(const gk_attention &p, const char *name, int64_t tokens, int64_t token_stride, int32_t heads,
                        int64_t head_stride, uint32_t type, gk_error *err) noexcept {
  if (token_stride < 0 || head_stride < 0)
    return fail(err, GK_INVALID_ARGUMENT, "attention: %s_token_stride=%lld, %s_head_stride=%lld; expected both >= 0",
                name, static_cast<long long>(token_stride), name, static_cast<long long>(head_stride));
  if (!extent_fits(heads, head_stride, tokens, token_stride, p.head_dim, type))
    return fail(err, GK_INVALID_ARGUMENT,
                "attention: %s of %lld tokens with %s_token_stride=%lld, %s_head_stride=%lld exceeds 2^62 bytes", name,
                static_cast<long long>(tokens), name, static_cast<long long>(token_stride), name,
                static_cast<long long>(head_stride));
  return GK_OK;
}

// No two heads of O may share an element: one stride spans all runs of the other.
bool output_disjoint(const gk_attention &p, int64_t tokens) {
  const int64_t d = p.head_dim;
  if (tokens == 0) return true;
  if ((p.num_heads > 1 && p.o_head_stride < d) || (tokens > 1 && p.o_token_stride < d)) return false;
  return tokens == 1 || p.num_heads == 1 || p.o_token_stride >= __int128(p.num_heads - 1) * p.o_head_stride + d ||
         p.o_head_stride >= __int128(tokens - 1) * p.o_token_stride + d;
}

gk_status validate(const void *problem, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_attention *>(problem);
  gk_status s = check_struct("attention", p.struct_size, sizeof p, err);
  if (s == GK_OK) s = check_float("attention", "qkv_type", p.qkv_type, err);
  if (s == GK_OK) s = check_float("attention", "o_type", p.o_type, err);
  if (s != GK_OK) return s;
  if (p.o_type != GK_F32 && p.o_type != p.qkv_type)
    return fail(err, GK_UNSUPPORTED, "attention: o_type=%s with qkv_type=%s; expected f32 or the same type",
                dtype_name(p.o_type), dtype_name(p.qkv_type));
  if (p.causal > 1) return fail(err, GK_UNSUPPORTED, "attention: causal=%u; expected 0 or 1", p.causal);
  if (p.num_heads < 1 || p.num_heads_kv < 1 || p.num_heads % p.num_heads_kv != 0)
    return fail(err, GK_INVALID_ARGUMENT,
                "attention: num_heads=%d, num_heads_kv=%d; expected num_heads to be a multiple of num_heads_kv >= 1",
                p.num_heads, p.num_heads_kv);
  if (p.head_dim < 1 || p.head_dim > k_attention_max_head_dim)
    return fail(err, GK_INVALID_ARGUMENT, "attention: head_dim=%d; expected 1 to %d", p.head_dim,
                k_attention_max_head_dim);
  if (!std::isfinite(p.softmax_scale))
    return fail(err, GK_INVALID_ARGUMENT, "attention: softmax_scale=%g; expected a finite number",
                double(p.softmax_scale));
  if (p.batch > 0) {
    s = check_offsets("cu_seqlens_q", p.cu_seqlens_q, p.batch, err);
    if (s == GK_OK) s = check_offsets("cu_seqlens_k", p.cu_seqlens_k, p.batch, err);
    if (s != GK_OK) return s;
  }
  const int64_t total_q = p.batch > 0 ? p.cu_seqlens_q[p.batch] : 0;
  const int64_t total_k = p.batch > 0 ? p.cu_seqlens_k[p.batch] : 0;
  s = check_strides(p, "q", total_q, p.q_token_stride, p.num_heads, p.q_head_stride, p.qkv_type, err);
  if (s == GK_OK)
    s = check_strides(p, "k", total_k, p.k_token_stride, p.num_heads_kv, p.k_head_stride, p.qkv_type, err);
  if (s == GK_OK)
    s = check_strides(p, "v", total_k, p.v_token_stride, p.num_heads_kv, p.v_head_stride, p.qkv_type, err);
  if (s == GK_OK) s = check_strides(p, "o", total_q, p.o_token_stride, p.num_heads, p.o_head_stride, p.o_type, err);
  if (s != GK_OK) return s;
  if (!output_disjoint(p, total_q))
    return fail(err, GK_INVALID_ARGUMENT,
                "attention: o_token_stride=%lld and o_head_stride=%lld make heads of head_dim=%d overlap",
                static_cast<long long>(p.o_token_stride), static_cast<long long>(p.o_head_stride), p.head_dim);
  if (!extent_fits(1, 0, p.num_heads, total_q, total_q, GK_F32))
    return fail(err, GK_INVALID_ARGUMENT, "attention: lse of %d heads and %lld tokens exceeds 2^62 bytes", p.num_heads,
                static_cast<long long>(total_q));
  return GK_OK;
}

std::vector<operand> operands(void *problem) {
  auto &p = *static_cast<gk_attention *>(problem);
  const uint64_t total_q = p.batch > 0 ? uint64_t(p.cu_seqlens_q[p.batch]) : 0;
  const uint64_t total_k = p.batch > 0 && total_q > 0 ? uint64_t(p.cu_seqlens_k[p.batch]) : 0;
  const auto make = [&](const char *name, gk_ref &ref, access mode, uint32_t type, uint64_t tokens,
                        int64_t token_stride, int32_t heads, int64_t head_stride) -> operand {
    const uint64_t size = dtype_size(type);
    return {name,
            &ref,
            mode,
            type,
            tokens,
            uint64_t(p.head_dim) * size,
            uint64_t(token_stride) * size,
            true,
            uint64_t(heads),
            uint64_t(head_stride) * size};
  };
  operand lse = matrix_operand("lse", p.lse, access::out, GK_F32, p.num_heads, int64_t(total_q), int64_t(total_q));
  lse.required = false;
  return {
      make("q", p.q, access::in, p.qkv_type, total_q, p.q_token_stride, p.num_heads, p.q_head_stride),
      make("k", p.k, access::in, p.qkv_type, total_k, p.k_token_stride, p.num_heads_kv, p.k_head_stride),
      make("v", p.v, access::in, p.qkv_type, total_k, p.v_token_stride, p.num_heads_kv, p.v_head_stride),
      make("o", p.o, access::out, p.o_type, total_q, p.o_token_stride, p.num_heads, p.o_head_stride),
      lse,
  };
}

// Two products of 2 head_dim flops for every query and key it sees.
work count(const void *problem) {
  const auto &p = *static_cast<const gk_attention *>(problem);
  double pairs = 0;
  for (uint32_t b = 0; b < p.batch; ++b) {
    const double q = double(p.cu_seqlens_q[b + 1] - p.cu_seqlens_q[b]);
    const double k = double(p.cu_seqlens_k[b + 1] - p.cu_seqlens_k[b]);
    const double hidden = q < k ? q : k;  // queries whose row is cut by the diagonal
    pairs += p.causal == 0 ? q * k : hidden * (k - hidden) + hidden * (hidden + 1) / 2;
  }
  const double total_q = p.batch > 0 ? double(p.cu_seqlens_q[p.batch]) : 0;
  const double total_k = p.batch > 0 ? double(p.cu_seqlens_k[p.batch]) : 0;
  return {4.0 * p.head_dim * p.num_heads * pairs,
          p.head_dim * (total_q * p.num_heads * (dtype_size(p.qkv_type) + dtype_size(p.o_type)) +
                        2 * total_k * p.num_heads_kv * dtype_size(p.qkv_type))};
}

}  // namespace

extern const op_spec attention_op;
const op_spec attention_op = {
    .op = GK_OP_ATTENTION,
    .name = "attention",
    .operation_unit = "flop",
    .problem_size = sizeof(gk_attention),
    .exact = false,
    .validate = validate,
    .operands = operands,
    .count = count,
    .reference = attention_reference,
};

}  // namespace gonka
