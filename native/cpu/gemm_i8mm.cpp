// gemm for Armv8.6-A with FEAT_I8MM: i8 x i8 -> i32 by SMMLA, which multiplies two rows of A by two columns of B, eight
// elements deep, and wraps modulo 2^32. Checked under qemu-user (test/aarch64.sh); its speed is not measured.
//
// Two steps of four elements go together. The panel of A: pairs of steps, in each of them [rows][8 bytes]; B is in the
// form of the kernel with SDOT, whose columns of two steps are put side by side in registers.
#include <algorithm>

#include "gemm_tile.hpp"
#include "simd_neon.hpp"

namespace gonka::cpu {
namespace {

using lanes = lanes_neon;

constexpr int k_max_rows = 12, k_columns = 8, k_column_pairs = k_columns / 2, k_step_bytes = 4 * k_columns;

// Rows 2 pair and 2 pair + 1 of a pair of steps, or of a single one whose second half is zero.
template <int Rows>
int8x16_t two_rows(const uint8_t *a, int pair) {
  const uint8_t *at = a + 16 * pair;
  return 2 * pair + 1 < Rows ? vreinterpretq_s8_u8(vld1q_u8(at))
                             : vreinterpretq_s8_u8(vcombine_u8(vld1_u8(at), vdup_n_u8(0)));
}
template <int Rows>
int8x16_t two_rows_of_one_step(const uint8_t *a, int pair) {
  int32_t units[4] = {0, 0, 0, 0};
  std::memcpy(&units[0], a + 8 * pair, 4);
  if (2 * pair + 1 < Rows) std::memcpy(&units[2], a + 8 * pair + 4, 4);
  return vreinterpretq_s8_s32(vld1q_s32(units));
}

template <int Rows>
void i8mm_tile(int64_t steps, const uint32_t *a, const void *b, void *tile, bool accumulate, const gemm_ahead &ahead,
               const gemm_finish *leave) {
  constexpr int pairs = (Rows + 1) / 2;
  int32x4_t sum[pairs][k_column_pairs];
  for (auto &row : sum)
    for (int32x4_t &s : row) s = vdupq_n_s32(0);
  const auto *next_a = reinterpret_cast<const uint8_t *>(a);
  const auto *next_b = static_cast<const uint8_t *>(b);
  const auto *soon = static_cast<const uint8_t *>(ahead.stream), *row_ahead = static_cast<const uint8_t *>(ahead.rows);
  // B's columns in four vectors, two each, from the vectors of both steps.
  const auto multiply = [&](const int32x4_t(&now)[2], const int32x4_t(&then)[2], auto &&rows) {
    const int32x4_t columns[k_column_pairs] = {vzip1q_s32(now[0], then[0]), vzip2q_s32(now[0], then[0]),
                                               vzip1q_s32(now[1], then[1]), vzip2q_s32(now[1], then[1])};
#pragma GCC unroll 8
    for (int p = 0; p < pairs; ++p)
#pragma GCC unroll 4
      for (int c = 0; c < k_column_pairs; ++c)
        sum[p][c] = vmmlaq_s32(sum[p][c], rows(next_a, p), vreinterpretq_s8_s32(columns[c]));
  };
  int64_t step = 0;
  for (; step + 2 <= steps; step += 2) {
    lanes::prefetch(soon), lanes::prefetch(soon + ahead.stream_step);
    soon += 2 * ahead.stream_step;
    if (step < Rows) {
      lanes::prefetch(row_ahead), lanes::prefetch(row_ahead + ahead.row_step);
      row_ahead += 2 * ahead.row_step;
    }
    const int32x4_t now[2] = {lanes::load_i(next_b), lanes::load_i(next_b + 16)};
    const int32x4_t then[2] = {lanes::load_i(next_b + k_step_bytes), lanes::load_i(next_b + k_step_bytes + 16)};
    multiply(now, then, two_rows<Rows>);
    next_a += 8 * Rows;
    next_b += 2 * k_step_bytes;
  }
  if (step < steps) {
    const int32x4_t now[2] = {lanes::load_i(next_b), lanes::load_i(next_b + 16)};
    const int32x4_t then[2] = {lanes::zero_i(), lanes::zero_i()};
    multiply(now, then, two_rows_of_one_step<Rows>);
  }
  auto *out = static_cast<uint8_t *>(tile);
  for (int r = 0; r < Rows; ++r) {
    const auto half = [&](int32x4_t v) { return r % 2 == 0 ? vget_low_s32(v) : vget_high_s32(v); };
    uint8_t *partial = out + r * k_step_bytes;
    uint8_t *to = leave == nullptr ? partial : static_cast<uint8_t *>(leave->d) + r * leave->ldd * 4;
    for (int v = 0; v < 2; ++v) {
      const auto &columns = sum[r / 2];
      int32x4_t row = vcombine_s32(half(columns[2 * v]), half(columns[2 * v + 1]));
      if (accumulate) row = vaddq_s32(row, lanes::load_i(partial + 16 * v));
      lanes::store_i(to + 16 * v, row);
    }
  }
}

void pack_a(const void *a, uint32_t, int64_t lda, int rows, int64_t k, uint32_t *panel, int32_t *) {
  auto *to = reinterpret_cast<uint8_t *>(panel);
  for (int64_t at = 0; at < k; at += 8) {
    const auto there = size_t(std::min<int64_t>(8, k - at)), width = (there + 3) / 4 * 4;
    for (int r = 0; r < rows; ++r, to += width) {
      std::memcpy(to, static_cast<const uint8_t *>(a) + r * lda + at, there);
      std::memset(to + there, 0, width - there);
    }
  }
}

void pack_b(const void *b, int64_t ldb, int count, int64_t k, int half, void *panel) {
  pack_b_units4<lanes>(b, ldb, k, count, half, panel, 0);
}

constexpr gemm_tile_fn k_tiles[] = {i8mm_tile<1>, i8mm_tile<2>,  i8mm_tile<3>,  i8mm_tile<4>,
                                    i8mm_tile<5>, i8mm_tile<6>,  i8mm_tile<7>,  i8mm_tile<8>,
                                    i8mm_tile<9>, i8mm_tile<10>, i8mm_tile<11>, i8mm_tile<12>};

constexpr gemm_kernel k_kernel = {.layout = k_layout_8x4,
                                  .max_rows = k_max_rows,
                                  .columns = k_columns,
                                  .group = 4,
                                  .b_unit = 4,
                                  .block_steps = 512,
                                  .block_panels = 12,
                                  .task_b_panels = 4,
                                  .needs_row_sums = false,
                                  .tile = k_tiles,
                                  .pack_a = pack_a,
                                  .pack_b = pack_b,
                                  .finish = finish_i32<lanes>,
                                  .widen_b = nullptr,
                                  .wide_tile = nullptr};

}  // namespace

const gemm_kernel *gemm_kernel_i8mm(uint32_t a_type, uint32_t b_type) noexcept {
  return a_type == GK_I8 && b_type == GK_I8 ? &k_kernel : nullptr;
}

}  // namespace gonka::cpu
