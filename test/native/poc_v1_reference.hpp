// PoC v1's forward pass in double precision, as plainly as it can be written, and the bugs that the golden sensitivity
// table knows: turning one on must change the distances by the amount the table gives.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "number.hpp"
#include "v1/params.hpp"

namespace reference {

using matrix = std::vector<double>;  // row-major

struct bugs {
  bool half_rope = false;  // pairs (i, i + d/2) instead of neighbours
  bool no_rope = false;
  bool gqa_tile = false;  // query head h reads kv head h mod n_kv instead of h / n_rep
  bool no_mask = false;
  bool swap_w1_w3 = false;
  bool no_scaled_rope = false;
  bool rope_not_f16 = false;
  bool inverse_perm = false;
};

struct model {
  gonka::poc_v1::params p;
  std::map<std::string, matrix> weights;  // by parameter name
  std::vector<float> rope;                // as gonka::poc_v1::rope_table
};

// Called with a stage's name ("layers.0.attn_norm_out", "norm_out") and its values [seq, dim].
template <class Observe>
std::vector<double> forward(const model &m, const uint16_t *inputs, const bugs &bug, Observe &&observe) {
  const auto &p = m.p;
  const int64_t seq = p.seq_len, dim = p.dim, head_dim = dim / p.n_heads, kv_dim = head_dim * p.n_kv_heads;
  const int64_t hidden = gonka::poc_v1::ffn_hidden(p);
  const auto w = [&](const std::string &name) -> const matrix & { return m.weights.at(name); };
  const auto multiply = [](const matrix &x, const matrix &weight, int64_t rows, int64_t n, int64_t k) {
    matrix out(size_t(rows * n));
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < n; ++c) {
        double sum = 0;
        for (int64_t i = 0; i < k; ++i) sum += x[size_t(r * k + i)] * weight[size_t(c * k + i)];
        out[size_t(r * n + c)] = sum;
      }
    return out;
  };
  const auto normalise = [&](const matrix &x, const matrix &weight) {
    matrix out(x.size());
    for (int64_t r = 0; r < seq; ++r) {
      double squares = 0;
      for (int64_t i = 0; i < dim; ++i) squares += x[size_t(r * dim + i)] * x[size_t(r * dim + i)];
      const double scale = 1 / std::sqrt(squares / double(dim) + p.norm_eps);
      for (int64_t i = 0; i < dim; ++i) out[size_t(r * dim + i)] = x[size_t(r * dim + i)] * scale * weight[size_t(i)];
    }
    return out;
  };
  const auto rotate = [&](matrix &x, int64_t heads) {
    if (bug.no_rope) return;
    const int64_t half = head_dim / 2;
    for (int64_t t = 0; t < seq; ++t)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t i = 0; i < half; ++i) {
          double *head = &x[size_t((t * heads + h) * head_dim)];
          double &a = bug.half_rope ? head[i] : head[2 * i], &b = bug.half_rope ? head[i + half] : head[2 * i + 1];
          const double c = m.rope[size_t((t * half + i) * 2)], s = m.rope[size_t((t * half + i) * 2 + 1)], a0 = a;
          a = a0 * c - b * s;
          b = a0 * s + b * c;
        }
  };

  matrix x(static_cast<size_t>(seq * dim));
  for (size_t i = 0; i < x.size(); ++i) x[i] = gonka::f16_to_f32(inputs[i]);
  for (int64_t l = 0; l < p.n_layers; ++l) {
    const std::string layer = "layers." + std::to_string(l) + ".";
    const matrix h = normalise(x, w(layer + "attention_norm.weight"));
    observe(layer + "attn_norm_out", h);
    matrix q = multiply(h, w(layer + "attention.wq.weight"), seq, dim, dim);
    matrix k = multiply(h, w(layer + "attention.wk.weight"), seq, kv_dim, dim);
    const matrix v = multiply(h, w(layer + "attention.wv.weight"), seq, kv_dim, dim);
    rotate(q, p.n_heads);
    rotate(k, p.n_kv_heads);
    matrix o(static_cast<size_t>(seq * dim));
    for (int64_t head = 0; head < p.n_heads; ++head) {
      const int64_t kv = bug.gqa_tile ? head % p.n_kv_heads : head / (p.n_heads / p.n_kv_heads);
      for (int64_t t = 0; t < seq; ++t) {
        const int64_t seen = bug.no_mask ? seq : t + 1;
        std::vector<double> scores(static_cast<size_t>(seen));
        double largest = -INFINITY, sum = 0;
        for (int64_t j = 0; j < seen; ++j) {
          double dot = 0;
          for (int64_t i = 0; i < head_dim; ++i)
            dot += q[size_t(t * dim + head * head_dim + i)] * k[size_t(j * kv_dim + kv * head_dim + i)];
          scores[size_t(j)] = dot / std::sqrt(double(head_dim));
          largest = std::max(largest, scores[size_t(j)]);
        }
        for (double &s : scores) sum += s = std::exp(s - largest);
        for (int64_t j = 0; j < seen; ++j)
          for (int64_t i = 0; i < head_dim; ++i)
            o[size_t(t * dim + head * head_dim + i)] +=
                scores[size_t(j)] / sum * v[size_t(j * kv_dim + kv * head_dim + i)];
      }
    }
    const matrix attention = multiply(o, w(layer + "attention.wo.weight"), seq, dim, dim);
    observe(layer + "attn_out", attention);
    for (size_t i = 0; i < x.size(); ++i) x[i] += attention[i];
    const matrix f = normalise(x, w(layer + "ffn_norm.weight"));
    observe(layer + "ffn_norm_out", f);
    matrix gate = multiply(f, w(layer + (bug.swap_w1_w3 ? "feed_forward.w3.weight" : "feed_forward.w1.weight")), seq,
                           hidden, dim);
    const matrix up = multiply(f, w(layer + (bug.swap_w1_w3 ? "feed_forward.w1.weight" : "feed_forward.w3.weight")),
                               seq, hidden, dim);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
    const matrix ffn = multiply(gate, w(layer + "feed_forward.w2.weight"), seq, dim, hidden);
    observe(layer + "ffn_out", ffn);
    for (size_t i = 0; i < x.size(); ++i) x[i] += ffn[i];
    observe(layer + "block_out", x);
  }
  const matrix last = normalise(x, w("norm.weight"));
  observe(std::string("norm_out"), last);
  const matrix tail(last.end() - dim, last.end());
  return multiply(tail, w("output.weight"), 1, p.vocab_size, dim);
}

// permuted / |permuted| - target, in double throughout.
inline double distance(const std::vector<double> &logits, const std::vector<int32_t> &permutation,
                       const std::vector<double> &target, const bugs &bug) {
  std::vector<double> permuted(logits.size());
  double squares = 0, sum = 0;
  for (size_t j = 0; j < logits.size(); ++j) {
    if (bug.inverse_perm)
      permuted[size_t(permutation[j])] = logits[j];
    else
      permuted[j] = logits[size_t(permutation[j])];
    squares += logits[j] * logits[j];
  }
  for (size_t j = 0; j < logits.size(); ++j) {
    const double d = permuted[j] / std::sqrt(squares) - target[j];
    sum += d * d;
  }
  return std::sqrt(sum);
}

}  // namespace reference
