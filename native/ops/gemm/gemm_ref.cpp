// GEMM as its definition reads. Floats are multiplied and added in F64 and rounded once, so that a comparison sees the
// error of the other side only. Takes B as it is, never packed: a packed layout belongs to the backend that made it.
#include <cmath>
#include <cstring>
#include <vector>

#include "gemm.hpp"
#include "number.hpp"

namespace gonka {
namespace {

double load(const void *base, uint32_t type, int64_t index) {
  switch (type) {
    case GK_F32:
      return static_cast<const float *>(base)[index];
    case GK_F16:
      return f16_to_f32(static_cast<const uint16_t *>(base)[index]);
    case GK_BF16:
      return bf16_to_f32(static_cast<const uint16_t *>(base)[index]);
    case GK_F8_E4M3:
      return e4m3_to_f32(static_cast<const uint8_t *>(base)[index]);
    default:
      return e5m2_to_f32(static_cast<const uint8_t *>(base)[index]);
  }
}

void store(void *base, uint32_t type, int64_t index, double value) {
  if (type == GK_F32)
    static_cast<float *>(base)[index] = float(value);
  else if (type == GK_F16)
    static_cast<uint16_t *>(base)[index] = f32_to_f16(float(value));
  else
    static_cast<uint16_t *>(base)[index] = f32_to_bf16(float(value));
}

// rows x k, widened, with the scales applied: element (r, x) has scale [r / block_rows][x / block_k].
std::vector<double> widen(const void *base, uint32_t type, int64_t rows, int64_t k, int64_t ld, const float *scale,
                          int64_t block_rows, int64_t block_k) {
  std::vector<double> out(size_t(rows * k));
  const int64_t k_blocks = scale == nullptr ? 0 : (k + block_k - 1) / block_k;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t x = 0; x < k; ++x) {
      double v = load(base, type, r * ld + x);
      if (scale != nullptr) v *= scale[r / block_rows * k_blocks + x / block_k];
      out[size_t(r * k + x)] = v;
    }
  return out;
}

double dot(const double *a, const double *b, int64_t k) {
  double sum = 0;
  for (int64_t x = 0; x < k; ++x) sum += a[x] * b[x];
  return sum;
}

void integers(const gk_gemm &p, operand_pointers pointers) {
  const auto *a = static_cast<const int8_t *>(pointers[k_gemm_a]);
  const auto *b = static_cast<const int8_t *>(pointers[k_gemm_b]);
  const auto *c = static_cast<const uint32_t *>(pointers[k_gemm_c]);
  auto *d = static_cast<uint32_t *>(pointers[k_gemm_d]);
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) {
      uint32_t sum = p.beta != 0 ? c[i * p.ldc + j] : 0;
      for (int64_t x = 0; x < p.k; ++x) sum += uint32_t(int32_t(a[i * p.lda + x]) * int32_t(b[j * p.ldb + x]));
      d[i * p.ldd + j] = sum;
    }
}

void floats(const gk_gemm &p, operand_pointers pointers) {
  const auto scale = [&](gemm_operand which) { return static_cast<const float *>(pointers[which]); };
  const bool pair = p.epilogue == GK_EPILOGUE_SWIGLU;
  const auto a = widen(pointers[k_gemm_a], p.a_type, p.m, p.k, p.lda, scale(k_gemm_a_scale), 1, p.scale_block_k);
  const auto b =
      widen(pointers[k_gemm_b], p.b_type, p.n, p.k, p.ldb, scale(k_gemm_b_scale), p.scale_block_n, p.scale_block_k);
  const auto b2 = widen(pointers[k_gemm_b2], p.b_type, pair ? p.n : 0, p.k, p.ldb, scale(k_gemm_b2_scale),
                        p.scale_block_n, p.scale_block_k);
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) {
      double value = double(p.alpha) * dot(a.data() + i * p.k, b.data() + j * p.k, p.k);
      if (pair) {
        const double up = double(p.alpha) * dot(a.data() + i * p.k, b2.data() + j * p.k, p.k);
        value = value / (1 + std::exp(-value)) * up;
      }
      if (p.beta != 0) value += double(p.beta) * load(pointers[k_gemm_c], p.d_type, i * p.ldc + j);
      store(pointers[k_gemm_d], p.d_type, i * p.ldd + j, value);
    }
}

}  // namespace

void gemm_reference(void *problem, operand_pointers pointers) {
  const auto &p = *static_cast<const gk_gemm *>(problem);
  if (p.a_type == GK_I8)
    integers(p, pointers);
  else
    floats(p, pointers);
}

}  // namespace gonka
