// Fused attention on mma.sync: online softmax in registers, K and V through a two-stage cp.async pipeline; for sm_80
// and every later architecture. After Dao, FlashAttention-2, arXiv 2307.08691, section 3.
//
// A block has 64 rows (see attention_args.hpp), a warp 16 of them; short sequences have blocks of one warp, so that no
// rows and keys are loaded that do not exist. Both add in the same order. Shared memory: Q [rows][D], then two stages
// of K [keys][D] and V [keys][D], D being head_dim rounded up to 64, 96, 128 or 256 and filled with zeros. 16-byte
// chunk c of row r lies at c ^ (r % 8) (D 96: c ^ (r / 2 % 4), as its rows are not a multiple of 128 bytes): free of
// bank conflicts for ldmatrix and cp.async.
#pragma once

#include "attention_args.hpp"

namespace gonka::cuda {

// Shapes by padded head_dim. keys: per stage, so that two stages and Q fit into the 99 KiB of sm_86, sm_89 and sm_120.
template <int D, int Rows = 64>
struct attention_shape {
  static constexpr int k_keys = Rows == 16 ? 16 : D <= 128 ? 64 : 32;
  static constexpr int k_rows = Rows;
  static constexpr uint32_t k_threads = Rows * 2;
  static constexpr uint32_t k_row_bytes = D * 2;
  static constexpr uint32_t k_tile_bytes = k_keys * k_row_bytes;
  static constexpr uint32_t k_q_bytes = k_rows * k_row_bytes;
  static constexpr uint32_t k_shared_bytes = k_q_bytes + 4 * k_tile_bytes;
};

template <class T, int D, int Rows>
struct attention_mma {
  using shape = attention_shape<D, Rows>;
  static constexpr int k_keys = shape::k_keys, k_chunks = D / 8;
  static constexpr int k_score_tiles = k_keys / 8, k_out_tiles = D / 8;

  GK_DEVICE static uint32_t offset(uint32_t row, uint32_t chunk) {
    return row * shape::k_row_bytes + ((D % 64 == 0 ? chunk ^ (row % 8) : chunk ^ (row / 2 % 4)) * 16);
  }

  // head_dim elements of one row to shared memory, zeros up to D; all zeros if the row does not exist.
  GK_DEVICE static void load_chunk(sptr<uint8_t> to, gptr<const uint8_t> row, uint32_t chunk, bool exists,
                                   int32_t head_dim, bool vector) {
    const int32_t left = exists ? head_dim - int32_t(chunk) * 8 : 0;
    const uint32_t elements = left <= 0 ? 0 : left >= 8 ? 8 : uint32_t(left);
    const gptr<const uint8_t> from = elements == 0 ? row : row + chunk * 16;
    if (vector) {
      cp_async_16(to, from, elements * 2);
      return;
    }
    uint32_t words[4] = {0, 0, 0, 0};
    GK_UNROLL
    for (uint32_t i = 0; i < 8; ++i)
      if (i < elements) words[i / 2] |= uint32_t(ld_global(ptr_cast<const uint16_t>(from) + i)) << (i % 2 * 16);
    st_shared(ptr_cast<u32x4>(to), u32x4{words[0], words[1], words[2], words[3]});
  }

  // Tokens first .. first + keys of K or V.
  GK_DEVICE static void load_tile(const attention_args &a, const attention_item &w, sptr<uint8_t> to,
                                  gptr<const uint8_t> head, int64_t token_stride, int32_t first) {
    GK_UNROLL
    for (uint32_t i = 0; i < k_keys * k_chunks / shape::k_threads; ++i) {
      const uint32_t index = i * shape::k_threads + thread_idx().x;
      const uint32_t key = index / k_chunks, chunk = index % k_chunks;
      const bool exists = first + int32_t(key) < w.seqlen_k;
      const gptr<const uint8_t> row = exists ? head + (w.k_begin + first + key) * token_stride * 2 : head;
      load_chunk(to + offset(key, chunk), row, chunk, exists, a.head_dim, a.vector_kv);
    }
  }

  GK_DEVICE static void run(const attention_args &a) {
    const attention_item w = load_item(a.items + block_idx().x);
    const uint32_t lane = lane_id(), warp = warp_id();
    const int64_t head_kv = block_idx().y;
    const int32_t rows = w.seqlen_q * a.group;
    const sptr<uint8_t> sq = shared_at<uint8_t>(0), skv = sq + shape::k_q_bytes;
    const gptr<const uint8_t> k_head = a.k + head_kv * a.k_head_stride * 2,
                              v_head = a.v + head_kv * a.v_head_stride * 2;

    // The last row of the block sees most keys.
    const int32_t last_row = w.row0 + shape::k_rows < rows ? w.row0 + shape::k_rows - 1 : rows - 1;
    const int32_t tiles = (visible(a, w, last_row / a.group) + k_keys - 1) / k_keys;

    for (uint32_t index = thread_idx().x; index < shape::k_rows * k_chunks; index += shape::k_threads) {
      const uint32_t r = index / k_chunks, chunk = index % k_chunks;
      const int32_t row = w.row0 + int32_t(r);
      const bool exists = row < rows;
      const gptr<const uint8_t> from = exists ? a.q + ((w.q_begin + row / a.group) * a.q_token_stride +
                                                       (head_kv * a.group + row % a.group) * a.q_head_stride) *
                                                          2
                                              : a.q;
      load_chunk(sq + offset(r, chunk), from, chunk, exists, a.head_dim, a.vector_q);
    }
    const auto stage = [&](int32_t tile) { return skv + (tile & 1) * 2 * shape::k_tile_bytes; };
    if (tiles > 0) {
      load_tile(a, w, stage(0), k_head, a.k_token_stride, 0);
      load_tile(a, w, stage(0) + shape::k_tile_bytes, v_head, a.v_token_stride, 0);
    }
    cp_async_commit();

    // This thread's two rows: lane / 4 and lane / 4 + 8 of the warp's 16.
    int32_t keys_seen[2];
    GK_UNROLL
    for (int h = 0; h < 2; ++h) {
      const int32_t row = w.row0 + int32_t(warp * 16 + lane / 4) + h * 8;
      keys_seen[h] = row < rows ? visible(a, w, row / a.group) : 0;
    }
    float out[k_out_tiles][4] = {};
    float largest[2] = {-k_infinity, -k_infinity}, total[2] = {0, 0};  // total: this thread's columns only

    for (int32_t tile = 0; tile < tiles; ++tile) {
      if (tile + 1 < tiles) {
        load_tile(a, w, stage(tile + 1), k_head, a.k_token_stride, (tile + 1) * k_keys);
        load_tile(a, w, stage(tile + 1) + shape::k_tile_bytes, v_head, a.v_token_stride, (tile + 1) * k_keys);
      }
      cp_async_commit();
      cp_async_wait<1>();
      bar_sync();
      const sptr<uint8_t> sk = stage(tile), sv = sk + shape::k_tile_bytes;

      float score[k_score_tiles][4] = {};
      GK_UNROLL
      for (uint32_t c = 0; c < k_chunks; c += 2) {
        uint32_t fq[4];
        ldmatrix_x4(fq, sq + offset(warp * 16 + lane % 16, c + lane / 16));
        GK_UNROLL
        for (int j = 0; j < k_score_tiles; j += 2) {
          uint32_t fk[4];
          ldmatrix_x4(fk, sk + offset(j * 8 + lane % 8 + lane / 16 * 8, c + lane / 8 % 2));
          const uint32_t first[2] = {fk[0], fk[1]}, second[2] = {fk[2], fk[3]};
          mma_m16n8k16<T>(score[j], fq, first);
          mma_m16n8k16<T>(score[j + 1], fq, second);
        }
      }

      // Scores to base 2, masked; their maximum over the row, which four neighbouring lanes share.
      float now[2] = {largest[0], largest[1]};
      GK_UNROLL
      for (int j = 0; j < k_score_tiles; ++j) GK_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int32_t key = tile * k_keys + j * 8 + int32_t(lane % 4) * 2 + e % 2;
        const float s = key < keys_seen[e / 2] ? score[j][e] * a.scale_log2 : -k_infinity;
        score[j][e] = s;
        now[e / 2] = s > now[e / 2] ? s : now[e / 2];
      }
      float base[2];
      GK_UNROLL
      for (int h = 0; h < 2; ++h) {
        GK_UNROLL
        for (uint32_t d = 1; d < 4; d *= 2) {
          const float other = shfl_xor(now[h], d);
          now[h] = other > now[h] ? other : now[h];
        }
        base[h] = now[h] == -k_infinity ? 0 : now[h];  // a row that has seen nothing keeps zeros
        const float shrink = ex2_approx(largest[h] - base[h]);
        largest[h] = now[h];
        total[h] *= shrink;
        GK_UNROLL
        for (int j = 0; j < k_out_tiles; ++j) {
          out[j][2 * h] *= shrink;
          out[j][2 * h + 1] *= shrink;
        }
      }
      GK_UNROLL
      for (int j = 0; j < k_score_tiles; ++j) GK_UNROLL
      for (int e = 0; e < 4; ++e) {
        score[j][e] = ex2_approx(score[j][e] - base[e / 2]);
        total[e / 2] += score[j][e];
      }

      // The accumulator layout of two score tiles is the A layout of one step over 16 keys.
      GK_UNROLL
      for (int j = 0; j < k_score_tiles; j += 2) {
        const uint32_t fp[4] = {pack_f32x2<T>(score[j][0], score[j][1]), pack_f32x2<T>(score[j][2], score[j][3]),
                                pack_f32x2<T>(score[j + 1][0], score[j + 1][1]),
                                pack_f32x2<T>(score[j + 1][2], score[j + 1][3])};
        GK_UNROLL
        for (uint32_t c = 0; c < k_out_tiles; c += 2) {
          uint32_t fv[4];
          ldmatrix_x4_trans(fv, sv + offset(j * 8 + lane % 16, c + lane / 16));
          const uint32_t first[2] = {fv[0], fv[1]}, second[2] = {fv[2], fv[3]};
          mma_m16n8k16<T>(out[c], fp, first);
          mma_m16n8k16<T>(out[c + 1], fp, second);
        }
      }
      bar_sync();  // everybody is done with this stage
    }
    cp_async_wait<0>();

    GK_UNROLL
    for (int h = 0; h < 2; ++h) {
      GK_UNROLL
      for (uint32_t d = 1; d < 4; d *= 2) total[h] += shfl_xor(total[h], d);
      const int32_t row = w.row0 + int32_t(warp * 16 + lane / 4) + h * 8;
      if (row >= rows) continue;
      const int64_t token = w.q_begin + row / a.group, head = head_kv * a.group + row % a.group;
      const float inverse = total[h] == 0 ? 0 : div_rn(1, total[h]);
      const int64_t to = token * a.o_token_stride + head * a.o_head_stride;
      GK_UNROLL
      for (int j = 0; j < k_out_tiles; ++j)
        store_pair<T>(a, to, j * 8 + int32_t(lane % 4) * 2, out[j][2 * h] * inverse, out[j][2 * h + 1] * inverse);
      if (a.has_lse && lane % 4 == 0)
        st_global(a.lse + head * a.total_q + token,
                  total[h] == 0 ? -k_infinity : (largest[h] + lg2_approx(total[h])) * 0.6931471805599453f);
    }
  }
};

template <class T, int D, int Rows>
GK_KERNEL((attention_shape<D, Rows>::k_threads), 1)
attention_mma_kernel(attention_args a) {
  attention_mma<T, D, Rows>::run(a);
}

template <class T>
void run_attention_mma(const gk_attention &p, places at, context &ctx) {
  const auto go = [&]<int D, int Rows>() {
    using shape = attention_shape<D, Rows>;
    attention_args a;
    const uint32_t items = prepare_attention(p, at, ctx, shape::k_rows, a);
    if (items == 0) return;
    const runtime::launch_shape launch = {.grid_x = items,
                                          .grid_y = uint32_t(p.num_heads_kv),
                                          .threads = shape::k_threads,
                                          .shared_bytes = shape::k_shared_bytes};
    runtime::launch(ctx.stream(), &attention_mma_kernel<T, D, Rows>, launch, a);
  };
  bool is_short = p.head_dim <= 128;
  for (uint32_t b = 0; b < p.batch; ++b)
    is_short = is_short && (p.cu_seqlens_q[b + 1] - p.cu_seqlens_q[b]) * (p.num_heads / p.num_heads_kv) <= 16 &&
               p.cu_seqlens_k[b + 1] - p.cu_seqlens_k[b] <= 16;
  if (is_short)
    p.head_dim <= 64 ? go.template operator()<64, 16>() : go.template operator()<128, 16>();
  else if (p.head_dim <= 64)
    go.template operator()<64, 64>();
  else if (p.head_dim <= 96)
    go.template operator()<96, 64>();
  else if (p.head_dim <= 128)
    go.template operator()<128, 64>();
  else
    go.template operator()<256, 64>();
}

}  // namespace gonka::cuda
