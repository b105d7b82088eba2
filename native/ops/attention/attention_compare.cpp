#include "attention_compare.hpp"

#include <limits>

#include "attention.hpp"
#include "case_data.hpp"

namespace gonka {
namespace {

// An operand as [planes][rows][head_dim] doubles, without gaps.
std::vector<double> dense(const operand &o, const std::vector<std::byte> &data) {
  std::vector<double> values;
  for_each_pair(o, data, data, [&](int64_t, double value, double) { values.push_back(value); });
  return values;
}

struct bounds {
  std::vector<double> o, lse;  // as the operands: [heads][total_q][head_dim] and [heads][total_q]
  std::vector<double> plain;   // the plain evaluation's O
};

// With u = 2^-24, D = head_dim, n = visible keys:
//   a score, a sum of D products times the scale, errs by at most (D + 8) u A, A = max over keys of |scale| sum |q||k|
//   (two of the eight for the scale in base 2, the rest for the subtraction of the maximum);
//   its exponential then by that and 4 u (2 ulp); sums over n keys add (n + 8) u, for rescaling included; numerator and
//   denominator both. Rounding P to V's type adds its unit roundoff, twice for numerator and denominator.
void evaluate(const gk_attention &p, const built_case &problem, bounds &out) {
  const auto q = dense(problem.operands[k_attention_q], problem.data[k_attention_q]);
  const auto k = dense(problem.operands[k_attention_k], problem.data[k_attention_k]);
  const auto v = dense(problem.operands[k_attention_v], problem.data[k_attention_v]);
  const int64_t total_q = p.batch > 0 ? p.cu_seqlens_q[p.batch] : 0;
  const int64_t total_k = p.batch > 0 && total_q > 0 ? p.cu_seqlens_k[p.batch] : 0;
  const int64_t dim = p.head_dim;
  const double u = unit_roundoff(GK_F32);
  const double u_p = p.qkv_type == GK_F32 ? 0 : unit_roundoff(p.qkv_type);
  out.o.assign(size_t(p.num_heads * total_q * dim), 0);
  out.plain = out.o;
  out.lse.assign(size_t(p.num_heads * total_q), 0);
  std::vector<double> exact, absolute(dim);
  std::vector<float> plain, sum(dim);
  for (int64_t h = 0; h < p.num_heads; ++h)
    for (uint32_t b = 0; b < p.batch; ++b) {
      const int64_t begin = p.cu_seqlens_k[b], seqlen_k = p.cu_seqlens_k[b + 1] - begin;
      const int64_t seqlen_q = p.cu_seqlens_q[b + 1] - p.cu_seqlens_q[b];
      const double *keys = k.data() + ((h / (p.num_heads / p.num_heads_kv)) * total_k + begin) * dim;
      const double *values = v.data() + ((h / (p.num_heads / p.num_heads_kv)) * total_k + begin) * dim;
      for (int64_t i = 0; i < seqlen_q; ++i) {
        const int64_t row = h * total_q + p.cu_seqlens_q[b] + i, visible = visible_keys(p, i, seqlen_q, seqlen_k);
        if (visible == 0) continue;
        const double *query = q.data() + row * dim;
        exact.assign(visible, 0);
        plain.assign(visible, 0);
        double largest_product = 0, largest = -std::numeric_limits<double>::infinity();
        float plain_largest = -std::numeric_limits<float>::infinity();
        for (int64_t j = 0; j < visible; ++j) {
          double product = 0;
          for (int64_t d = 0; d < dim; ++d) {
            const double term = query[d] * keys[j * dim + d];
            exact[j] += term;
            product += std::abs(term);
            plain[j] += float(query[d]) * float(keys[j * dim + d]);
          }
          exact[j] *= double(p.softmax_scale);
          plain[j] *= p.softmax_scale;
          largest = std::max(largest, exact[j]);
          plain_largest = std::max(plain_largest, plain[j]);
          largest_product = std::max(largest_product, product * std::abs(double(p.softmax_scale)));
        }
        double total = 0;
        float plain_total = 0;
        absolute.assign(dim, 0);
        sum.assign(dim, 0);
        for (int64_t j = 0; j < visible; ++j) {
          const double e = std::exp(exact[j] - largest);
          total += e;
          const float f = std::exp(plain[j] - plain_largest);
          plain_total += f;
          const float rounded = float(round_to(p.qkv_type, f));
          for (int64_t d = 0; d < dim; ++d) {
            absolute[d] += e * std::abs(values[j * dim + d]);
            sum[d] += rounded * float(values[j * dim + d]);
          }
        }
        const double score = (double(dim) + 8) * u * largest_product + 4 * u;
        const double relative = 2 * std::expm1(score) + 2 * (double(visible) + 8) * u + 2 * u_p;
        const double steps = (double(visible) + 8) * smallest_step(GK_F32);
        for (int64_t d = 0; d < dim; ++d) {
          out.o[row * dim + d] = relative * absolute[d] / total + steps;
          out.plain[row * dim + d] = round_to(p.o_type, sum[d] / plain_total);
        }
        out.lse[row] = score + (double(visible) + 8) * u;
      }
    }
}

}  // namespace

comparison compare_attention(const built_case &problem, const std::vector<std::vector<std::byte>> &got,
                             const std::vector<std::vector<std::byte>> &want) {
  const auto &p = *static_cast<const gk_attention *>(problem.problem.get());
  bounds limit;
  evaluate(p, problem, limit);

  error_measure plain(problem.operands[k_attention_o]);
  for_each_pair(problem.operands[k_attention_o], want[k_attention_o], want[k_attention_o],
                [&](int64_t i, double, double value) { plain.add(i, limit.plain[i], value, 1); });
  const double aggregate = 2 * plain.finish(0).aggregate + 1e-6;
  comparison result = compare_operand(problem, k_attention_o, got, want, aggregate, [&](int64_t i, double value) {
    return limit.o[i] + 2 * rounding_bound(p.o_type, value);
  });
  if (!problem.present[k_attention_lse]) return result;
  return worse_of(result,
                  compare_operand(problem, k_attention_lse, got, want, aggregate + 1e-6, [&](int64_t i, double value) {
                    return limit.lse[i] + 2 * rounding_bound(GK_F32, value);
                  }));
}

}  // namespace gonka
