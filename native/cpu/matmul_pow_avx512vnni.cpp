// matmul_pow for AVX512-VNNI. vpdpbusd takes unsigned times signed: B is stored as B + 128 and 128 times A's row sum is
// taken off in the fold. It does not saturate, so sums are exact modulo 2^32.
//
// Panels are [k / 4][16 rows] of four elements, 64 bytes a step. A tile is sixteen 8 x 32 products: sixteen
// accumulators, two loads of B and eight broadcasts from A a step: 10 loads for 16 vpdpbusd, where 16 x 16 takes 17 and
// Zen 5 then waits for loads.
#include "matmul_pow.hpp"
#include "simd_avx512.hpp"

namespace gonka::cpu {
namespace {

using lanes = lanes_avx512;

// Steps between visits of the accumulators to memory. Panels stream from L2 at 8 bytes a cycle, which costs nothing; at
// depths that fit L1 (256 and less) the visits cost 3 to 5 %.
constexpr int64_t k_depth = 1024;

// Eight rows' Philox state, one 32-bit word in the low half of every 64-bit lane; the upper halves hold rubbish, which
// vpmuludq does not see.
struct philox_rows {
  __m512i c0, c1, c2, c3;

  [[gnu::always_inline]] void round(__m512i key0, __m512i key1) {
    const __m512i p0 = _mm512_maskz_mul_epu32(0xff, c0, _mm512_set1_epi64(k_philox_multiplier[0]));
    const __m512i p1 = _mm512_maskz_mul_epu32(0xff, c2, _mm512_set1_epi64(k_philox_multiplier[1]));
    c0 = _mm512_ternarylogic_epi64(_mm512_maskz_srli_epi64(0xff, p1, 32), c1, key0, 0x96);
    c2 = _mm512_ternarylogic_epi64(_mm512_maskz_srli_epi64(0xff, p0, 32), c3, key1, 0x96);
    c1 = p1;
    c3 = p0;
  }
};

// (byte * 15 >> 8) - 7 of every byte.
__m512i i4_elements(__m512i bytes) {
  const __m512i fifteen = _mm512_set1_epi16(15);
  const __m512i even = _mm512_maskz_mulhi_epu16(~0u, _mm512_maskz_slli_epi16(~0u, bytes, 8), fifteen);
  const __m512i odd =
      _mm512_maskz_mulhi_epu16(~0u, _mm512_and_si512(bytes, _mm512_set1_epi16(int16_t(0xff00))), fifteen);
  return _mm512_sub_epi8(_mm512_or_si512(even, _mm512_maskz_slli_epi16(~0u, odd, 8)), _mm512_set1_epi8(7));
}

// Stores one step of a panel and adds A's elements to its row sums.
template <bool IsA>
[[gnu::always_inline]] inline void put(void *to, __m512i elements, __m512i &sums) {
  if constexpr (IsA)
    sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(1), elements);
  else
    elements = _mm512_xor_si512(elements, _mm512_set1_epi8(-128));
  _mm512_store_si512(to, elements);
}

template <bool IsA, bool I4>
void generate(const pow_panel_request &r, uint32_t *panel, int32_t *row_sums) {
  constexpr int k_blocks = 2;  // Philox blocks at a time: with two groups of rows, four chains hide the latency
  const __m512i rows_low = _mm512_add_epi64(_mm512_set1_epi64(r.row), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
  const __m512i rows_high = _mm512_add_epi64(rows_low, _mm512_set1_epi64(8));
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  __m512i sums = _mm512_setzero_si512();
  for (uint32_t block = 0; block < r.k / 16; block += k_blocks) {
    philox_rows state[k_blocks][2];
#pragma GCC unroll 4
    for (int b = 0; b < k_blocks; ++b)
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half)
        state[b][half] = {_mm512_set1_epi64(block + uint32_t(b)), half == 0 ? rows_low : rows_high,
                          _mm512_set1_epi64(r.seed.counter[0]), _mm512_set1_epi64(r.seed.counter[1])};
    uint32_t key0 = r.seed.key[0], key1 = r.seed.key[1];
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const __m512i k0 = _mm512_set1_epi64(key0), k1 = _mm512_set1_epi64(key1);
#pragma GCC unroll 4
      for (int b = 0; b < k_blocks; ++b)
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) state[b][half].round(k0, k1);
      key0 += k_philox_weyl[0];
      key1 += k_philox_weyl[1];
    }
#pragma GCC unroll 4
    for (int b = 0; b < k_blocks; ++b) {
      const philox_rows &low = state[b][0], &high = state[b][1];
      const __m512i words[4] = {
          _mm512_permutex2var_epi32(low.c0, even, high.c0), _mm512_permutex2var_epi32(low.c1, even, high.c1),
          _mm512_permutex2var_epi32(low.c2, even, high.c2), _mm512_permutex2var_epi32(low.c3, even, high.c3)};
#pragma GCC unroll 4
      for (int w = 0; w < 4; ++w)
        put<IsA>(panel + ((block + uint32_t(b)) * 4 + uint32_t(w)) * 16, I4 ? i4_elements(words[w]) : words[w], sums);
    }
  }
  if constexpr (IsA) _mm512_storeu_si512(row_sums, sums);
}

template <bool IsA>
void take_given(const pow_panel_request &r, uint32_t *panel, int32_t *row_sums) {
  const __m512i row = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                         _mm512_set1_epi32(int32_t(r.k)));
  __m512i sums = _mm512_setzero_si512();
  for (uint32_t x = 0; x < r.k; x += 4)
    put<IsA>(panel + x * 4, _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), 0xffff, row, r.given + x, 1), sums);
  if constexpr (IsA) _mm512_storeu_si512(row_sums, sums);
}

void make_panel(const pow_panel_request &r, void *panel, int32_t *sums) {
  auto *out = static_cast<uint32_t *>(panel);
  const bool i4 = r.profile == GK_POW_I4;
  if (r.given != nullptr) return r.is_a ? take_given<true>(r, out, sums) : take_given<false>(r, out, sums);
  if (r.is_a) return i4 ? generate<true, true>(r, out, sums) : generate<true, false>(r, out, sums);
  return i4 ? generate<false, true>(r, out, sums) : generate<false, false>(r, out, sums);
}

// Eight rows of A by thirty-two columns of B.
struct product {
  __m512i sum[8][2];

  // a: eight of a panel's sixteen rows; left, right: two panels of B.
  [[gnu::always_inline]] void run(int64_t steps, const uint32_t *a, const uint8_t *left, const uint8_t *right) {
    for (int64_t s = 0; s < steps; ++s, a += 16, left += 64, right += 64) {
      const __m512i columns[2] = {_mm512_load_si512(left), _mm512_load_si512(right)};
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) {
        const __m512i row = _mm512_set1_epi32(int32_t(a[r]));
        // Through an asm statement each, since gcc 12 otherwise copies every accumulator once a step.
        __asm__("vpdpbusd %2, %1, %0" : "+v"(sum[r][0]) : "v"(columns[0]), "v"(row));
        __asm__("vpdpbusd %2, %1, %0" : "+v"(sum[r][1]) : "v"(columns[1]), "v"(row));
      }
    }
  }

  // Sum over rows of e(r, c) e(r, c + 1). keys: of the first row's columns; row_terms: what each row adds to them.
  [[gnu::always_inline]] __m512i fold(const __m512i (&keys)[2], const uint32_t *row_terms) const {
    __m512i total = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        const __m512i e =
            _mm512_add_epi32(_mm512_add_epi32(sum[r][v], keys[v]), _mm512_set1_epi32(int32_t(row_terms[r])));
        total = _mm512_add_epi64(total, _mm512_maskz_mul_epu32(0xff, e, _mm512_maskz_srli_epi64(0xff, e, 32)));
      }
    return total;
  }
};

uint64_t fold(const void *a, const void *b, uint32_t k, const int32_t *sums, void *scratch) {
  uint32_t row_terms[64];
  for (uint32_t r = 0; r < 64; ++r) row_terms[r] = 64 * r * k_pow_position_factor - 128 * uint32_t(sums[r]);
  const int64_t steps = k / 4;
  const __m512i column = _mm512_setr_epi32(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
  const __m512i factor = _mm512_set1_epi32(int32_t(k_pow_position_factor));
  __m512i total = _mm512_setzero_si512();
  for (int64_t begin = 0; begin < steps; begin += k_depth) {
    const int64_t depth = steps - begin < k_depth ? steps - begin : k_depth;
    const bool first = begin == 0, last = begin + depth == steps;
    for (int j = 0; j < 2; ++j) {
      const auto *left = static_cast<const uint8_t *>(b) + (2 * j * steps + begin) * 64, *right = left + steps * 64;
      for (int i = 0; i < 8; ++i) {
        auto *stored = static_cast<__m512i *>(scratch) + (j * 8 + i) * 16;
        product p;
#pragma GCC unroll 16
        for (int v = 0; v < 16; ++v) p.sum[v / 2][v % 2] = first ? _mm512_setzero_si512() : stored[v];
        p.run(depth, static_cast<const uint32_t *>(a) + (i / 2 * steps + begin) * 16 + i % 2 * 8, left, right);
        if (last) {
          const __m512i keys[2] = {
              _mm512_mullo_epi32(_mm512_add_epi32(column, _mm512_set1_epi32(32 * j)), factor),
              _mm512_mullo_epi32(_mm512_add_epi32(column, _mm512_set1_epi32(32 * j + 16)), factor)};
          total = _mm512_add_epi64(total, p.fold(keys, row_terms + 8 * i));
        } else {
#pragma GCC unroll 16
          for (int v = 0; v < 16; ++v) stored[v] = p.sum[v / 2][v % 2];
        }
      }
    }
  }
  // By hand: gcc's _mm512_reduce_add_epi64 adds signed, and the fold wraps.
  alignas(64) uint64_t lanes[8];
  _mm512_store_si512(lanes, total);
  uint64_t sum = 0;
  for (const uint64_t lane : lanes) sum += lane;
  return sum;
}

}  // namespace

const pow_kernel k_pow_avx512vnni = {.bytes_per_element = 1, .make_panel = make_panel, .fold = fold};

}  // namespace gonka::cpu
