// matmul_pow for AVX2. vpmaddubsw saturates, so elements are widened to 16 bits and multiplied by vpmaddwd.
//
// Panels are [k / 2][16 rows] of two 16-bit elements. The elements of four are paired 0 with 2 and 1 with 3, in A and
// in B alike, which leaves the sum as it is and costs one shift less. A tile is 64 products of 4 rows x 16 columns.
#include "matmul_pow.hpp"
#include "simd_avx2.hpp"

namespace gonka::cpu {
namespace {

constexpr int64_t k_depth = 256;  // steps between visits of the accumulators to memory: two panels fit L1

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

// Four elements of eight rows as two steps of pairs.
template <bool I4>
[[gnu::always_inline]] inline void put(uint32_t *to, __m256i bytes) {
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
  _mm256_store_si256(reinterpret_cast<__m256i *>(to), even);
  _mm256_store_si256(reinterpret_cast<__m256i *>(to + 16), odd);
}

template <bool I4>
void generate(const pow_panel_request &r, uint32_t *panel) {
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
    uint32_t *to = panel + uint64_t(block) * 8 * 16;
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const philox_rows &low = state[2 * half], &high = state[2 * half + 1];
      put<I4>(to + 8 * half, low_halves(low.c0, high.c0));
      put<I4>(to + 32 + 8 * half, low_halves(low.c1, high.c1));
      put<I4>(to + 64 + 8 * half, low_halves(low.c2, high.c2));
      put<I4>(to + 96 + 8 * half, low_halves(low.c3, high.c3));
    }
  }
}

void take_given(const pow_panel_request &r, uint32_t *panel) {
  const __m256i row = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(int32_t(r.k)));
  for (uint32_t x = 0; x < r.k; x += 4)
    for (uint32_t half = 0; half < 2; ++half) {
      const auto *from = reinterpret_cast<const int *>(r.given + uint64_t(8 * half) * r.k + x);
      put<false>(panel + x / 2 * 16 + 8 * half, _mm256_i32gather_epi32(from, row, 1));
    }
}

void make_panel(const pow_panel_request &r, void *panel, int32_t *sums) {
  auto *out = static_cast<uint32_t *>(panel);
  if (sums != nullptr) std::memset(sums, 0, k_pow_panel_rows * sizeof *sums);  // nothing to take off: B is signed here
  if (r.given != nullptr) return take_given(r, out);
  return r.profile == GK_POW_I4 ? generate<true>(r, out) : generate<false>(r, out);
}

// Four rows of A by sixteen columns of B.
struct product {
  __m256i sum[4][2];

  [[gnu::always_inline]] void run(int64_t steps, const uint32_t *a, const uint32_t *b) {
    for (int64_t s = 0; s < steps; ++s, a += 16, b += 16) {
      const __m256i left = _mm256_load_si256(reinterpret_cast<const __m256i *>(b));
      const __m256i right = _mm256_load_si256(reinterpret_cast<const __m256i *>(b + 8));
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) {
        const __m256i x = _mm256_set1_epi32(int32_t(a[r]));
        sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(x, left));
        sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(x, right));
      }
    }
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
  __m256i total = _mm256_setzero_si256();
  for (int64_t begin = 0; begin < steps; begin += k_depth) {
    const int64_t depth = steps - begin < k_depth ? steps - begin : k_depth;
    const bool first = begin == 0, last = begin + depth == steps;
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 4; ++j) {
        auto *stored = static_cast<__m256i *>(scratch) + (i * 4 + j) * 8;
        product p;
#pragma GCC unroll 8
        for (int v = 0; v < 8; ++v) p.sum[v / 2][v % 2] = first ? _mm256_setzero_si256() : stored[v];
        p.run(depth, static_cast<const uint32_t *>(a) + (i / 4 * steps + begin) * 16 + i % 4 * 4,
              static_cast<const uint32_t *>(b) + (j * steps + begin) * 16);
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
