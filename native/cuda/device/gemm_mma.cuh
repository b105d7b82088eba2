// GEMM on mma.sync: cp.async pipeline, ldmatrix, mma; for sm_80 and every later architecture.
//
// Shared memory, per stage: block_m rows of A, then block_n rows of B, 64 bytes of k each. The 16-byte chunk c of row r
// lies at chunk c ^ ((r / 2) % 4) of its row: eight rows of one chunk, which an ldmatrix reads, and eight chunks of two
// rows, which a cp.async writes, then fall into different banks. After the mainloop the same memory takes the tile as
// F32, so that D is read and written in whole rows.
// SWIGLU pair: groups of 8 rows of the B tile come from B and B2 in turn, so a thread owns gate and up of a column.
#pragma once

#include "gemm_args.hpp"
#include "gemm_tiles.hpp"

namespace gonka::cuda {

struct i8 {
  uint8_t bits;
};

template <class T>
struct gemm_number {  // F16, BF16
  using sum = float;
  static constexpr int k_steps = 1;  // mma per 32 bytes of k
  GK_DEVICE static void widen(uint32_t (&out)[1][4], const uint32_t (&in)[4]) {
    for (int i = 0; i < 4; ++i) out[0][i] = in[i];
  }
  GK_DEVICE static void widen(uint32_t (&out)[1][2], const uint32_t (&in)[2]) {
    out[0][0] = in[0];
    out[0][1] = in[1];
  }
  GK_DEVICE static void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_m16n8k16<T>(d, a, b);
  }
};

template <>
struct gemm_number<i8> {
  using sum = int32_t;
  static constexpr int k_steps = 1;
  GK_DEVICE static void widen(uint32_t (&out)[1][4], const uint32_t (&in)[4]) {
    for (int i = 0; i < 4; ++i) out[0][i] = in[i];
  }
  GK_DEVICE static void widen(uint32_t (&out)[1][2], const uint32_t (&in)[2]) {
    out[0][0] = in[0];
    out[0][1] = in[1];
  }
  GK_DEVICE static void multiply(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_m16n8k32_s8(d, a, b);
  }
};

// F8 is widened to F16, exactly: the F8 units of sm_89 and sm_90 keep about 14 bits of a sum, which gk_gemm does not
// allow. A register holds k = 4t .. 4t+3 of a row; its low half goes to the lower k of an F16 mma and its high half to
// the upper. A and B are permuted alike, so the sum over k is the same.
template <class T>
struct gemm_f8_number {
  using sum = float;
  static constexpr int k_steps = 2;
  GK_DEVICE static void widen(uint32_t (&out)[2][4], const uint32_t (&in)[4]) {
    GK_UNROLL
    for (int s = 0; s < 2; ++s) GK_UNROLL
    for (int row = 0; row < 2; ++row) {
      out[s][row] = f8_pair_to_f16<T>(in[2 * s + row] & 0xffff);
      out[s][2 + row] = f8_pair_to_f16<T>(in[2 * s + row] >> 16);
    }
  }
  GK_DEVICE static void widen(uint32_t (&out)[2][2], const uint32_t (&in)[2]) {
    GK_UNROLL
    for (int s = 0; s < 2; ++s) {
      out[s][0] = f8_pair_to_f16<T>(in[s] & 0xffff);
      out[s][1] = f8_pair_to_f16<T>(in[s] >> 16);
    }
  }
  GK_DEVICE static void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_m16n8k16<f16>(d, a, b);
  }
};
template <>
struct gemm_number<e4m3> : gemm_f8_number<e4m3> {};
template <>
struct gemm_number<e5m2> : gemm_f8_number<e5m2> {};

// F8 on the F8 units of sm_89 and later, which keep about 14 bits of a sum: for GK_ACCUMULATE_SHORT.
template <class T>
struct f8_units {
  uint8_t bits;
};
template <class T>
struct gemm_number<f8_units<T>> {
  using sum = float;
  static constexpr int k_steps = 1;
  GK_DEVICE static void widen(uint32_t (&out)[1][4], const uint32_t (&in)[4]) {
    for (int i = 0; i < 4; ++i) out[0][i] = in[i];
  }
  GK_DEVICE static void widen(uint32_t (&out)[1][2], const uint32_t (&in)[2]) {
    out[0][0] = in[0];
    out[0][1] = in[1];
  }
  GK_DEVICE static void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_m16n8k32<T>(d, a, b);
  }
};

template <class T>
inline constexpr bool has_f8_units = false;
template <class T>
inline constexpr bool has_f8_units<f8_units<T>> = true;
template <class T>
inline constexpr bool is_f8 = sizeof(T) == 1 && std::is_same_v<typename gemm_number<T>::sum, float>;

// Stages whose products one sum of the F8 units may hold: 128 products.
inline constexpr int32_t k_short_stages = 128 / k_stage_row_bytes;

GK_DEVICE uint32_t stage_offset(uint32_t row, uint32_t chunk) {
  return row * k_stage_row_bytes + ((chunk ^ (row / 2 % 4)) * 16);
}

// 16 bytes of a row of A or B to shared memory, zeros beyond `valid` bytes (which may be <= 0 or > 16).
template <class T>
GK_DEVICE void load_chunk(sptr<uint8_t> to, gptr<const uint8_t> from, int64_t valid, bool vector) {
  const uint32_t bytes = valid <= 0 ? 0 : valid >= 16 ? 16 : uint32_t(valid);
  if (vector) {
    cp_async_16(to, from, bytes);
    return;
  }
  uint32_t words[4] = {0, 0, 0, 0};
  GK_UNROLL
  for (int i = 0; i < int(16 / sizeof(T)); ++i)
    if (i * sizeof(T) < bytes) {
      if constexpr (sizeof(T) == 2)
        words[i / 2] |= uint32_t(ld_global(ptr_cast<const uint16_t>(from) + i)) << (i % 2 * 16);
      else
        words[i / 4] |= uint32_t(ld_global(from + i)) << (i % 4 * 8);
    }
  st_shared(ptr_cast<u32x4>(to), u32x4{words[0], words[1], words[2], words[3]});
}

template <class T, class Shape, bool Pair>
struct gemm_mma {
  static constexpr gemm_tile k_tile = Shape::tile;
  using number = gemm_number<T>;
  using sum = typename number::sum;
  static constexpr int k_m_tiles = k_tile.warp_m() / 16, k_n_tiles = k_tile.warp_n() / 8;
  static constexpr int k_stage_k = k_stage_row_bytes / int(sizeof(T));          // elements of k in a stage
  static constexpr int k_columns = Pair ? k_tile.block_n / 2 : k_tile.block_n;  // of D per block
  static constexpr uint32_t k_threads = uint32_t(k_tile.threads());
  static_assert(k_tile.warp_m() % 16 == 0 && k_tile.warp_n() % 16 == 0);

  // Which row of B (or B2) is row r of the B tile.
  GK_DEVICE static int64_t column_of(int64_t first, uint32_t r) {
    return Pair ? first + (r / 16 * 8 + r % 8) : first + r;
  }

  GK_DEVICE static void load_stage(const gemm_args &a, uint32_t stage, int64_t row0, int64_t column0, int64_t k0,
                                   int64_t k_end) {
    const sptr<uint8_t> base = shared_at<uint8_t>(stage * gemm_stage_bytes(k_tile));
    constexpr uint32_t chunks = (k_tile.block_m + k_tile.block_n) * 4;
    GK_UNROLL
    for (uint32_t i = 0; i < (chunks + k_threads - 1) / k_threads; ++i) {
      const uint32_t index = i * k_threads + thread_idx().x;
      if (chunks % k_threads != 0 && index >= chunks) break;
      const uint32_t row = index / 4, chunk = index % 4;
      const int64_t at_k = k0 + chunk * (16 / sizeof(T));
      const sptr<uint8_t> to = base + stage_offset(row, chunk);
      if (row < k_tile.block_m) {
        const int64_t r = row0 + row;
        const bool inside = r < a.m;
        load_chunk<T>(to, inside ? a.a + (r * a.lda + at_k) * int64_t(sizeof(T)) : a.a,
                      inside ? (k_end - at_k) * int64_t(sizeof(T)) : 0, a.vector_a);
      } else {
        const uint32_t b_row = row - k_tile.block_m;
        const int64_t r = column_of(column0, b_row);
        const bool inside = r < a.n;
        const gptr<const uint8_t> source = Pair && b_row / 8 % 2 != 0 ? a.b2 : a.b;
        load_chunk<T>(to, inside ? source + (r * a.ldb + at_k) * int64_t(sizeof(T)) : source,
                      inside ? (k_end - at_k) * int64_t(sizeof(T)) : 0, a.vector_b);
      }
    }
  }

  GK_DEVICE static void multiply_stage(sum (&d)[k_m_tiles][k_n_tiles][4], uint32_t stage) {
    const sptr<uint8_t> base = shared_at<uint8_t>(stage * gemm_stage_bytes(k_tile));
    const uint32_t lane = lane_id(), warp = warp_id();
    const uint32_t a_row = warp / k_tile.warps_n * k_tile.warp_m() + lane % 16;
    const uint32_t b_row = k_tile.block_m + warp % k_tile.warps_n * k_tile.warp_n() + lane % 8 + lane / 16 * 8;
    GK_UNROLL
    for (uint32_t half = 0; half < 2; ++half) {
      uint32_t fa[k_m_tiles][number::k_steps][4], fb[k_n_tiles][number::k_steps][2];
      GK_UNROLL
      for (int i = 0; i < k_m_tiles; ++i) {
        uint32_t r[4];
        ldmatrix_x4(r, base + stage_offset(a_row + i * 16, half * 2 + lane / 16));
        number::widen(fa[i], r);
      }
      GK_UNROLL
      for (int j = 0; j < k_n_tiles; j += 2) {
        uint32_t r[4];
        ldmatrix_x4(r, base + stage_offset(b_row + j * 8, half * 2 + lane / 8 % 2));
        const uint32_t first[2] = {r[0], r[1]}, second[2] = {r[2], r[3]};
        number::widen(fb[j], first);
        number::widen(fb[j + 1], second);
      }
      GK_UNROLL
      for (int s = 0; s < number::k_steps; ++s) GK_UNROLL
      for (int i = 0; i < k_m_tiles; ++i) GK_UNROLL
      for (int j = 0; j < k_n_tiles; ++j) number::multiply(d[i][j], fa[i][s], fb[j][s]);
    }
  }

  // total += scale of A's row * scale of B's row * part; part = 0. kb: block of k whose scales apply.
  GK_DEVICE static void apply_scales(const gemm_args &a, sum (&total)[k_m_tiles][k_n_tiles][4],
                                     sum (&part)[k_m_tiles][k_n_tiles][4], int64_t row0, int64_t column0, int64_t kb) {
    const uint32_t lane = lane_id(), warp = warp_id();
    GK_UNROLL
    for (int i = 0; i < k_m_tiles; ++i) GK_UNROLL
    for (int j = 0; j < k_n_tiles; ++j) GK_UNROLL
    for (int e = 0; e < 4; ++e) {
      const int64_t r = row0 + warp / k_tile.warps_n * k_tile.warp_m() + i * 16 + e / 2 * 8 + lane / 4;
      const uint32_t tile_row = warp % k_tile.warps_n * k_tile.warp_n() + j * 8 + lane % 4 * 2 + e % 2;
      const int64_t c = column_of(column0, tile_row);
      const bool second = Pair && j % 2 != 0;
      float scale = 1;
      if (r < a.m && c < a.n) {
        if (a.has_a_scale) scale = ld_global(a.a_scale + r * a.scale_blocks + kb);
        if (second ? a.has_b2_scale : a.has_b_scale)
          scale = scale * ld_global((second ? a.b2_scale : a.b_scale) + c / a.scale_block_n * a.scale_blocks + kb);
      }
      total[i][j][e] = fma(part[i][j][e], scale, total[i][j][e]);
      part[i][j][e] = 0;
    }
  }

  // The tile to shared memory, then out in rows of four neighbouring columns per thread.
  GK_DEVICE static void store(const gemm_args &a, const sum (&d)[k_m_tiles][k_n_tiles][4], int64_t row0,
                              int64_t column0, uint32_t split) {
    constexpr uint32_t ld = k_tile.block_n + 8;
    const uint32_t lane = lane_id(), warp = warp_id();
    const sptr<sum> tile = shared_at<sum>(0);
    bar_sync();  // the last stage has been read
    GK_UNROLL
    for (int i = 0; i < k_m_tiles; ++i) GK_UNROLL
    for (int j = 0; j < k_n_tiles; ++j) GK_UNROLL
    for (int h = 0; h < 2; ++h) {
      const uint32_t r = warp / k_tile.warps_n * k_tile.warp_m() + i * 16 + h * 8 + lane / 4;
      const uint32_t c = warp % k_tile.warps_n * k_tile.warp_n() + j * 8 + lane % 4 * 2;
      const u32x2 both = {bits_of(d[i][j][2 * h]), bits_of(d[i][j][2 * h + 1])};
      st_shared(ptr_cast<u32x2>(tile + (r * ld + c)), both);
    }
    bar_sync();
    constexpr uint32_t groups = k_columns / 4;  // of four columns of D
    for (uint32_t index = thread_idx().x; index < k_tile.block_m * groups; index += k_threads) {
      const uint32_t r = index / groups, c = index % groups * 4;
      if (row0 + r >= a.m || column0 + c >= a.n) continue;
      // Columns c .. c + 3 lie in one group of eight, whose gates stand first and whose ups eight columns later.
      const uint32_t at = r * ld + (Pair ? c / 8 * 16 + c % 8 : c);
      sum first[4], second[4] = {0, 0, 0, 0};
      read_four(first, tile + at);
      if constexpr (Pair) read_four(second, tile + (at + 8));
      if (a.splits == 1) {
        gemm_store(a, row0 + r, column0 + c, first, second);
      } else {
        const float x[4] = {as_float(first[0]), as_float(first[1]), as_float(first[2]), as_float(first[3])};
        gemm_store_part(a, Pair ? split * 2 : split, row0 + r, column0 + c, x);
        if constexpr (Pair) {
          const float y[4] = {second[0], second[1], second[2], second[3]};
          gemm_store_part(a, split * 2 + 1, row0 + r, column0 + c, y);
        }
      }
    }
  }

  GK_DEVICE static uint32_t bits_of(float x) { return ptx::bits_of(x); }
  GK_DEVICE static uint32_t bits_of(int32_t x) { return uint32_t(x); }
  GK_DEVICE static float as_float(float x) { return x; }
  GK_DEVICE static float as_float(int32_t x) { return f32_of_bits(uint32_t(x)); }
  GK_DEVICE static void read_four(float (&v)[4], sptr<float> from) {
    const f32x4 x = ld_shared(ptr_cast<const f32x4>(from));
    v[0] = x.x, v[1] = x.y, v[2] = x.z, v[3] = x.w;
  }
  GK_DEVICE static void read_four(int32_t (&v)[4], sptr<int32_t> from) {
    const u32x4 x = ld_shared(ptr_cast<const u32x4>(from));
    v[0] = int32_t(x.x), v[1] = int32_t(x.y), v[2] = int32_t(x.z), v[3] = int32_t(x.w);
  }

  // d += the part [k_begin, k_end) of the product. Leaves no copy in flight, but warps may still be reading the last
  // stage.
  GK_DEVICE static void accumulate(const gemm_args &a, int64_t row0, int64_t column0, int64_t k_begin, int64_t k_end,
                                   sum (&d)[k_m_tiles][k_n_tiles][4]) {
    const int32_t steps = int32_t((k_end - k_begin + k_stage_k - 1) / k_stage_k);
    sum part[is_f8<T> ? k_m_tiles : 1][is_f8<T> ? k_n_tiles : 1][4] = {};
    GK_UNROLL
    for (int s = 0; s < k_tile.stages - 1; ++s) {
      if (s < steps) load_stage(a, s, row0, column0, k_begin + int64_t(s) * k_stage_k, k_end);
      cp_async_commit();
    }
    for (int32_t step = 0; step < steps; ++step) {
      cp_async_wait<k_tile.stages - 2>();
      bar_sync();  // this stage has arrived everywhere; everybody is done with the one that is loaded next
      const int32_t next = step + k_tile.stages - 1;
      if (next < steps)
        load_stage(a, uint32_t(next % k_tile.stages), row0, column0, k_begin + int64_t(next) * k_stage_k, k_end);
      cp_async_commit();
      if constexpr (is_f8<T>) {
        multiply_stage(part, uint32_t(step % k_tile.stages));
        const int64_t after = k_begin + int64_t(step + 1) * k_stage_k;
        const bool full = has_f8_units<T> && (step + 1) % k_short_stages == 0;
        if (step + 1 == steps || full || (a.scale_blocks != 0 && after % a.scale_block_k == 0))
          apply_scales(a, d, part, row0, column0, a.scale_blocks == 0 ? 0 : (after - k_stage_k) / a.scale_block_k);
      } else {
        multiply_stage(d, uint32_t(step % k_tile.stages));
      }
    }
    cp_async_wait<0>();
  }

  GK_DEVICE static void run(const gemm_args &a) {
    // Eight rows of tiles at a time: the blocks that run together then share rows of A and of B in L2.
    const uint32_t tiles_m = uint32_t((a.m + k_tile.block_m - 1) / k_tile.block_m);
    const uint32_t tiles_n = uint32_t((a.n + k_columns - 1) / k_columns);
    constexpr uint32_t group = 8;
    const uint32_t first_m = block_idx().x / (group * tiles_n) * group;
    const uint32_t in_group = tiles_m - first_m < group ? tiles_m - first_m : group;
    const uint32_t rest = block_idx().x % (group * tiles_n);
    const int64_t row0 = int64_t(first_m + rest % in_group) * k_tile.block_m;
    const int64_t column0 = int64_t(rest / in_group) * k_columns;
    const uint32_t split = block_idx().z;
    const int64_t k_begin = split * a.split_k;
    const int64_t k_end = k_begin + a.split_k < a.k ? k_begin + a.split_k : a.k;

    sum d[k_m_tiles][k_n_tiles][4] = {};
    accumulate(a, row0, column0, k_begin, k_end, d);
    store(a, d, row0, column0, split);
  }
};

template <class T, class Shape, bool Pair>
GK_KERNEL(Shape::tile.threads(), 1)
gemm_mma_kernel(gemm_args a) {
  gemm_mma<T, Shape, Pair>::run(a);
}

// Host: queues the kernel for a plan; for F8, scale blocks of k must be multiples of a stage.
template <class T>
void launch_gemm_mma(gemm_args &a, context &ctx) {
  const gemm_plan plan = plan_gemm(a.m, a.pair ? a.n * 2 : a.n, a.k, sizeof(T), ctx.can());
  const auto go = [&]<class Shape, bool Pair>() {
    using kernel = gemm_mma<T, Shape, Pair>;
    constexpr gemm_tile tile = Shape::tile;
    // A part of k is a whole number of stages, and of scale blocks where there are scales.
    const int64_t unit = a.scale_blocks != 0 ? a.scale_block_k : kernel::k_stage_k;
    const int64_t units = ceil_div(a.k, unit);
    const int64_t per_split = ceil_div(units, plan.splits);
    a.split_k = per_split * unit;
    a.splits = uint32_t(ceil_div(units, per_split));
    if (a.splits > 1)
      a.workspace = runtime::address<float>(
          ctx.scratch(0, uint64_t(a.splits) * (Pair ? 2 : 1) * uint64_t(a.m) * uint64_t(a.n) * sizeof(float)));
    const runtime::launch_shape shape = {
        .grid_x = uint32_t(ceil_div(a.m, tile.block_m) * ceil_div(a.n, kernel::k_columns)),
        .grid_z = a.splits,
        .threads = kernel::k_threads,
        .shared_bytes = gemm_shared_bytes(tile)};
    runtime::launch(ctx.stream(), &gemm_mma_kernel<T, Shape, Pair>, shape, a);
    if (a.splits > 1) gemm_add_parts(a, ctx);
  };
  const int tile = ctx.variant() == 0 ? plan.tile : int(ctx.variant()) - 1;
  const auto with_tile = [&]<bool Pair>() {
    if (tile == 0)
      go.template operator()<std::conditional_t<is_f8<T>, mma_large_f8, mma_large>, Pair>();
    else if (tile == 1)
      go.template operator()<mma_medium, Pair>();
    else
      go.template operator()<mma_narrow, Pair>();
  };
  if constexpr (sizeof(typename gemm_number<T>::sum) == 4 && !std::is_same_v<T, i8>) {
    if (a.pair) return with_tile.template operator()<true>();
  }
  with_tile.template operator()<false>();
}

// One per file, so that files compile side by side.
void launch_gemm_mma_f16(gemm_args &a, context &ctx);
void launch_gemm_mma_bf16(gemm_args &a, context &ctx);
void launch_gemm_mma_i8(gemm_args &a, context &ctx);
void launch_gemm_mma_e4m3(gemm_args &a, context &ctx);
void launch_gemm_mma_e5m2(gemm_args &a, context &ctx);
void launch_gemm_mma_e4m3_units(gemm_args &a, context &ctx);
void launch_gemm_mma_e5m2_units(gemm_args &a, context &ctx);

}  // namespace gonka::cuda
