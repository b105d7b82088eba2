// The instructions of AMX on its eight tile registers, named after them (Intel SDM vol. 2; palette 1: at most 16 rows
// of 64 bytes each). Tiles are template arguments: an instruction names its registers.
//
// With GONKA_AMX_MODEL a plain C++ model of the SDM's pseudo code takes their place, with which the tests run the
// kernels on any processor; what would raise #UD or #GP there ends the program.
#pragma once

#include <cstdint>

#if defined(GONKA_AMX_MODEL)
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#endif

namespace gonka::cpu {
namespace {

// What LDTILECFG reads.
struct alignas(64) tile_config {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void shape(int tile, int of_rows, int of_bytes) {
    rows[tile] = uint8_t(of_rows);
    row_bytes[tile] = uint16_t(of_bytes);
  }
};
static_assert(sizeof(tile_config) == 64);

#if !defined(GONKA_AMX_MODEL)

// Sets the shapes and clears all tiles.
inline void ldtilecfg(const tile_config &config) {
  __asm__ volatile("ldtilecfg %0" : : "m"(config));
}
// Back to the initial state: a thread that has tiles in use costs 8 KiB at each switch.
inline void tilerelease() {
  __asm__ volatile("tilerelease");
}
template <int Tile>
void tilezero() {
  __asm__ volatile("tilezero %%tmm%c0" : : "i"(Tile));
}
template <int Tile>
void tileloadd(const void *base, int64_t stride) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(base), "r"(stride), "i"(Tile) : "memory");
}
template <int Tile>
void tilestored(void *base, int64_t stride) {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(base), "r"(stride), "i"(Tile) : "memory");
}
// C += A B, A and B of signed bytes in fours along k: modulo 2^32.
template <int C, int A, int B>
void tdpbssd() {
  __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
}
// C += A B, A and B of BF16 in pairs along k.
template <int C, int A, int B>
void tdpbf16ps() {
  __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
}

#else

struct tile_state {
  bool configured = false;
  tile_config config;
  uint8_t data[8][16][64];
};
inline thread_local tile_state tiles;

inline void tile_fault(const char *what) {
  std::fprintf(stderr, "AMX model: %s\n", what);
  std::abort();
}
inline void need_shape(int tile) {
  if (!tiles.configured) tile_fault("a tile was used before ldtilecfg");
  if (tiles.config.rows[tile] == 0 || tiles.config.row_bytes[tile] == 0) tile_fault("a tile without shape was used");
}

inline void ldtilecfg(const tile_config &config) {
  if (config.palette != 1 || config.start_row != 0) tile_fault("ldtilecfg: palette or start row");
  for (int t = 0; t < 16; ++t)
    if (config.rows[t] > 16 || config.row_bytes[t] > 64 || (config.rows[t] == 0) != (config.row_bytes[t] == 0) ||
        (t >= 8 && config.rows[t] != 0))
      tile_fault("ldtilecfg: a shape beyond the palette");
  for (const uint8_t byte : config.reserved)
    if (byte != 0) tile_fault("ldtilecfg: a reserved byte is set");
  tiles.configured = true;
  tiles.config = config;
  std::memset(tiles.data, 0, sizeof tiles.data);
}
inline void tilerelease() {
  tiles.configured = false;
}
template <int Tile>
void tilezero() {
  need_shape(Tile);
  std::memset(tiles.data[Tile], 0, sizeof tiles.data[Tile]);
}
template <int Tile>
void tileloadd(const void *base, int64_t stride) {
  need_shape(Tile);
  std::memset(tiles.data[Tile], 0, sizeof tiles.data[Tile]);
  for (int r = 0; r < tiles.config.rows[Tile]; ++r)
    std::memcpy(tiles.data[Tile][r], static_cast<const uint8_t *>(base) + r * stride, tiles.config.row_bytes[Tile]);
}
template <int Tile>
void tilestored(void *base, int64_t stride) {
  need_shape(Tile);
  for (int r = 0; r < tiles.config.rows[Tile]; ++r)
    std::memcpy(static_cast<uint8_t *>(base) + r * stride, tiles.data[Tile][r], tiles.config.row_bytes[Tile]);
}

// Calls body(row of C, column of C, unit of k) for all of a product; C's columns and k in units of four bytes.
template <int C, int A, int B, class Body>
void tile_product(Body &&body) {
  static_assert(C != A && C != B && A != B, "#UD: the tiles of a product differ");
  for (const int tile : {C, A, B}) need_shape(tile);
  const tile_config &config = tiles.config;
  if (config.rows[A] != config.rows[C] || config.row_bytes[B] != config.row_bytes[C] ||
      config.row_bytes[A] != 4 * config.rows[B])
    tile_fault("the shapes of a product do not fit");
  for (int m = 0; m < config.rows[C]; ++m)
    for (int n = 0; n < config.row_bytes[C] / 4; ++n) body(m, n, int(config.rows[B]));
}

template <int C, int A, int B>
void tdpbssd() {
  tile_product<C, A, B>([](int m, int n, int units) {
    uint32_t sum;
    std::memcpy(&sum, &tiles.data[C][m][4 * n], 4);
    for (int k = 0; k < units; ++k)
      for (int i = 0; i < 4; ++i)
        sum += uint32_t(int8_t(tiles.data[A][m][4 * k + i]) * int8_t(tiles.data[B][k][4 * n + i]));
    std::memcpy(&tiles.data[C][m][4 * n], &sum, 4);
  });
}

// Subnormals count as zero, in and out.
inline float tile_flushed(float v) {
  return std::fpclassify(v) == FP_SUBNORMAL ? std::copysign(0.f, v) : v;
}
inline float tile_bf16(const uint8_t *at) {
  uint16_t half;
  std::memcpy(&half, at, 2);
  const uint32_t bits = uint32_t(half) << 16;
  float v;
  std::memcpy(&v, &bits, 4);
  return tile_flushed(v);
}

// The SDM adds the even and the odd elements in a chain of fused multiply-adds each, then both to C.
template <int C, int A, int B>
void tdpbf16ps() {
  tile_product<C, A, B>([](int m, int n, int units) {
    float chains[2] = {0, 0}, sum;
    for (int k = 0; k < units; ++k)
      for (int i = 0; i < 2; ++i)
        chains[i] = tile_flushed(std::fma(tile_bf16(&tiles.data[A][m][4 * k + 2 * i]),
                                          tile_bf16(&tiles.data[B][k][4 * n + 2 * i]), chains[i]));
    std::memcpy(&sum, &tiles.data[C][m][4 * n], 4);
    sum = tile_flushed(tile_flushed(sum) + tile_flushed(chains[0] + chains[1]));
    std::memcpy(&tiles.data[C][m][4 * n], &sum, 4);
  });
}

#endif

}  // namespace
}  // namespace gonka::cpu
