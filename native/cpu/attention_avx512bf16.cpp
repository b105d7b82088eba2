// Attention on BF16 operands with VDPBF16PS: two products per lane and step, sums in F32, probabilities rounded to
// BF16. The instruction takes subnormal operands for zero (Intel SDM, VDPBF16PS).
#include "attention_blocked.hpp"
#include "f32_avx512.hpp"

namespace gonka::cpu {
namespace {

struct bf16_pairs_avx512 : f32_avx512 {
  static constexpr bool pairs = true;

  // a and b hold 16 pairs of BF16: c + a.low b.low + a.high b.high, lane by lane.
  static reg dot(reg a, reg b, reg c) {
    return _mm512_dpbf16_ps(c, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }

  // n <= 32 BF16 elements from `at` on as they are, zero after them.
  static reg load_pairs(const void *base, int64_t at, int n) {
    const __mmask32 mask = n == 32 ? ~__mmask32(0) : (__mmask32(1) << n) - 1;
    return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, static_cast<const uint16_t *>(base) + at));
  }

  // F32 lanes rounded to BF16 (ties away from zero: one addition, and nothing changes where they are BF16 already), low
  // into the low halves.
  static reg pair_up(reg low, reg high) {
    const __m512i half = _mm512_set1_epi32(0x8000);
    const __m512i l = _mm512_srli_epi32(_mm512_add_epi32(_mm512_castps_si512(low), half), 16);
    const __m512i h = _mm512_add_epi32(_mm512_castps_si512(high), half);
    // l | (h & 0xffff0000)
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(l, h, _mm512_set1_epi32(int(0xffff0000)), 0xf8));
  }
};

}  // namespace

uint64_t attention_scratch_avx512bf16(const gk_attention &p, const attention_plan &plan) {
  return scratch_bytes<bf16_pairs_avx512>(p, plan);
}

void attention_task_avx512bf16(const gk_attention &p, void *const *pointers, const attention_plan &plan,
                               const attention_task &task, void *scratch) {
  run_task<bf16_pairs_avx512, GK_BF16>(p, pointers, plan, task, scratch);
}

}  // namespace gonka::cpu
