// attention: which kernel runs what, best first; work items.
#include <algorithm>
#include <vector>

#include "attention_args.hpp"

namespace gonka::cuda {

uint32_t prepare_attention(const gk_attention &p, places at, context &ctx, int32_t rows, attention_args &a) {
  a = {};
  a.group = p.num_heads / p.num_heads_kv;
  a.head_dim = p.head_dim;
  a.causal = p.causal;
  std::vector<attention_item> items;
  for (uint32_t b = 0; b < p.batch; ++b) {
    const int64_t seqlen_q = p.cu_seqlens_q[b + 1] - p.cu_seqlens_q[b];
    for (int64_t row0 = 0; row0 < seqlen_q * a.group; row0 += rows)
      items.push_back({p.cu_seqlens_q[b], p.cu_seqlens_k[b], int32_t(seqlen_q),
                       int32_t(p.cu_seqlens_k[b + 1] - p.cu_seqlens_k[b]), int32_t(row0), 0});
  }
  if (items.empty()) return 0;
  const auto keys = [&](const attention_item &w) {
    return p.causal == 0 ? int64_t(w.seqlen_k) : w.seqlen_k - w.seqlen_q + w.row0 / a.group;
  };
  std::stable_sort(items.begin(), items.end(),
                   [&](const attention_item &x, const attention_item &y) { return keys(x) > keys(y); });
  a.items = runtime::address<const attention_item>(ctx.upload(0, items.data(), items.size() * sizeof(attention_item)));
  a.q = runtime::address<const uint8_t>(at[k_attention_q]);
  a.k = runtime::address<const uint8_t>(at[k_attention_k]);
  a.v = runtime::address<const uint8_t>(at[k_attention_v]);
  a.o = runtime::address<uint8_t>(at[k_attention_o]);
  a.lse = runtime::address<float>(at[k_attention_lse]);
  a.has_lse = at[k_attention_lse] != nullptr;
  a.q_token_stride = p.q_token_stride, a.q_head_stride = p.q_head_stride;
  a.k_token_stride = p.k_token_stride, a.k_head_stride = p.k_head_stride;
  a.v_token_stride = p.v_token_stride, a.v_head_stride = p.v_head_stride;
  a.o_token_stride = p.o_token_stride, a.o_head_stride = p.o_head_stride;
  a.total_q = p.cu_seqlens_q[p.batch];
  a.qkv_type = p.qkv_type;
  a.o_type = p.o_type;
  const int64_t unit = 16 / dtype_size(p.qkv_type);
  const auto whole = [&](void *base, int64_t token, int64_t head) {
    return aligned_16(base) && token % unit == 0 && head % unit == 0;
  };
  a.vector_q = whole(at[k_attention_q], p.q_token_stride, p.q_head_stride);
  a.vector_kv = whole(at[k_attention_k], p.k_token_stride, p.k_head_stride) &&
                whole(at[k_attention_v], p.v_token_stride, p.v_head_stride);
  a.pair_o = reinterpret_cast<uintptr_t>(at[k_attention_o]) % (2 * dtype_size(p.o_type)) == 0 &&
             p.o_token_stride % 2 == 0 && p.o_head_stride % 2 == 0;
  a.scale_log2 = p.softmax_scale * 1.4426950408889634f;
  return uint32_t(items.size());
}

namespace {

const gk_attention &view(const void *problem) {
  return *static_cast<const gk_attention *>(problem);
}

const char *reject_common(const void *problem, const capability &) {
  const gk_attention &p = view(problem);
  if (p.num_heads_kv > 65535) return "more than 65535 key/value heads";
  int64_t tiles = 0;
  for (uint32_t b = 0; b < p.batch; ++b) {
    const int64_t seqlen_q = p.cu_seqlens_q[b + 1] - p.cu_seqlens_q[b];
    const int64_t seqlen_k = p.cu_seqlens_k[b + 1] - p.cu_seqlens_k[b];
    if (seqlen_q * (p.num_heads / p.num_heads_kv) > 0x7fffff00 || seqlen_k > 0x7fffff00)
      return "a sequence with 2^31 rows or more";
    tiles += ceil_div(seqlen_q * (p.num_heads / p.num_heads_kv), 16);
  }
  return tiles > 0x7fffffff ? "more than 2^31 - 1 tiles" : nullptr;
}

const char *reject_mma(const void *problem, const capability &can) {
  if (can.compute_capability < 80) return "mma.sync of these types needs compute capability 8.0";
  if (view(problem).qkv_type == GK_F32) return "tensor cores would round F32 operands";
  return reject_common(problem, can);
}

void run_mma(void *problem, places at, context &ctx) {
  const gk_attention &p = view(problem);
  if (p.qkv_type == GK_F16)
    run_attention_mma_f16(p, at, ctx);
  else
    run_attention_mma_bf16(p, at, ctx);
}

void run_simt(void *problem, places at, context &ctx) {
  run_attention_simt(view(problem), at, ctx);
}

const char *reject_wgmma(const void *problem, const capability &can) {
  const gk_attention &p = view(problem);
  if (can.compute_capability != 90) return "wgmma exists on compute capability 9.0 only";
  if (p.qkv_type == GK_F32) return "tensor cores would round F32 operands";
  if (!(p.softmax_scale > 0)) return "softmax_scale is not above 0";
  const auto whole = [](int64_t stride, int64_t count) {
    return count == 1 || (stride % 8 == 0 && stride > 0 && stride < int64_t(1) << 38);
  };
  const int64_t total_k = p.batch > 0 ? p.cu_seqlens_k[p.batch] : 0;
  if (!whole(p.k_token_stride, total_k) || !whole(p.v_token_stride, total_k) ||
      !whole(p.k_head_stride, p.num_heads_kv) || !whole(p.v_head_stride, p.num_heads_kv))
    return "bulk copies need rows of K and V 16 bytes aligned";
  if (total_k == 0 || total_k >= int64_t(1) << 31) return "no keys, or 2^31 and more";
  return reject_common(problem, can);
}

const char *reject_wgmma_places(const void *, places at) {
  return aligned_16(at[k_attention_k]) && aligned_16(at[k_attention_v]) ? nullptr
                                                                        : "bulk copies need K and V 16 bytes aligned";
}

// A block has 128 rows; with fewer than half of them in use, the smaller block of mma.sync wastes less.
const char *wgmma_is_slower(const void *problem, const capability &) {
  const gk_attention &p = view(problem);
  for (uint32_t b = 0; b < p.batch; ++b)
    if ((p.cu_seqlens_q[b + 1] - p.cu_seqlens_q[b]) * (p.num_heads / p.num_heads_kv) > 64) return nullptr;
  return "too few rows";
}

// Two orders of the same steps (see attention_sm90.cu); the arithmetic is that of one.
uint32_t wgmma_variants(const void *, const capability &) {
  return 2;
}

// Lengths up to the next power of two go together.
std::string shape_class(const void *problem) {
  const gk_attention &p = view(problem);
  int64_t longest = 1, most = 0;
  for (uint32_t b = 0; b < p.batch; ++b) most = std::max(most, p.cu_seqlens_k[b + 1] - p.cu_seqlens_k[b]);
  while (longest < most) longest *= 2;
  return std::string(dtype_name(p.qkv_type)) + (p.causal != 0 ? " causal " : " ") + std::to_string(longest) + " " +
         std::to_string(p.num_heads) + " " + std::to_string(p.num_heads_kv) + " " + std::to_string(p.head_dim);
}

void run_wgmma(void *problem, places at, context &ctx) {
  run_attention_wgmma(view(problem), at, ctx);
}

constexpr implementation k_list[] = {
    {"sm90_wgmma", reject_wgmma, reject_wgmma_places, run_wgmma, wgmma_is_slower, wgmma_variants, shape_class},
    {"sm80_mma", reject_mma, nullptr, run_mma},
    {"simt", reject_common, nullptr, run_simt},
};

}  // namespace

std::span<const implementation> attention_list() noexcept {
  return k_list;
}

}  // namespace gonka::cuda
