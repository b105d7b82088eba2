// matmul_pow for AVX2. vpmaddubsw saturates, so elements are widened to 16 bits and multiplied by vpmaddwd.
//
// Panels of B are [k / 2][16 rows] of two 16-bit elements, those of A [16 / 4][k / 2][4 rows]. The elements of four are
// paired 0 with 2 and 1 with 3, in A and in B alike, which leaves the sum as it is and costs one shift less. A tile is
// 64 products of 4 rows x 16 columns.
#include "matmul_pow.hpp"
#include "simd_avx2.hpp"

namespace gonka::cpu {
namespace {

// Steps between visits of the accumulators to memory: so much of a panel of B (16 kB) stays in L1 while A passes. The
// operands of a tile are 2 x 128 k bytes; the next part of them is asked for while this one is multiplied.
constexpr int64_t k_depth = 256;

// Four rows' Philox state, one 32-bit word in the low half of every 64-bit lane.
struct philox_rows {
  __m256i c0, c1, c2, c3;

  [[gnu::always_inline]] void round(__m256i key0, __m256i key1) {
    const __m256i p0 = _mm256_mul_epu32(c0, _mm256_set1_epi64x(k_philox_multiplier[0]));
    const __m256i p1 = _mm256_mul_epu32(c2, _mm256_set1_epi64x(k_philox_multiplier[1]));
    c0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c1), key0);
    c2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c3), key1);
    c1 = p1;
    c3 = p0;
  }
};

// The low halves of eight 64-bit lanes, in order.
__m256i low_halves(__m256i first, __m256i second) {
  const __m256 mixed = _mm256_shuffle_ps(_mm256_castsi256_ps(first), _mm256_castsi256_ps(second), 0x88);
  return _mm256_permute4x64_epi64(_mm256_castps_si256(mixed), 0xd8);
}

// Where the steps of a panel lie, in units of 4 bytes (two elements).
template <bool IsA>
struct panel_writer {
  uint32_t *panel;
  uint64_t steps;

  // Eight rows of a step, the first of them 8 * half.
  [[gnu::always_inline]] void store(uint64_t step, uint32_t half, __m256i units) const {
    if constexpr (IsA) {
      uint32_t *to = panel + (2 * half * steps + step) * 4;
      _mm_store_si128(reinterpret_cast<__m128i *>(to), _mm256_castsi256_si128(units));
      _mm_store_si128(reinterpret_cast<__m128i *>(to + steps * 4), _mm256_extracti128_si256(units, 1));
    } else {
      _mm256_store_si256(reinterpret_cast<__m256i *>(panel + step * 16 + 8 * half), units);
    }
  }
};

// Four elements of eight rows as two steps of pairs.
template <bool IsA, bool I4>
[[gnu::always_inline]] inline void put(const panel_writer<IsA> &to, uint64_t step, uint32_t half, __m256i bytes) {
  __m256i even, odd;
  if constexpr (I4) {
    const __m256i fifteen = _mm256_set1_epi16(15), seven = _mm256_set1_epi16(7);
    even = _mm256_sub_epi16(_mm256_mulhi_epu16(_mm256_slli_epi16(bytes, 8), fifteen), seven);
    odd = _mm256_sub_epi16(_mm256_mulhi_epu16(_mm256_and_si256(bytes, _mm256_set1_epi16(int16_t(0xff00))), fifteen),
                           seven);
  } else {
    even = _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8);
    odd = _mm256_srai_epi16(bytes, 8);
  }
  to.store(step, half, even);
  to.store(step + 1, half, odd);
}

template <bool IsA, bool I4>
void generate(const pow_panel_request &r, uint32_t *panel) {
  const panel_writer<IsA> to{panel, r.k / 2};
  for (uint32_t block = 0; block < r.k / 16; ++block) {
    philox_rows state[4];
#pragma GCC unroll 4
    for (uint32_t g = 0; g < 4; ++g)
      state[g] = {_mm256_set1_epi64x(block),
                  _mm256_add_epi64(_mm256_set1_epi64x(r.row + 4 * g), _mm256_setr_epi64x(0, 1, 2, 3)),
                  _mm256_set1_epi64x(r.seed.counter[0]), _mm256_set1_epi64x(r.seed.counter[1])};
    uint32_t key0 = r.seed.key[0], key1 = r.seed.key[1];
    for (int round = 0; round < 10; ++round) {
      const __m256i k0 = _mm256_set1_epi64x(key0), k1 = _mm256_set1_epi64x(key1);
#pragma GCC unroll 4
      for (philox_rows &rows : state) rows.round(k0, k1);
      key0 += k_philox_weyl[0];
      key1 += k_philox_weyl[1];
    }
    const uint64_t step = uint64_t(block) * 8;
#pragma GCC unroll 2
    for (uint32_t half = 0; half < 2; ++half) {
      const philox_rows &low = state[2 * half], &high = state[2 * half + 1];
      put<IsA, I4>(to, step, half, low_halves(low.c0, high.c0));
      put<IsA, I4>(to, step + 2, half, low_halves(low.c1, high.c1));
      put<IsA, I4>(to, step + 4, half, low_halves(low.c2, high.c2));
      put<IsA, I4>(to, step + 6, half, low_halves(low.c3, high.c3));
    }
  }
}

template <bool IsA>
void take_given(const pow_panel_request &r, uint32_t *panel) {
  const panel_writer<IsA> to{panel, r.k / 2};
  const __m256i row = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(int32_t(r.k)));
  for (uint32_t x = 0; x < r.k; x += 4)
    for (uint32_t half = 0; half < 2; ++half) {
      const auto *from = reinterpret_cast<const int *>(r.given + uint64_t(8 * half) * r.k + x);
      put<IsA, false>(to, x / 2, half, _mm256_i32gather_epi32(from, row, 1));
    }
}

template <bool IsA>
void make(const pow_panel_request &r, uint32_t *panel) {
  if (r.given != nullptr) return take_given<IsA>(r, panel);
  return r.profile == GK_POW_I4 ? generate<IsA, true>(r, panel) : generate<IsA, false>(r, panel);
}

void make_panel(const pow_panel_request &r, void *panel, int32_t *sums) {
  auto *out = static_cast<uint32_t *>(panel);
  if (sums != nullptr) std::memset(sums, 0, k_pow_panel_rows * sizeof *sums);  // nothing to take off: B is signed here
  return r.is_a ? make<true>(r, out) : make<false>(r, out);
}

// Two rows of A, at a0 and a1, times sixteen columns of B, which lie in ymm12 and ymm13. Four products, then four
// additions: in other orders Zen 3 gives additions the units that the products need, and 0.65 to 0.9 is left of the
// rate.
#define GONKA_POW_ROWS(a0, a1, s0, s1, s2, s3) \
  "vpbroadcastd " #a0                          \
  "(%[a]), %%ymm8\n\t"                         \
  "vpbroadcastd " #a1                          \
  "(%[a]), %%ymm9\n\t"                         \
  "vpmaddwd %%ymm12, %%ymm8, %%ymm10\n\t"      \
  "vpmaddwd %%ymm13, %%ymm8, %%ymm11\n\t"      \
  "vpmaddwd %%ymm12, %%ymm9, %%ymm14\n\t"      \
  "vpmaddwd %%ymm13, %%ymm9, %%ymm15\n\t"      \
  "vpaddd %%ymm10, %[" #s0 "], %[" #s0         \
  "]\n\t"                                      \
  "vpaddd %%ymm11, %[" #s1 "], %[" #s1         \
  "]\n\t"                                      \
  "vpaddd %%ymm14, %[" #s2 "], %[" #s2         \
  "]\n\t"                                      \
  "vpaddd %%ymm15, %[" #s3 "], %[" #s3 "]\n\t"
#define GONKA_POW_STEP(b0, b1, a0, a1, a2, a3) \
  "vmovdqa " #b0                               \
  "(%[b]), %%ymm12\n\t"                        \
  "vmovdqa " #b1 "(%[b]), %%ymm13\n\t" GONKA_POW_ROWS(a0, a1, s0, s1, s2, s3) GONKA_POW_ROWS(a2, a3, s4, s5, s6, s7)

// Four rows of A by sixteen columns of B.
struct product {
  __m256i sum[4][2];

  // steps: even, at least 2. Meanwhile asks L2 for 8 bytes a step from `ahead` on, which need not exist. In assembly:
  // gcc 12 copies every accumulator once a step.
  [[gnu::always_inline]] void run(int64_t steps, const uint32_t *a, const uint32_t *b, const char *ahead) {
    int64_t pairs = steps / 2;
    __asm__ volatile(
        ".p2align 6\n"
        "1:\n\t"
        "prefetcht1 (%[ahead])\n\t"
        GONKA_POW_STEP(0, 32, 0, 4, 8, 12)
        GONKA_POW_STEP(64, 96, 16, 20, 24, 28)
        "add $32, %[a]\n\t"
        "add $128, %[b]\n\t"
        "add $16, %[ahead]\n\t"
        "dec %[pairs]\n\t"
        "jnz 1b"
        : [s0] "+x"(sum[0][0]), [s1] "+x"(sum[0][1]), [s2] "+x"(sum[1][0]), [s3] "+x"(sum[1][1]),
          [s4] "+x"(sum[2][0]), [s5] "+x"(sum[2][1]), [s6] "+x"(sum[3][0]), [s7] "+x"(sum[3][1]), [a] "+r"(a),
          [b] "+r"(b), [ahead] "+r"(ahead), [pairs] "+r"(pairs)
        :
        : "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc");
  }

  // Sum over the four rows of e(r, c) e(r, c + 1); q: position of the first element.
  [[gnu::always_inline]] __m256i fold(uint32_t q) const {
    const __m256i lane = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                            _mm256_set1_epi32(int32_t(k_pow_position_factor)));
    __m256i total = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (uint32_t r = 0; r < 4; ++r)
#pragma GCC unroll 2
      for (uint32_t v = 0; v < 2; ++v) {
        const __m256i key = _mm256_add_epi32(lane, _mm256_set1_epi32(int32_t(pow_position_key(q + 64 * r + 8 * v))));
        const __m256i e = _mm256_add_epi32(sum[r][v], key);
        total = _mm256_add_epi64(total, _mm256_mul_epu32(e, _mm256_srli_epi64(e, 32)));
      }
    return total;
  }
};

uint64_t fold(const void *a, const void *b, uint32_t k, const int32_t *, void *scratch) {
  const int64_t steps = k / 2;
  const auto *rows = static_cast<const uint32_t *>(a), *columns = static_cast<const uint32_t *>(b);
  __m256i total = _mm256_setzero_si256();
  for (int64_t begin = 0; begin < steps; begin += k_depth) {
    const int64_t depth = steps - begin < k_depth ? steps - begin : k_depth;
    const bool first = begin == 0, last = begin + depth == steps;
    // What is multiplied next: the following part, or the first of the same A and the B after this.
    const uint32_t *next_rows = rows + (last ? 0 : begin + depth) * 4;
    const uint32_t *next_columns = columns + (last ? 4 * steps : begin + depth) * 16;
    for (int j = 0; j < 4; ++j)
      for (int i = 0; i < 16; ++i) {
        auto *stored = static_cast<__m256i *>(scratch) + (j * 16 + i) * 8;
        product p;
#pragma GCC unroll 8
        for (int v = 0; v < 8; ++v) p.sum[v / 2][v % 2] = first ? _mm256_setzero_si256() : stored[v];
        const uint32_t *four = rows + (i * steps + begin) * 4, *sixteen = columns + (j * steps + begin) * 16;
        const int64_t q = j * 16 + i;
        const uint32_t *ahead = q < 32 ? next_rows + (q / 2 * steps + q % 2 * depth / 2) * 4
                                       : next_columns + ((q - 32) / 8 * steps + q % 8 * depth / 8) * 16;
        p.run(depth, four, sixteen, reinterpret_cast<const char *>(ahead));
        if (last) {
          total = _mm256_add_epi64(total, p.fold(uint32_t(i * 4 * 64 + j * 16)));
        } else {
#pragma GCC unroll 8
          for (int v = 0; v < 8; ++v) stored[v] = p.sum[v / 2][v % 2];
        }
      }
  }
  alignas(32) uint64_t parts[4];
  _mm256_store_si256(reinterpret_cast<__m256i *>(parts), total);
  return parts[0] + parts[1] + parts[2] + parts[3];
}

}  // namespace

const pow_kernel k_pow_avx2 = {.bytes_per_element = 2, .make_panel = make_panel, .fold = fold};

}  // namespace gonka::cpu
