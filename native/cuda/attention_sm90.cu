// Fused attention on Hopper's warp-group units; sm_90a only. After Shah et al., FlashAttention-3, arXiv 2407.08608,
// section 3: a loading warp group feeds two consumers; the product with V of one tile runs while the softmax of the
// next is computed.
//
// A block has 128 rows (see attention_args.hpp), 64 to a consumer group, and takes 128 keys at a time, or 64 where
// head_dim is above 128: a thread then has 128 sums of O, and a tile of K or V is 32 KiB either way. Shared memory, all
// in rows of 128 bytes with the 128-byte swizzle, a panel being 64 elements of head_dim: Q [panels][128 rows], then two
// stages each of K [panels][keys] and V [panels][keys], then the barriers: full and empty for every stage of K and of
// V. full: one arrival, by the loader, which announces the bytes; empty: one arrival per consumer warp. A tile that
// reaches past its sequence would hold the next one's values: scores of such keys are masked, but a zero probability
// times an infinite value is not zero, so that tile of V is loaded by hand, with zeros.
#include "attention_args.hpp"

namespace gonka::cuda {
namespace {

constexpr uint32_t k_threads = 384, k_rows = 128, k_stages = 2, k_row_bytes = 128, k_consumer_warps = 8;

struct wgmma_attention_args {
  attention_args a;
  tensor_map k, v;
  uint32_t zero;  // always 0, which the compiler must not know
};

// Late: a tile of K is given back when the softmax is done instead of when its product is. ptxas keeps such an arrival
// and the wait for the product with V in order and would otherwise put that wait before nine tenths of the softmax.
template <class T, int Panels, bool Late>
struct attention_wgmma {
  static constexpr int32_t k_keys = Panels > 2 ? 64 : 128;
  static constexpr uint32_t k_q_panel_bytes = k_rows * k_row_bytes, k_panel_bytes = k_keys * k_row_bytes;
  static constexpr uint32_t k_tile_bytes = Panels * k_panel_bytes;
  static constexpr uint32_t k_barriers = Panels * k_q_panel_bytes + 2 * k_stages * k_tile_bytes;
  static constexpr uint32_t k_shared_bytes = k_barriers + 4 * k_stages * 8;
  static constexpr int k_out = Panels * 32, k_scores = k_keys / 2;  // accumulators of O and of scores per thread

  // which: 0 K, 1 V
  GK_DEVICE static uint32_t tile_at(uint32_t which, uint32_t stage) {
    return Panels * k_q_panel_bytes + (which + 2 * stage) * k_tile_bytes;
  }
  GK_DEVICE static sptr<uint64_t> full(uint32_t which, uint32_t stage) {
    return shared_at<uint64_t>(k_barriers + (which * k_stages + stage) * 16);
  }
  GK_DEVICE static sptr<uint64_t> empty(uint32_t which, uint32_t stage) {
    return shared_at<uint64_t>(k_barriers + (which * k_stages + stage) * 16 + 8);
  }
  GK_DEVICE static uint32_t chunk_at(uint32_t panel_bytes, uint32_t row, uint32_t chunk) {  // 16 bytes of head_dim
    return chunk / 8 * panel_bytes + row * k_row_bytes + ((chunk % 8 ^ row % 8) * 16);
  }

  // 16 bytes of a row that may end inside them, or not exist.
  GK_DEVICE static u32x4 load_chunk(gptr<const uint8_t> row, uint32_t chunk, bool exists, int32_t head_dim,
                                    bool vector) {
    const int32_t left = exists ? head_dim - int32_t(chunk) * 8 : 0;
    if (left >= 8 && vector) return ld_global(ptr_cast<const u32x4>(row + chunk * 16));
    uint32_t words[4] = {0, 0, 0, 0};
    GK_UNROLL
    for (int32_t i = 0; i < 8; ++i)
      if (i < left) words[i / 2] |= uint32_t(ld_global(ptr_cast<const uint16_t>(row + chunk * 16) + i)) << (i % 2 * 16);
    return {words[0], words[1], words[2], words[3]};
  }

  GK_DEVICE static void load_bulk(const wgmma_attention_args &a, const attention_item &w, uint32_t which,
                                  uint32_t stage, int32_t first, sptr<uint64_t> bar) {
    mbarrier_arrive_expect_tx(bar, k_tile_bytes);
    GK_UNROLL
    for (int32_t panel = 0; panel < Panels; ++panel)
      cp_async_bulk_tensor_3d(shared_at<uint8_t>(tile_at(which, stage) + uint32_t(panel) * k_panel_bytes),
                              which == 0 ? a.k : a.v, panel * 64, int32_t(w.k_begin) + first, int32_t(block_idx().y),
                              bar);
  }

  // All 128 threads of the loading group.
  GK_DEVICE static void load_last_values(const attention_args &a, const attention_item &w, uint32_t stage,
                                         int32_t first, sptr<uint64_t> bar) {
    const gptr<const uint8_t> head = a.v + int64_t(block_idx().y) * a.v_head_stride * 2;
    for (uint32_t index = thread_idx().x; index < k_keys * Panels * 8; index += 128) {
      const uint32_t key = index / (Panels * 8), chunk = index % (Panels * 8);
      const bool exists = first + int32_t(key) < w.seqlen_k;
      const gptr<const uint8_t> row = exists ? head + (w.k_begin + first + key) * a.v_token_stride * 2 : head;
      st_shared(shared_at<u32x4>(tile_at(1, stage) + chunk_at(k_panel_bytes, key, chunk)),
                load_chunk(row, chunk, exists, a.head_dim, a.vector_kv));
    }
    fence_proxy_async();
    bar_sync(3, 128);
    if (thread_idx().x == 0) mbarrier_arrive(bar);
  }

  GK_DEVICE static void load(const wgmma_attention_args &a, const attention_item &w, int32_t tiles) {
    for (int32_t tile = 0; tile < tiles; ++tile) {
      const uint32_t stage = uint32_t(tile) % k_stages, parity = uint32_t(tile) / k_stages % 2 ^ 1;
      const int32_t first = tile * k_keys;
      if (thread_idx().x == 0) {
        mbarrier_wait_parity(empty(0, stage), parity);
        load_bulk(a, w, 0, stage, first, full(0, stage));
      }
      if (first + k_keys <= w.seqlen_k) {
        if (thread_idx().x == 0) {
          mbarrier_wait_parity(empty(1, stage), parity);
          load_bulk(a, w, 1, stage, first, full(1, stage));
        }
      } else {
        // Only the first thread has followed the phases: the others would take an old one for this one.
        if (thread_idx().x == 0) mbarrier_wait_parity(empty(1, stage), parity);
        bar_sync(3, 128);
        load_last_values(a.a, w, stage, first, full(1, stage));
      }
    }
  }

  GK_DEVICE static void consume(const attention_args &a, const attention_item &w, int32_t tiles, int32_t rows,
                                uint32_t group, uint32_t zero) {
    const uint32_t lane = lane_id(), warp = warp_id() % 4;
    const int64_t head_kv = block_idx().y;
    for (uint32_t index = thread_idx().x % 128; index < 64 * Panels * 8; index += 128) {
      const uint32_t r = index / (Panels * 8), chunk = index % (Panels * 8);
      const int32_t row = w.row0 + int32_t(group * 64 + r);
      const bool exists = row < rows;
      const gptr<const uint8_t> from = exists ? a.q + ((w.q_begin + row / a.group) * a.q_token_stride +
                                                       (head_kv * a.group + row % a.group) * a.q_head_stride) *
                                                          2
                                              : a.q;
      st_shared(shared_at<u32x4>(chunk_at(k_q_panel_bytes, group * 64 + r, chunk)),
                load_chunk(from, chunk, exists, a.head_dim, a.vector_q));
    }
    fence_proxy_async();
    bar_sync(1 + group, 128);

    int32_t keys_seen[2];
    GK_UNROLL
    for (int h = 0; h < 2; ++h) {
      const int32_t row = w.row0 + int32_t(group * 64 + warp * 16 + lane / 4) + h * 8;
      keys_seen[h] = row < rows ? visible(a, w, row / a.group) : 0;
    }
    // Tiles whose keys even the group's first row sees need no mask.
    const int32_t whole = visible(a, w, (w.row0 + int32_t(group * 64)) / a.group) / k_keys;
    float out[k_out], score[k_scores];
    uint32_t p[k_keys / 16][4];
    GK_UNROLL
    for (int i = 0; i < k_out; ++i) out[i] = 0;
    float largest[2] = {-k_infinity, -k_infinity}, total[2] = {0, 0};

    const auto issue_scores = [&](int32_t tile) {
      const uint32_t stage = uint32_t(tile) % k_stages;
      mbarrier_wait_parity(full(0, stage), uint32_t(tile) / k_stages % 2);
      const uint64_t q = wgmma_descriptor(shared_at<uint8_t>(group * 64 * k_row_bytes), 0, 1024);
      const uint64_t k = wgmma_descriptor(shared_at<uint8_t>(tile_at(0, stage)), 0, 1024);
      wgmma_hold(score);
      wgmma_fence();
      GK_UNROLL
      for (uint32_t part = 0; part < Panels * 4; ++part) {
        const uint32_t panel = part / 4, in_row = part % 4 * 32;
        wgmma_m64<T>(score, wgmma_advance(q, panel * k_q_panel_bytes + in_row),
                     wgmma_advance(k, panel * k_panel_bytes + in_row), part != 0);
      }
      wgmma_commit();
    };
    const auto release = [&](uint32_t which, int32_t tile, uint32_t nothing = 0) {
      if (lane == 0) mbarrier_arrive(empty(which, uint32_t(tile) % k_stages) + int32_t(nothing));
    };

    const auto issue_out = [&](int32_t tile) {
      const uint32_t stage = uint32_t(tile) % k_stages;
      mbarrier_wait_parity(full(1, stage), uint32_t(tile) / k_stages % 2);
      const uint64_t v = wgmma_descriptor(shared_at<uint8_t>(tile_at(1, stage)), k_panel_bytes, 1024);
      wgmma_hold(out);
      wgmma_fence();
      GK_UNROLL
      for (uint32_t s = 0; s < k_keys / 16; ++s)
        wgmma_m64<T, true>(out, p[s], wgmma_advance(v, s * 16 * k_row_bytes), true);
      wgmma_commit();
    };
    // Scores to probabilities; what the sums so far must shrink by. `largest` is of scores before scaling, so that
    // scaling and subtracting are one fma.
    const auto softmax = [&]<bool Masked>(int32_t tile, float (&shrink)[2]) {
      if constexpr (Masked) {
        GK_UNROLL
        for (int i = 0; i < k_scores; ++i) {
          const int32_t key = tile * k_keys + i / 4 * 8 + int32_t(lane % 4) * 2 + i % 2;
          if (key >= keys_seen[i / 2 % 2]) score[i] = -k_infinity;
        }
      }
      float now[2] = {largest[0], largest[1]};
      GK_UNROLL
      for (int i = 0; i < k_scores; ++i) now[i / 2 % 2] = max_f32(now[i / 2 % 2], score[i]);
      float base[2];
      GK_UNROLL
      for (int h = 0; h < 2; ++h) {
        GK_UNROLL
        for (uint32_t d = 1; d < 4; d *= 2) now[h] = max_f32(now[h], shfl_xor(now[h], d));
        base[h] = now[h] == -k_infinity ? 0 : now[h] * a.scale_log2;
        shrink[h] = ex2_approx(fma(largest[h], a.scale_log2, -base[h]));
        largest[h] = now[h];
        total[h] *= shrink[h];
      }
      GK_UNROLL
      for (int i = 0; i < k_scores; ++i) {
        score[i] = ex2_approx(fma(score[i], a.scale_log2, -base[i / 2 % 2]));
        total[i / 2 % 2] += score[i];
      }
    };
    const auto pack_probabilities = [&] {
      GK_UNROLL
      for (int s = 0; s < k_keys / 16; ++s) GK_UNROLL
      for (int r = 0; r < 4; ++r) {
        const int i = (2 * s + r / 2) * 4 + r % 2 * 2;
        p[s][r] = pack_f32x2<T>(score[i], score[i + 1]);
      }
    };

    // The groups take turns in queueing products, so that one has the tensor cores while the other one is at its
    // softmax.
    const auto wait_for_turn = [&] { bar_sync(4 + group, 256); };
    const auto pass_turn = [&] { bar_arrive(5 - group, 256); };

    const auto add_tile = [&]<bool Masked>(int32_t tile) {
      float shrink[2];
      wait_for_turn();
      issue_scores(tile);
      issue_out(tile - 1);
      if (group == 0 || tile + 1 < tiles) pass_turn();
      wgmma_wait<1>();
      wgmma_hold(score);
      if (!Late) release(0, tile);
      softmax.template operator()<Masked>(tile, shrink);  // while the product with V is under way
      if (Late) release(0, tile, bits_of(total[0]) & bits_of(total[1]) & zero);
      wgmma_hold(score);  // or the compiler moves the softmax behind the wait
      wgmma_wait<0>();
      wgmma_hold(out);
      release(1, tile - 1);
      GK_UNROLL
      for (int i = 0; i < k_out; ++i) out[i] *= shrink[i / 2 % 2];
      pack_probabilities();
    };

    if (tiles > 0) {
      float shrink[2];
      if (group == 1 && tiles > 1) pass_turn();
      issue_scores(0);
      wgmma_wait<0>();
      wgmma_hold(score);
      release(0, 0);
      if (whole > 0)
        softmax.template operator()<false>(0, shrink);
      else
        softmax.template operator()<true>(0, shrink);
      pack_probabilities();
      // Two loops: with a branch on the way to the softmax, ptxas waits for the product with V before it.
      int32_t tile = 1;
      GK_NO_UNROLL
      for (; tile < whole; ++tile) add_tile.template operator()<false>(tile);
      GK_NO_UNROLL
      for (; tile < tiles; ++tile) add_tile.template operator()<true>(tile);
      issue_out(tiles - 1);
      wgmma_wait<0>();
      wgmma_hold(out);
      release(1, tiles - 1);
    }

    GK_UNROLL
    for (int h = 0; h < 2; ++h) {
      GK_UNROLL
      for (uint32_t d = 1; d < 4; d *= 2) total[h] += shfl_xor(total[h], d);
      const int32_t row = w.row0 + int32_t(group * 64 + warp * 16 + lane / 4) + h * 8;
      if (row >= rows) continue;
      const int64_t token = w.q_begin + row / a.group, head = head_kv * a.group + row % a.group;
      const float inverse = total[h] == 0 ? 0 : div_rn(1, total[h]);
      const int64_t to = token * a.o_token_stride + head * a.o_head_stride;
      if (a.pair_o && a.o_type != GK_F32 && a.head_dim == Panels * 64) {
        const gptr<uint32_t> out_row = ptr_cast<uint32_t>(ptr_cast<uint16_t>(a.o) + to) + lane % 4;
        GK_UNROLL
        for (int j = 0; j < k_out / 4; ++j)
          st_global(out_row + j * 4, pack_f32x2<T>(out[4 * j + 2 * h] * inverse, out[4 * j + 2 * h + 1] * inverse));
      } else {
        GK_UNROLL
        for (int j = 0; j < k_out / 4; ++j)
          store_pair<T>(a, to, j * 8 + int32_t(lane % 4) * 2, out[4 * j + 2 * h] * inverse,
                        out[4 * j + 2 * h + 1] * inverse);
      }
      if (a.has_lse && lane % 4 == 0)
        st_global(
            a.lse + head * a.total_q + token,
            total[h] == 0 ? -k_infinity : fma(largest[h], a.scale_log2, lg2_approx(total[h])) * 0.6931471805599453f);
    }
  }

  GK_DEVICE static void run(const wgmma_attention_args &a) {
    const attention_item w = load_item(a.a.items + block_idx().x);
    const int32_t rows = w.seqlen_q * a.a.group;
    const int32_t last_row = w.row0 + int32_t(k_rows) < rows ? w.row0 + int32_t(k_rows) - 1 : rows - 1;
    const int32_t tiles = (visible(a.a, w, last_row / a.a.group) + k_keys - 1) / k_keys;
    if (thread_idx().x == 0) {
      for (uint32_t which = 0; which < 2; ++which)
        for (uint32_t stage = 0; stage < k_stages; ++stage) {
          mbarrier_init(full(which, stage), 1);
          mbarrier_init(empty(which, stage), k_consumer_warps);
        }
      fence_mbarrier_init();
      fence_proxy_async();
    }
    bar_sync();
    const uint32_t group = thread_idx().x / 128;
    if (group == 0) {
      setmaxnreg_dec<40>();
      load(a, w, tiles);
    } else {
      setmaxnreg_inc<232>();
      consume(a.a, w, tiles, rows, group - 1, a.zero);
    }
  }
};

template <class T, int Panels, bool Late>
GK_KERNEL(k_threads, 1)
attention_wgmma_kernel(GK_GRID_CONSTANT wgmma_attention_args a) {
  attention_wgmma<T, Panels, Late>::run(a);
}

template <class T, int Panels>
void launch(const gk_attention &p, places at, context &ctx) {
  using kernel = attention_wgmma<T, Panels, true>;
  wgmma_attention_args a;
  const uint32_t items = prepare_attention(p, at, ctx, int32_t(k_rows), a.a);
  if (items == 0) return;
  const auto map = [&](void *base, int64_t token_stride, int64_t head_stride) {
    const int64_t tokens = p.cu_seqlens_k[p.batch];
    // A stride that is never taken may be anything; the map wants a multiple of 16.
    const uint64_t token_bytes = tokens == 1 ? 16 : uint64_t(token_stride) * 2;
    const uint64_t head_bytes = p.num_heads_kv == 1 ? 16 : uint64_t(head_stride) * 2;
    return runtime::make_tensor_map({.base = base,
                                     .element_bytes = 2,
                                     .dimensions = 3,
                                     .extent = {uint64_t(p.head_dim), uint64_t(tokens), uint64_t(p.num_heads_kv)},
                                     .stride_bytes = {token_bytes, head_bytes},
                                     .box = {64, uint32_t(kernel::k_keys), 1}});
  };
  a.k = map(at[k_attention_k], p.k_token_stride, p.k_head_stride);
  a.v = map(at[k_attention_v], p.v_token_stride, p.v_head_stride);
  a.zero = 0;
  const bool late = ctx.variant() == 0;
  runtime::launch(ctx.stream(),
                  late ? &attention_wgmma_kernel<T, Panels, true> : &attention_wgmma_kernel<T, Panels, false>,
                  {.grid_x = items,
                   .grid_y = uint32_t(p.num_heads_kv),
                   .threads = k_threads,
                   .shared_bytes = kernel::k_shared_bytes},
                  a);
}

template <class T>
void launch_for_head(const gk_attention &p, places at, context &ctx) {
  if (p.head_dim <= 64)
    launch<T, 1>(p, at, ctx);
  else if (p.head_dim <= 128)
    launch<T, 2>(p, at, ctx);
  else
    launch<T, 4>(p, at, ctx);
}

}  // namespace

void run_attention_wgmma(const gk_attention &p, places at, context &ctx) {
  if (p.qkv_type == GK_F16)
    launch_for_head<f16>(p, at, ctx);
  else
    launch_for_head<bf16>(p, at, ctx);
}

}  // namespace gonka::cuda
