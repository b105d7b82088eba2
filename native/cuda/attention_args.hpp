// What every attention kernel is given.
//
// Rows: the query heads of one key/value head are stacked, so that they share every key and value that is loaded. Row r
// of a sequence is query r / group of head r % group (within the group). A work item is a run of rows of one sequence
// and one key/value head (block_idx().y).
#pragma once

#include "attention/attention.hpp"
#include "device/dispatch.hpp"
#include "device/elements.cuh"
#include "implementation.hpp"

namespace gonka::cuda {

struct attention_item {
  int64_t q_begin, k_begin;  // token offsets of the sequence
  int32_t seqlen_q, seqlen_k;
  int32_t row0;
  int32_t reserved;
};

struct attention_args {
  gptr<const attention_item> items;
  gptr<const uint8_t> q, k, v;
  gptr<uint8_t> o;
  gptr<float> lse;
  int64_t q_token_stride, q_head_stride, k_token_stride, k_head_stride;
  int64_t v_token_stride, v_head_stride, o_token_stride, o_head_stride;
  int64_t total_q;
  int32_t group, head_dim;
  uint32_t qkv_type, o_type, causal, has_lse;
  uint32_t vector_q, vector_kv;  // rows begin at multiples of 16 bytes
  uint32_t pair_o;               // rows of O begin at multiples of two elements
  float scale_log2;              // softmax_scale * log2(e)
};

// Keys that query i of a sequence sees.
GK_DEVICE int32_t visible(const attention_args &a, const attention_item &w, int32_t i) {
  if (!a.causal) return w.seqlen_k;
  const int64_t n = int64_t(i) + 1 + w.seqlen_k - w.seqlen_q;
  return n < 0 ? 0 : n > w.seqlen_k ? w.seqlen_k : int32_t(n);
}

GK_DEVICE attention_item load_item(gptr<const attention_item> p) {
  const gptr<const u32x4> q = ptr_cast<const u32x4>(p);
  const u32x4 first = ld_global(q), second = ld_global(q + 1);
  return {int64_t(first.x | uint64_t(first.y) << 32),
          int64_t(first.z | uint64_t(first.w) << 32),
          int32_t(second.x),
          int32_t(second.y),
          int32_t(second.z),
          0};
}

GK_DEVICE void store_any(gptr<uint8_t> base, uint32_t type, int64_t index, float value) {
  if (type == GK_F32)
    st_global(ptr_cast<float>(base) + index, value);
  else
    st_global(ptr_cast<uint16_t>(base) + index,
              type == GK_F16 ? from_f32<f16>(value).bits : from_f32<bf16>(value).bits);
}

// Elements d and d + 1 of a row of O, as far as they lie inside head_dim.
template <class T>
GK_DEVICE void store_pair(const attention_args &a, int64_t row, int32_t d, float x, float y) {
  if (d + 1 < a.head_dim && a.pair_o) {
    if (a.o_type == GK_F32)
      st_global(ptr_cast<f32x2>(ptr_cast<float>(a.o) + row + d), f32x2{x, y});
    else
      st_global(ptr_cast<uint32_t>(ptr_cast<uint16_t>(a.o) + row + d), pack_f32x2<T>(x, y));
    return;
  }
  if (d < a.head_dim) store_any(a.o, a.o_type, row + d, x);
  if (d + 1 < a.head_dim) store_any(a.o, a.o_type, row + d + 1, y);
}

// Host: fills the arguments and uploads the work items for blocks of `rows` rows, those with most keys first, so that
// the last blocks to finish are short. 0 items: nothing to do.
uint32_t prepare_attention(const gk_attention &p, places at, context &ctx, int32_t rows, attention_args &a);

void run_attention_mma_f16(const gk_attention &p, places at, context &ctx);
void run_attention_mma_bf16(const gk_attention &p, places at, context &ctx);
void run_attention_wgmma(const gk_attention &p, places at, context &ctx);
void run_attention_simt(const gk_attention &p, places at, context &ctx);

}  // namespace gonka::cuda
