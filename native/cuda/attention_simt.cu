// Fused attention without tensor cores: F32, and the last resort of the other types.
//
// A block has four warps of four rows each and walks the keys 32 at a time. For the scores a lane owns a key; for the
// output a lane owns every 32nd element of head_dim. Shared memory: Q [16][ld], K [32][ld], V [32][ld] as F32, ld being
// head_dim rounded up to a multiple of 32, plus 4, so that eight lanes reading 16 bytes of eight rows hit all banks.
#include "attention_args.hpp"

namespace gonka::cuda {
namespace {

constexpr uint32_t k_warps = 4, k_rows_per_warp = 4, k_rows = k_warps * k_rows_per_warp, k_keys = 32;
constexpr uint32_t k_threads = k_warps * 32;
constexpr uint32_t k_most_parts = 8;  // of head_dim, 32 elements each

GK_DEVICE void load_row(sptr<float> to, gptr<const uint8_t> base, uint32_t type, int64_t row, bool exists,
                        int32_t head_dim, uint32_t padded) {
  for (uint32_t d = lane_id(); d < padded; d += 32)
    st_shared(to + d, exists && int32_t(d) < head_dim ? load_any(base, type, row + d) : 0.0f);
}

GK_KERNEL(k_threads, 1)
attention_simt_kernel(attention_args a) {
  const attention_item w = load_item(a.items + block_idx().x);
  const uint32_t lane = lane_id(), warp = warp_id();
  const int64_t head_kv = block_idx().y;
  const int32_t rows = w.seqlen_q * a.group;
  const uint32_t parts = uint32_t(a.head_dim + 31) / 32, padded = parts * 32, ld = padded + 4;
  const sptr<float> sq = shared_at<float>(0), sk = sq + k_rows * ld, sv = sk + k_keys * ld;
  const int32_t last_row = w.row0 + int32_t(k_rows) < rows ? w.row0 + int32_t(k_rows) - 1 : rows - 1;
  const int32_t keys = visible(a, w, last_row / a.group);

  for (uint32_t r = warp; r < k_rows; r += k_warps) {
    const int32_t row = w.row0 + int32_t(r);
    load_row(sq + r * ld, a.q, a.qkv_type,
             (w.q_begin + row / a.group) * a.q_token_stride + (head_kv * a.group + row % a.group) * a.q_head_stride,
             row < rows, a.head_dim, padded);
  }
  int32_t keys_seen[k_rows_per_warp];
  GK_UNROLL
  for (uint32_t r = 0; r < k_rows_per_warp; ++r) {
    const int32_t row = w.row0 + int32_t(warp * k_rows_per_warp + r);
    keys_seen[r] = row < rows ? visible(a, w, row / a.group) : 0;
  }
  float out[k_rows_per_warp][k_most_parts] = {};
  float largest[k_rows_per_warp], total[k_rows_per_warp];
  GK_UNROLL
  for (uint32_t r = 0; r < k_rows_per_warp; ++r) {
    largest[r] = -k_infinity;
    total[r] = 0;
  }
  for (int32_t first = 0; first < keys; first += int32_t(k_keys)) {
    bar_sync();  // Q is there; everybody is done with the last keys
    for (uint32_t j = warp; j < k_keys; j += k_warps) {
      const bool exists = first + int32_t(j) < w.seqlen_k;
      const int64_t token = w.k_begin + first + j;
      load_row(sk + j * ld, a.k, a.qkv_type, token * a.k_token_stride + head_kv * a.k_head_stride, exists, a.head_dim,
               padded);
      load_row(sv + j * ld, a.v, a.qkv_type, token * a.v_token_stride + head_kv * a.v_head_stride, exists, a.head_dim,
               padded);
    }
    bar_sync();
    float score[k_rows_per_warp] = {};
    for (uint32_t d = 0; d < padded; d += 4) {
      float k[4], q[4];
      read_vector(k, sk + (lane * ld + d));
      GK_UNROLL
      for (uint32_t r = 0; r < k_rows_per_warp; ++r) {
        read_vector(q, sq + ((warp * k_rows_per_warp + r) * ld + d));
        GK_UNROLL
        for (int i = 0; i < 4; ++i) score[r] = fma(q[i], k[i], score[r]);
      }
    }
    GK_UNROLL
    for (uint32_t r = 0; r < k_rows_per_warp; ++r) {
      const float s = first + int32_t(lane) < keys_seen[r] ? score[r] * a.scale_log2 : -k_infinity;
      float now = s;
      GK_UNROLL
      for (uint32_t d = 16; d != 0; d /= 2) {
        const float other = shfl_xor(now, d);
        now = other > now ? other : now;
      }
      now = largest[r] > now ? largest[r] : now;
      const float base = now == -k_infinity ? 0 : now;
      const float shrink = ex2_approx(largest[r] - base);
      largest[r] = now;
      score[r] = ex2_approx(s - base);
      float sum = score[r];
      GK_UNROLL
      for (uint32_t d = 16; d != 0; d /= 2) sum += shfl_xor(sum, d);
      total[r] = fma(total[r], shrink, sum);
      GK_UNROLL
      for (uint32_t i = 0; i < k_most_parts; ++i) out[r][i] *= shrink;
    }
    for (uint32_t j = 0; j < k_keys; ++j) {
      float p[k_rows_per_warp];
      GK_UNROLL
      for (uint32_t r = 0; r < k_rows_per_warp; ++r) p[r] = shfl_idx(score[r], j);
      GK_UNROLL
      for (uint32_t i = 0; i < k_most_parts; ++i) {
        if (i >= parts) break;
        const float v = ld_shared(sv + (j * ld + i * 32 + lane));
        GK_UNROLL
        for (uint32_t r = 0; r < k_rows_per_warp; ++r) out[r][i] = fma(p[r], v, out[r][i]);
      }
    }
  }
  GK_UNROLL
  for (uint32_t r = 0; r < k_rows_per_warp; ++r) {
    const int32_t row = w.row0 + int32_t(warp * k_rows_per_warp + r);
    if (row >= rows) continue;
    const int64_t token = w.q_begin + row / a.group, head = head_kv * a.group + row % a.group;
    GK_UNROLL
    for (uint32_t i = 0; i < k_most_parts; ++i) {
      const int32_t d = int32_t(i * 32 + lane);
      if (d < a.head_dim)
        store_any(a.o, a.o_type, token * a.o_token_stride + head * a.o_head_stride + d,
                  total[r] == 0 ? 0 : div_rn(out[r][i], total[r]));
    }
    if (a.has_lse && lane == 0)
      st_global(a.lse + head * a.total_q + token,
                total[r] == 0 ? -k_infinity : (largest[r] + lg2_approx(total[r])) * 0.6931471805599453f);
  }
}

}  // namespace

void run_attention_simt(const gk_attention &p, places at, context &ctx) {
  attention_args a;
  const uint32_t items = prepare_attention(p, at, ctx, int32_t(k_rows), a);
  if (items == 0) return;
  const uint32_t ld = uint32_t(ceil_div(p.head_dim, 32)) * 32 + 4;
  const runtime::launch_shape shape = {.grid_x = items,
                                       .grid_y = uint32_t(p.num_heads_kv),
                                       .threads = k_threads,
                                       .shared_bytes = (k_rows + 2 * k_keys) * ld * 4};
  runtime::launch(ctx.stream(), &attention_simt_kernel, shape, a);
}

}  // namespace gonka::cuda
