// gemm without tensor cores: any types, any layout; F32 always, since rounding operands to TF32 would break the bound
// of gk_gemm. Also the last resort of every other type.
//
// A block computes a tile of D in registers; operands are widened to F32 (or int32) on their way to shared memory,
// where they lie with k outermost, so that a thread reads its rows and columns as vectors. A thread's rows and columns
// are split in groups of four, far apart: neighbouring threads then read neighbouring vectors, free of bank conflicts.
#include <algorithm>

#include "gemm_args.hpp"
#include "gemm_tiles.hpp"

namespace gonka::cuda {
namespace {

struct simt_tile {
  int block, block_k, micro;  // square tile of D; micro x micro per thread
  constexpr int threads() const { return block / micro * (block / micro); }
  constexpr int ld() const { return block + 4; }  // padding: transposing stores hit different banks
};
struct simt_large {  // 64 products per 16 values read from shared memory
  static constexpr simt_tile tile = {128, 8, 8};
};
struct simt_small {  // 64 threads: problems that would leave most SMs idle; k is split until the device is full
  static constexpr simt_tile tile = {k_simt_small_block, k_simt_small_block_k, 4};
};

// Element (row, x) of an operand as it is added up: with its scale applied.
template <class Sum>
GK_DEVICE Sum load_operand(gptr<const uint8_t> base, uint32_t type, int64_t index, gptr<const float> scale,
                           uint32_t has_scale, int64_t scale_index) {
  if constexpr (sizeof(Sum) == 4 && Sum(0.5f) == 0) {
    return Sum(int8_t(ld_global(base + index)));
  } else {
    if (type == GK_F8_E4M3 || type == GK_F8_E5M2) {
      const uint32_t bits = ld_global(base + index);
      const float v = low_half<f16>(type == GK_F8_E4M3 ? f8_pair_to_f16<e4m3>(bits) : f8_pair_to_f16<e5m2>(bits));
      return has_scale ? v * ld_global(scale + scale_index) : v;
    }
    return load_any(base, type, index);
  }
}

// Raw sums travel as float.
GK_DEVICE void store_part(const gemm_args &a, int64_t plane, int64_t r, int64_t c, const float (&v)[4]) {
  gemm_store_part(a, plane, r, c, v);
}
GK_DEVICE void store_part(const gemm_args &a, int64_t plane, int64_t r, int64_t c, const int32_t (&v)[4]) {
  const float bits[4] = {f32_of_bits(uint32_t(v[0])), f32_of_bits(uint32_t(v[1])), f32_of_bits(uint32_t(v[2])),
                         f32_of_bits(uint32_t(v[3]))};
  gemm_store_part(a, plane, r, c, bits);
}

template <class Sum, class Shape, bool Pair>
GK_KERNEL(Shape::tile.threads(), 1)
gemm_simt_kernel(gemm_args a) {
  constexpr simt_tile tile = Shape::tile;
  constexpr uint32_t threads = tile.threads(), across = tile.block / tile.micro, ld = tile.ld();
  constexpr uint32_t groups = tile.micro / 4;  // of four rows or columns
  constexpr uint32_t group_step = tile.block / groups;
  const uint32_t t = thread_idx().x, ty = t / across, tx = t % across;
  const int64_t tiles_n = (a.n + tile.block - 1) / tile.block;
  const int64_t row0 = block_idx().x / tiles_n * tile.block, column0 = block_idx().x % tiles_n * tile.block;
  const sptr<Sum> sa = shared_at<Sum>(0), sb = sa + tile.block_k * ld, sb2 = sb + tile.block_k * ld;

  Sum d[tile.micro][tile.micro] = {}, d2[Pair ? tile.micro : 1][Pair ? tile.micro : 1] = {};
  const int64_t part = block_idx().z, k_begin = part * a.split_k;
  const int64_t k_end = k_begin + a.split_k < a.k ? k_begin + a.split_k : a.k;
  for (int64_t k0 = k_begin; k0 < k_end; k0 += tile.block_k) {
    GK_UNROLL
    for (uint32_t i = 0; i < tile.block * tile.block_k / threads; ++i) {
      const uint32_t index = i * threads + t, row = index / tile.block_k, x = index % tile.block_k;
      const int64_t at_k = k0 + x, r = row0 + row, c = column0 + row;
      const int64_t kb = a.scale_blocks != 0 ? at_k / a.scale_block_k : 0;
      const int64_t cb = a.scale_blocks != 0 && a.scale_block_n != 0 ? c / a.scale_block_n : 0;
      Sum va = 0, vb = 0, vb2 = 0;
      if (at_k < k_end && r < a.m)
        va = load_operand<Sum>(a.a, a.a_type, r * a.lda + at_k, a.a_scale, a.has_a_scale, r * a.scale_blocks + kb);
      if (at_k < k_end && c < a.n) {
        vb = load_operand<Sum>(a.b, a.b_type, c * a.ldb + at_k, a.b_scale, a.has_b_scale, cb * a.scale_blocks + kb);
        if constexpr (Pair)
          vb2 =
              load_operand<Sum>(a.b2, a.b_type, c * a.ldb + at_k, a.b2_scale, a.has_b2_scale, cb * a.scale_blocks + kb);
      }
      st_shared(sa + (x * ld + row), va);
      st_shared(sb + (x * ld + row), vb);
      if constexpr (Pair) st_shared(sb2 + (x * ld + row), vb2);
    }
    bar_sync();
    GK_UNROLL_4
    for (uint32_t x = 0; x < tile.block_k; ++x) {
      Sum va[tile.micro], vb[tile.micro];
      GK_UNROLL
      for (uint32_t g = 0; g < groups; ++g) read_vector(va + g * 4, sa + (x * ld + g * group_step + ty * 4));
      GK_UNROLL
      for (uint32_t g = 0; g < groups; ++g) read_vector(vb + g * 4, sb + (x * ld + g * group_step + tx * 4));
      GK_UNROLL
      for (int i = 0; i < tile.micro; ++i) GK_UNROLL
      for (int j = 0; j < tile.micro; ++j) d[i][j] = multiply_add(va[i], vb[j], d[i][j]);
      if constexpr (Pair) {
        GK_UNROLL
        for (uint32_t g = 0; g < groups; ++g) read_vector(vb + g * 4, sb2 + (x * ld + g * group_step + tx * 4));
        GK_UNROLL
        for (int i = 0; i < tile.micro; ++i) GK_UNROLL
        for (int j = 0; j < tile.micro; ++j) d2[i][j] = multiply_add(va[i], vb[j], d2[i][j]);
      }
    }
    bar_sync();
  }
  GK_UNROLL
  for (int i = 0; i < tile.micro; ++i) GK_UNROLL
  for (uint32_t g = 0; g < groups; ++g) {
    const int64_t r = row0 + i / 4 * group_step + ty * 4 + i % 4, c = column0 + g * group_step + tx * 4;
    if (r >= a.m || c >= a.n) continue;
    Sum first[4], second[4] = {0, 0, 0, 0};
    GK_UNROLL
    for (int j = 0; j < 4; ++j) {
      first[j] = d[i][g * 4 + j];
      if constexpr (Pair) second[j] = d2[i][g * 4 + j];
    }
    if (a.splits == 1) {
      gemm_store(a, r, c, first, second);
      continue;
    }
    store_part(a, Pair ? part * 2 : part, r, c, first);
    if constexpr (Pair) store_part(a, part * 2 + 1, r, c, second);
  }
}

template <class Sum, bool Pair>
void launch_simt(gemm_args &a, context &ctx) {
  const auto go = [&]<class Shape>() {
    constexpr simt_tile tile = Shape::tile;
    // Large tiles are a wave already.
    const uint32_t wanted = tile.block == simt_small::tile.block ? plan_simt_splits(a.m, a.n, a.k, ctx.can()) : 1;
    a.split_k = std::max<int64_t>(ceil_div(ceil_div(a.k, tile.block_k), wanted) * tile.block_k, 1);
    a.splits = uint32_t(std::max<int64_t>(ceil_div(a.k, a.split_k), 1));
    if (a.splits > 1)
      a.workspace = runtime::address<float>(
          ctx.scratch(0, uint64_t(a.splits) * (Pair ? 2 : 1) * uint64_t(a.m) * uint64_t(a.n) * sizeof(float)));
    const runtime::launch_shape shape = {
        .grid_x = uint32_t(ceil_div(a.m, tile.block) * ceil_div(a.n, tile.block)),
        .grid_z = a.splits,
        .threads = uint32_t(tile.threads()),
        .shared_bytes = uint32_t(tile.block_k * tile.ld() * int(sizeof(Sum)) * (Pair ? 3 : 2))};
    runtime::launch(ctx.stream(), &gemm_simt_kernel<Sum, Shape, Pair>, shape, a);
    if (a.splits > 1) gemm_add_parts(a, ctx);
  };
  if (ceil_div(a.m, 128) * ceil_div(a.n, 128) >= ctx.can().multiprocessors && !Pair)
    go.template operator()<simt_large>();
  else
    go.template operator()<simt_small>();
}

}  // namespace

void run_gemm_simt(void *problem, places at, context &ctx) {
  const auto &p = *static_cast<const gk_gemm *>(problem);
  if (p.m == 0 || p.n == 0) return;
  gemm_args a = make_gemm_args(p, at);
  if (p.a_type == GK_I8)
    launch_simt<int32_t, false>(a, ctx);
  else if (a.pair)
    launch_simt<float, true>(a, ctx);
  else
    launch_simt<float, false>(a, ctx);
}

}  // namespace gonka::cuda
