// gemm for AMX: i8 x i8 -> i32 exact modulo 2^32 by tdpbssd, bf16 x bf16 by tdpbf16ps (which flushes subnormals to
// zero, as gk_gemm allows). A tile of D is up to 32 x 32, in four registers; two hold A, two B. Checked against the
// model of amx_tile.hpp; its speed is not measured.
//
// The panel of A: groups of 16 steps, in each of them [rows][steps], as a tile register takes rows; of B: [steps][32],
// a form that kernels of AVX-512 read, too.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "amx_tile.hpp"
#include "gemm_tile.hpp"
#include "simd_avx512.hpp"

namespace gonka::cpu {
namespace {

using lanes = lanes_avx512;

constexpr int k_tile_rows = 16, k_tile_bytes = 64, k_max_rows = 2 * k_tile_rows, k_columns = 32;
constexpr int k_group_steps = k_tile_bytes / 4, k_row_bytes = 4 * k_columns;
constexpr int k_block_steps = 256;  // of a B panel 32 KiB, which L1 holds
static_assert(k_block_steps % k_group_steps == 0, "only the last group of an A panel may be short");

struct i8_product {
  static constexpr int element_bytes = 1;
  template <int C, int A, int B>
  static void multiply() {
    tdpbssd<C, A, B>();
  }
  static void finish(const void *tile, const gemm_finish &out) { finish_i32<lanes>(tile, out); }
};

struct bf16_product {
  static constexpr int element_bytes = 2;
  template <int C, int A, int B>
  static void multiply() {
    tdpbf16ps<C, A, B>();
  }
  static void finish(const void *tile, const gemm_finish &out) { finish_f32<lanes>(tile, out); }
};

// Registers 0 to 3 are the tile, rows first; 4 and 5 A's rows, 6 and 7 B's columns.
template <int Rows>
struct registers {
  static constexpr int first = Rows < k_tile_rows ? Rows : k_tile_rows, second = Rows - first;

  static tile_config config(int steps) {
    tile_config c;
    for (int half = 0; half < 2; ++half) {
      c.shape(half, first, k_tile_bytes);
      c.shape(6 + half, steps, k_tile_bytes);
      if (second > 0) c.shape(2 + half, second, k_tile_bytes);
    }
    c.shape(4, first, 4 * steps);
    if (second > 0) c.shape(5, second, 4 * steps);
    return c;
  }
  static void zero() {
    tilezero<0>(), tilezero<1>();
    if constexpr (second > 0) tilezero<2>(), tilezero<3>();
  }
  static void load(const uint8_t *tile) {
    tileloadd<0>(tile, k_row_bytes), tileloadd<1>(tile + k_tile_bytes, k_row_bytes);
    if constexpr (second > 0) {
      const uint8_t *lower = tile + k_tile_rows * k_row_bytes;
      tileloadd<2>(lower, k_row_bytes), tileloadd<3>(lower + k_tile_bytes, k_row_bytes);
    }
  }
  static void store(uint8_t *tile) {
    tilestored<0>(tile, k_row_bytes), tilestored<1>(tile + k_tile_bytes, k_row_bytes);
    if constexpr (second > 0) {
      uint8_t *lower = tile + k_tile_rows * k_row_bytes;
      tilestored<2>(lower, k_row_bytes), tilestored<3>(lower + k_tile_bytes, k_row_bytes);
    }
  }
  // One group of `steps` steps.
  template <class Product>
  static void multiply(const uint8_t *a, const uint8_t *b, int steps) {
    const int64_t a_row = 4 * steps;
    tileloadd<6>(b, k_row_bytes), tileloadd<7>(b + k_tile_bytes, k_row_bytes);
    tileloadd<4>(a, a_row);
    Product::template multiply<0, 4, 6>(), Product::template multiply<1, 4, 7>();
    if constexpr (second > 0) {
      tileloadd<5>(a + first * a_row, a_row);
      Product::template multiply<2, 5, 6>(), Product::template multiply<3, 5, 7>();
    }
  }
};

template <class Product, int Rows>
void amx_tile(int64_t steps, const uint32_t *a, const void *b, void *tile, bool accumulate, const gemm_ahead &ahead,
              const gemm_finish *leave) {
  using set = registers<Rows>;
  const auto *next_a = reinterpret_cast<const uint8_t *>(a);
  const auto *next_b = static_cast<const uint8_t *>(b), *soon = static_cast<const uint8_t *>(ahead.stream);
  const auto *row = static_cast<const uint8_t *>(ahead.rows);
  auto *out = static_cast<uint8_t *>(tile);
  ldtilecfg(set::config(k_group_steps));
  accumulate ? set::load(out) : set::zero();
  for (int64_t group = 0; group < steps / k_group_steps; ++group) {
    for (int step = 0; step < k_group_steps; ++step, soon += ahead.stream_step)
      lanes::prefetch(soon), lanes::prefetch(soon + 64);
    if (group < 2)
      for (int r = 0; r < k_tile_rows; ++r, row += ahead.row_step) lanes::prefetch(row), lanes::prefetch(row + 64);
    set::template multiply<Product>(next_a, next_b, k_group_steps);
    next_a += Rows * k_tile_bytes;
    next_b += k_group_steps * k_row_bytes;
  }
  if (const int rest = int(steps % k_group_steps); rest > 0) {
    // Other shapes clear the registers.
    set::store(out);
    ldtilecfg(set::config(rest));
    set::load(out);
    set::template multiply<Product>(next_a, next_b, rest);
  }
  set::store(out);
  tilerelease();
  if (leave != nullptr) Product::finish(out, *leave);
}

template <class Product>
void pack_a(const void *a, uint32_t, int64_t lda, int rows, int64_t k, uint32_t *panel, int32_t *) {
  const int64_t bytes = k * Product::element_bytes, row_bytes = lda * Product::element_bytes;
  auto *to = reinterpret_cast<uint8_t *>(panel);
  for (int64_t at = 0; at < bytes; at += k_tile_bytes) {
    const auto there = size_t(std::min<int64_t>(k_tile_bytes, bytes - at)), width = (there + 3) / 4 * 4;
    for (int r = 0; r < rows; ++r, to += width) {
      std::memcpy(to, static_cast<const uint8_t *>(a) + r * row_bytes + at, there);
      std::memset(to + there, 0, width - there);
    }
  }
}

template <class Product>
void pack_b(const void *b, int64_t ldb, int count, int64_t k, int half, void *panel) {
  constexpr int size = Product::element_bytes;
  pack_b_units4<lanes>(b, ldb * size, k * size, count, half, panel, 0);
}

template <class Product, int... Row>
constexpr std::array<gemm_tile_fn, sizeof...(Row)> tiles_of(std::integer_sequence<int, Row...>) {
  return {amx_tile<Product, Row + 1>...};
}
template <class Product>
constexpr auto k_tiles = tiles_of<Product>(std::make_integer_sequence<int, k_max_rows>());

template <class Product>
constexpr gemm_kernel kernel_of(uint32_t layout) {
  return {.layout = layout,
          .max_rows = k_max_rows,
          .columns = k_columns,
          .group = 4 / Product::element_bytes,
          .b_unit = 4,
          .block_steps = k_block_steps,
          .block_panels = 8,
          .task_b_panels = 4,
          .needs_row_sums = false,
          .tile = k_tiles<Product>.data(),
          .pack_a = pack_a<Product>,
          .pack_b = pack_b<Product>,
          .finish = Product::finish,
          .widen_b = nullptr,
          .wide_tile = nullptr};
}

constexpr gemm_kernel k_i8 = kernel_of<i8_product>(k_layout_32x4);
constexpr gemm_kernel k_bf16 = kernel_of<bf16_product>(k_layout_32x2);

}  // namespace

const gemm_kernel *gemm_kernel_amx_int8(uint32_t a_type, uint32_t b_type) noexcept {
  return a_type == GK_I8 && b_type == GK_I8 ? &k_i8 : nullptr;
}

const gemm_kernel *gemm_kernel_amx_bf16(uint32_t a_type, uint32_t b_type) noexcept {
  return a_type == GK_BF16 && b_type == GK_BF16 ? &k_bf16 : nullptr;
}

}  // namespace gonka::cpu
