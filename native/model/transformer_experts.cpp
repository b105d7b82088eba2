// Mixture-of-experts layers: each token goes to the experts whose router scores are highest.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "number.hpp"
#include "transformer.hpp"
#include "transformer_activations.hpp"

namespace gonka {
namespace {

// Rows of tokens ordered by expert, and back.
struct routing {
  std::vector<int64_t> counts;   // rows of each expert
  std::vector<int32_t> sources;  // token of each row
  std::vector<int64_t> places;   // [tokens, k]: row of each token's choice
  std::vector<float> weights;    // [tokens, k]
};

// Softmax over all experts, then the k best, ties to the lower index; in F32 as the reference.
routing route(const mlp_description &mlp, std::span<const float> logits, int64_t tokens) {
  const size_t experts = size_t(mlp.experts), k = size_t(mlp.experts_per_token);
  std::vector<int32_t> chosen(size_t(tokens) * k), order(experts);
  routing out;
  out.counts.assign(experts, 0);
  out.weights.resize(chosen.size());
  std::vector<float> scores(experts);
  for (size_t t = 0; t < size_t(tokens); ++t) {
    const std::span<const float> row = logits.subspan(t * experts, experts);
    const float top = *std::max_element(row.begin(), row.end());
    float sum = 0;
    for (size_t e = 0; e < experts; ++e) sum += scores[e] = std::exp(row[e] - top);
    std::iota(order.begin(), order.end(), 0);
    const auto key = [&](int32_t e) { return std::isnan(row[size_t(e)]) ? -INFINITY : row[size_t(e)]; };
    std::partial_sort(order.begin(), order.begin() + long(k), order.end(),
                      [&](int32_t a, int32_t b) { return key(a) != key(b) ? key(a) > key(b) : a < b; });
    float chosen_sum = 0;
    for (size_t i = 0; i < k; ++i) chosen_sum += scores[size_t(order[i])] / sum;
    for (size_t i = 0; i < k; ++i) {
      const float score = scores[size_t(order[i])] / sum;
      chosen[t * k + i] = order[i];
      out.weights[t * k + i] = mlp.normalise_weights ? score / chosen_sum : score;
      ++out.counts[size_t(order[i])];
    }
  }
  std::vector<int64_t> next(experts, 0);
  for (size_t e = 1; e < experts; ++e) next[e] = next[e - 1] + out.counts[e - 1];
  out.sources.resize(chosen.size());
  out.places.resize(chosen.size());
  for (size_t i = 0; i < chosen.size(); ++i) {
    const int64_t place = next[size_t(chosen[i])]++;
    out.places[i] = place;
    out.sources[size_t(place)] = int32_t(i / k);
  }
  return out;
}

}  // namespace

void transformer::mix_experts(const mlp_description &mlp, const layer_weights &w, const rows &at) {
  activations &a = *act_;
  const size_t count = size_t(at.count), experts = size_t(mlp.experts), k = size_t(mlp.experts_per_token),
               hidden = size_t(model_.hidden);
  multiply({w.router, at.h, a.router_logits.at(), compute_, at.count, at.chunk});
  std::vector<float> logits(count * experts);
  if (compute_ == GK_F32) {
    stream_->read(a.router_logits, 0, logits.data(), logits.size() * sizeof(float));
  } else {
    std::vector<uint16_t> half(logits.size());
    stream_->read(a.router_logits, 0, half.data(), half.size() * sizeof(uint16_t));
    std::ranges::transform(half, logits.begin(), compute_ == GK_F16 ? f16_to_f32 : bf16_to_f32);
  }
  const routing to = route(mlp, logits, at.count);

  const int64_t total = int64_t(to.sources.size());
  stream_->write(a.expert_rows, 0, to.sources.data(), to.sources.size() * sizeof(int32_t));
  gather({at.h, compute_, at.count, a.expert_h.at(), compute_, total, model_.hidden, a.expert_rows.at()});
  uint64_t first = 0;
  for (size_t e = 0; e < experts; ++e) {
    const int64_t n = to.counts[e];
    if (n == 0) continue;
    const uint64_t element = dtype_size(compute_), ffn_width = uint64_t(mlp.intermediate);
    multiply({w.experts[e].gate_up, a.expert_h.at(first * hidden * element),
              a.expert_ffn.at(first * ffn_width * element), compute_, n, n});
    multiply({w.experts[e].down, a.expert_ffn.at(first * ffn_width * element), a.expert_out.at(first * hidden * 4),
              GK_F32, n, n});
    first += uint64_t(n);
  }

  // No op adds rows by index, so the weighted sum is made on the host: k + 2 values moved per value of the stream.
  std::vector<float> out(size_t(total) * hidden), x(count * hidden);
  stream_->read(a.expert_out, 0, out.data(), out.size() * sizeof(float));
  const bool narrow = at.x.buffer == a.x_last.handle();
  const buffer &stream_buffer = narrow ? a.x_last : a.x;
  stream_->read(stream_buffer, 0, x.data(), x.size() * sizeof(float));
  for (size_t t = 0; t < count; ++t)
    for (size_t i = 0; i < k; ++i) {
      const float weight = to.weights[t * k + i];
      const float *row = &out[size_t(to.places[t * k + i]) * hidden];
      for (size_t c = 0; c < hidden; ++c) x[t * hidden + c] += weight * row[c];
    }
  stream_->write(stream_buffer, 0, x.data(), x.size() * sizeof(float));
}

}  // namespace gonka
