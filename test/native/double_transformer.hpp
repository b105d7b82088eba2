// The decoders of Llama, Mistral, Qwen2, Qwen3 and Qwen3-MoE written out in F64, one number at a time, from the files
// alone. Shares no arithmetic with the engine that it is compared with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "checkpoint.hpp"
#include "description.hpp"
#include "number.hpp"
#include "op.hpp"

class double_transformer {
 public:
  using matrix = std::vector<double>;  // [tokens, width]

  double_transformer(const gonka::model_description &model, const gonka::checkpoint &files)
      : model_(model), files_(files) {}

  // One sequence x [tokens, hidden] in place, with a reflection after every layer; returns the last hidden state.
  std::vector<double> forward(matrix x, std::span<const float> reflections) const {
    const size_t hidden = size_t(model_.hidden), tokens = x.size() / hidden;
    for (size_t i = 0; i < model_.layers.size(); ++i) {
      const std::string prefix = "model.layers." + std::to_string(i) + ".";
      add(x, attention(model_.layers[i].attention, prefix + "self_attn.",
                       norm(x, hidden, prefix + "input_layernorm.weight"), tokens));
      const matrix h = norm(x, hidden, prefix + "post_attention_layernorm.weight");
      const gonka::mlp_description &mlp = model_.layers[i].mlp;
      add(x, mlp.experts == 0 ? dense(prefix + "mlp.", h, size_t(mlp.intermediate))
                              : experts(mlp, prefix + "mlp.", h, tokens));
      for (size_t t = 0; t < tokens && !reflections.empty(); ++t) {
        const auto v = reflections.subspan(i * hidden, hidden);
        double dot = 0;
        for (size_t c = 0; c < hidden; ++c) dot += x[t * hidden + c] * double(v[c]);
        for (size_t c = 0; c < hidden; ++c) x[t * hidden + c] -= 2 * dot * double(v[c]);
      }
    }
    const matrix out = norm(x, hidden, "model.norm.weight");
    return {out.end() - long(hidden), out.end()};
  }

 private:
  std::vector<double> tensor(const std::string &name) const {
    const gonka::checkpoint_tensor t = files_.find(name);
    std::vector<double> out(t.info->bytes / gonka::dtype_size(t.info->dtype));
    for (size_t i = 0; i < out.size(); ++i) {
      float f;
      uint16_t h;
      if (t.info->dtype == GK_F32) {
        std::memcpy(&f, t.data() + 4 * i, 4);
      } else {
        std::memcpy(&h, t.data() + 2 * i, 2);
        f = t.info->dtype == GK_F16 ? gonka::f16_to_f32(h) : gonka::bf16_to_f32(h);
      }
      out[i] = f;
    }
    return out;
  }

  static void add(matrix &x, const matrix &y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  // Rows of `width`, each divided by its root mean square and multiplied by the weight.
  matrix norm(const matrix &x, size_t width, const std::string &weight) const {
    const std::vector<double> w = tensor(weight);
    matrix out(x.size());
    for (size_t r = 0; r < x.size() / width; ++r) {
      double sum = 0;
      for (size_t c = 0; c < width; ++c) sum += x[r * width + c] * x[r * width + c];
      const double scale = 1 / std::sqrt(sum / double(width) + double(model_.norm_eps));
      for (size_t c = 0; c < width; ++c) out[r * width + c] = x[r * width + c] * scale * w[c];
    }
    return out;
  }

  // x W^T + b.
  matrix project(const matrix &x, const std::string &name, size_t n) const {
    const std::vector<double> w = tensor(name + ".weight");
    const size_t k = w.size() / n, rows = x.size() / k;
    const std::vector<double> b = files_.find(name + ".bias") ? tensor(name + ".bias") : std::vector<double>(n, 0.);
    matrix out(rows * n);
    for (size_t r = 0; r < rows; ++r)
      for (size_t c = 0; c < n; ++c) out[r * n + c] = std::inner_product(&w[c * k], &w[c * k] + k, &x[r * k], b[c]);
    return out;
  }

  double frequency(size_t i, size_t dim) const {
    const gonka::rope_description &r = model_.rope;
    const double plain = std::pow(r.theta, -2. * double(i) / double(dim));
    if (r.scaling == gonka::rope_scaling::linear) return plain / r.factor;
    if (r.scaling == gonka::rope_scaling::none) return plain;
    const double turns = double(r.original_max_positions) * plain / (2 * std::acos(-1.));
    if (turns < r.low_frequency_factor) return plain / r.factor;
    if (turns > r.high_frequency_factor) return plain;
    const double kept = (turns - r.low_frequency_factor) / (r.high_frequency_factor - r.low_frequency_factor);
    return plain * (kept + (1 - kept) / r.factor);
  }

  // Pairs (i, i + dim/2) of every head turned by the token's position.
  void rotate(matrix &x, size_t heads, size_t dim) const {
    const size_t tokens = x.size() / (heads * dim);
    for (size_t t = 0; t < tokens; ++t)
      for (size_t h = 0; h < heads; ++h)
        for (size_t i = 0; i < dim / 2; ++i) {
          double &a = x[(t * heads + h) * dim + i], &b = x[(t * heads + h) * dim + i + dim / 2];
          const double angle = double(t) * frequency(i, dim), old = a;
          a = old * std::cos(angle) - b * std::sin(angle);
          b = old * std::sin(angle) + b * std::cos(angle);
        }
  }

  matrix attention(const gonka::attention_description &a, const std::string &prefix, const matrix &h,
                   size_t tokens) const {
    const size_t heads = size_t(a.heads), heads_kv = size_t(a.heads_kv), dim = size_t(a.head_dim);
    matrix q = project(h, prefix + "q_proj", heads * dim), k = project(h, prefix + "k_proj", heads_kv * dim);
    const matrix v = project(h, prefix + "v_proj", heads_kv * dim);
    if (a.norm == gonka::qk_norm::per_head) {
      q = norm(q, dim, prefix + "q_norm.weight");
      k = norm(k, dim, prefix + "k_norm.weight");
    }
    rotate(q, heads, dim);
    rotate(k, heads_kv, dim);
    matrix o(tokens * heads * dim, 0.);
    for (size_t t = 0; t < tokens; ++t)
      for (size_t head = 0; head < heads; ++head) {
        const size_t kv = head / (heads / heads_kv);
        std::vector<double> p(t + 1);
        double sum = 0;
        for (size_t s = 0; s <= t; ++s) {
          const double *row = &k[(s * heads_kv + kv) * dim];
          sum += p[s] =
              std::exp(std::inner_product(row, row + dim, &q[(t * heads + head) * dim], 0.) / std::sqrt(double(dim)));
        }
        for (size_t s = 0; s <= t; ++s)
          for (size_t c = 0; c < dim; ++c)
            o[(t * heads + head) * dim + c] += p[s] / sum * v[(s * heads_kv + kv) * dim + c];
      }
    return project(o, prefix + "o_proj", size_t(model_.hidden));
  }

  matrix dense(const std::string &prefix, const matrix &h, size_t intermediate) const {
    matrix gate = project(h, prefix + "gate_proj", intermediate);
    const matrix up = project(h, prefix + "up_proj", intermediate);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
    return project(gate, prefix + "down_proj", size_t(model_.hidden));
  }

  matrix experts(const gonka::mlp_description &mlp, const std::string &prefix, const matrix &h, size_t tokens) const {
    const size_t hidden = size_t(model_.hidden), n = size_t(mlp.experts);
    const matrix logits = project(h, prefix + "gate", n);
    matrix out(h.size(), 0.);
    for (size_t t = 0; t < tokens; ++t) {
      std::vector<double> score(&logits[t * n], &logits[t * n] + n);
      double sum = 0, chosen_sum = 0;
      for (double &s : score) sum += s = std::exp(s);
      std::vector<size_t> order(n);
      std::iota(order.begin(), order.end(), size_t(0));
      std::ranges::sort(order, [&](size_t a, size_t b) { return score[a] > score[b]; });
      order.resize(size_t(mlp.experts_per_token));
      for (const size_t e : order) chosen_sum += score[e];
      const matrix one(&h[t * hidden], &h[t * hidden] + hidden);
      for (const size_t e : order) {
        const matrix y = dense(prefix + "experts." + std::to_string(e) + ".", one, size_t(mlp.intermediate));
        for (size_t c = 0; c < hidden; ++c)
          out[t * hidden + c] += score[e] / (mlp.normalise_weights ? chosen_sum : sum) * y[c];
      }
    }
    return out;
  }

  const gonka::model_description &model_;
  const gonka::checkpoint &files_;
};
