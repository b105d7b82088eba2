// matmul_pow around the product: operands from Philox, tickets from folds, shares back to the host.
#include <algorithm>
#include <cstring>
#include <vector>

#include "device/matmul_pow.cuh"
#include "device/sha256.cuh"
#include "matmul_pow.hpp"

namespace gonka::cuda {
namespace {

constexpr uint32_t k_threads = 256;

struct operand_args {
  philox_key key;
  uint32_t counter[2];
  uint32_t profile;
  uint32_t first_row;
  int64_t rows, blocks;  // blocks of 16 elements in a row
  gptr<u32x4> out;
};

GK_KERNEL(k_threads, 1)
operand_kernel(operand_args a) {
  const int64_t total = a.rows * a.blocks, step = int64_t(grid_dim().x) * k_threads;
  for (int64_t i = int64_t(block_idx().x) * k_threads + thread_idx().x; i < total; i += step) {
    const int64_t row = i / a.blocks;
    uint32_t c[4] = {uint32_t(i - row * a.blocks), a.first_row + uint32_t(row), a.counter[0], a.counter[1]};
    uint32_t k0 = a.key[0], k1 = a.key[1];
    GK_UNROLL
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t(0xd2511f53u) * c[0], p1 = uint64_t(0xcd9e8d57u) * c[2];
      c[0] = uint32_t(p1 >> 32) ^ c[1] ^ k0;
      c[1] = uint32_t(p1);
      c[2] = uint32_t(p0 >> 32) ^ c[3] ^ k1;
      c[3] = uint32_t(p0);
      k0 += 0x9e3779b9u;
      k1 += 0xbb67ae85u;
    }
    if (a.profile == GK_POW_I4) {
      GK_UNROLL
      for (int word = 0; word < 4; ++word) {
        uint32_t narrow = 0;
        GK_UNROLL
        for (int e = 0; e < 4; ++e) narrow |= (uint32_t(((c[word] >> (8 * e) & 0xff) * 15 >> 8) - 7) & 0xff) << (8 * e);
        c[word] = narrow;
      }
    }
    st_global(a.out + i, u32x4{c[0], c[1], c[2], c[3]});
  }
}

struct winner {
  uint32_t bi, bj;
  uint32_t ticket[8];  // words as SHA-256 makes them
};

struct ticket_args {
  uint32_t seed[8], target[8];  // big-endian words
  uint32_t tiles_m, tiles_n;
  uint32_t first_bi, first_bj;
  gptr<const uint64_t> folds;
  gptr<uint32_t> found;
  gptr<winner> list;  // room for every tile
};

GK_KERNEL(k_threads, 1)
ticket_kernel(ticket_args a) {
  const uint32_t tiles = a.tiles_m * a.tiles_n, step = grid_dim().x * k_threads;
  for (uint32_t i = block_idx().x * k_threads + thread_idx().x; i < tiles; i += step) {
    const uint32_t row = i / a.tiles_n, bi = a.first_bi + row, bj = a.first_bj + (i - row * a.tiles_n);
    const uint64_t fold = ld_global(a.folds + i);
    uint32_t w[16];
    GK_UNROLL
    for (int j = 0; j < 8; ++j) w[j] = a.seed[j];
    w[8] = swap_bytes(bi);
    w[9] = swap_bytes(bj);
    w[10] = swap_bytes(uint32_t(fold));
    w[11] = swap_bytes(uint32_t(fold >> 32));
    w[12] = 0x80000000;
    w[13] = w[14] = 0;
    w[15] = 48 * 8;
    sha256_state s = sha256_start();
    sha256_compress(s, w);
    bool wins = false;
    GK_UNROLL
    for (int j = 0; j < 8; ++j) {
      if (s.h[j] == a.target[j]) continue;
      wins = s.h[j] < a.target[j];
      break;
    }
    if (!wins) continue;
    const gptr<uint32_t> to = ptr_cast<uint32_t>(a.list + atom_add_global(a.found, 1));
    st_global(to, bi);
    st_global(to + 1, bj);
    GK_UNROLL
    for (int j = 0; j < 8; ++j) st_global(to + (2 + j), s.h[j]);
  }
}

uint32_t grid_for(int64_t items, const context &ctx) {
  const int64_t blocks = ceil_div(items, k_threads), most = int64_t(ctx.can().multiprocessors) * 16;
  return uint32_t(blocks < most ? blocks : most);
}

uint32_t big_endian(const uint8_t *p) {
  return uint32_t(p[0]) << 24 | uint32_t(p[1]) << 16 | uint32_t(p[2]) << 8 | p[3];
}

// `tiles` tile rows of an operand from the first on: where the caller put them, or derived into scratch.
void *operand_of(const gk_matmul_pow &p, char which, void *given, uint32_t first, uint32_t tiles, uint32_t slot,
                 context &ctx) {
  const uint32_t first_row = first * uint32_t(k_pow_tile), rows = tiles * uint32_t(k_pow_tile);
  if (given != nullptr) return static_cast<std::byte *>(given) + uint64_t(first_row) * p.k;
  void *const to = ctx.scratch(slot, uint64_t(rows) * p.k);
  const pow_operand_seed seed = pow_seed_of(p.nonce_seed, which);
  const operand_args a = {seed.key,          {seed.counter[0], seed.counter[1]}, p.profile, first_row, int64_t(rows),
                          int64_t(p.k / 16), runtime::address<u32x4>(to)};
  runtime::launch(ctx.stream(), &operand_kernel, {.grid_x = grid_for(a.rows * a.blocks, ctx), .threads = k_threads}, a);
  return to;
}

void run(gk_matmul_pow &p, places at, context &ctx, bool wgmma) {
  p.shares_found = 0;
  const pow_part part = pow_part_of(p);
  void *const a = operand_of(p, 'A', at[k_pow_a], part.row, part.rows, 0, ctx);
  void *const b = operand_of(p, 'B', at[k_pow_b], part.column, part.columns, 1, ctx);
  const uint32_t tiles_m = part.rows, tiles_n = part.columns;
  const uint64_t tiles = uint64_t(tiles_m) * tiles_n;
  void *const folds = ctx.scratch(2, tiles * 8), *const found = ctx.scratch(3, 4);
  void *const list = ctx.scratch(4, tiles * sizeof(winner));

  gemm_args g{};
  g.m = int64_t(tiles_m) * k_pow_tile, g.n = int64_t(tiles_n) * k_pow_tile, g.k = p.k, g.lda = g.ldb = p.k;
  g.a_type = g.b_type = GK_I8;
  g.vector_a = aligned_16(a);
  g.vector_b = aligned_16(b);
  g.splits = 1;
  g.split_k = p.k;
  g.a = runtime::address<const uint8_t>(a);
  g.b = runtime::address<const uint8_t>(b);
  if (wgmma)
    fold_wgmma(g, a, b, runtime::address<uint64_t>(folds), ctx);
  else
    fold_mma(g, runtime::address<uint64_t>(folds), ctx);

  ticket_args t{};
  for (int i = 0; i < 8; ++i) {
    t.seed[i] = big_endian(p.nonce_seed + 4 * i);
    t.target[i] = big_endian(p.target + 4 * i);
  }
  t.tiles_m = tiles_m, t.tiles_n = tiles_n;
  t.first_bi = part.row, t.first_bj = part.column;
  t.folds = runtime::address<const uint64_t>(folds);
  t.found = runtime::address<uint32_t>(found);
  t.list = runtime::address<winner>(list);
  runtime::fill(ctx.stream(), found, 0, 4);
  runtime::launch(ctx.stream(), &ticket_kernel, {.grid_x = grid_for(int64_t(tiles), ctx), .threads = k_threads}, t);

  if (p.folds != nullptr) runtime::copy_to_host(ctx.stream(), p.folds, folds, tiles * 8);
  uint32_t count = 0;
  runtime::copy_to_host(ctx.stream(), &count, found, 4);
  p.shares_found = count;
  if (count == 0 || p.shares_capacity == 0) return;
  std::vector<winner> winners(count);
  runtime::copy_to_host(ctx.stream(), winners.data(), list, count * sizeof(winner));
  std::sort(winners.begin(), winners.end(),
            [](const winner &x, const winner &y) { return x.bi != y.bi ? x.bi < y.bi : x.bj < y.bj; });
  for (uint32_t i = 0; i < count && i < p.shares_capacity; ++i) {
    gk_pow_share &share = p.shares[i];
    share.bi = winners[i].bi;
    share.bj = winners[i].bj;
    for (int j = 0; j < 32; ++j) share.ticket[j] = uint8_t(winners[i].ticket[j / 4] >> (24 - j % 4 * 8));
  }
}

}  // namespace

void run_matmul_pow_mma(void *problem, places at, context &ctx) {
  run(*static_cast<gk_matmul_pow *>(problem), at, ctx, false);
}
void run_matmul_pow_wgmma(void *problem, places at, context &ctx) {
  run(*static_cast<gk_matmul_pow *>(problem), at, ctx, true);
}

}  // namespace gonka::cuda
