#include "v1/params.hpp"

#include <cmath>

#include "number.hpp"

namespace gonka::poc_v1 {
namespace {

constexpr int64_t k_max_extent = int64_t(1) << 24;

// Llama 3.1's correction of the rotation frequencies for long contexts: factor 8, low 1, high 4, old context 8192.
float scale_frequency(float frequency) {
  constexpr float k_factor = 8, k_low = 1, k_high = 4, k_old_context = 8192;
  const float wavelength = 1.0f / frequency * float(2 * M_PI);
  if (wavelength < k_old_context / k_high) return frequency;
  if (wavelength > k_old_context / k_low) return frequency / k_factor;
  const float smooth = (1.0f / wavelength * k_old_context - k_low) / (k_high - k_low);
  return (1 - smooth) * frequency / k_factor + smooth * frequency;
}

struct integer_field {
  const char *name;
  int64_t params::*value;
};

constexpr integer_field k_integer_fields[] = {{"dim", &params::dim},
                                              {"n_layers", &params::n_layers},
                                              {"n_heads", &params::n_heads},
                                              {"n_kv_heads", &params::n_kv_heads},
                                              {"vocab_size", &params::vocab_size},
                                              {"multiple_of", &params::multiple_of},
                                              {"seq_len", &params::seq_len}};

}  // namespace

gk_status validate(const params &p, gk_error *err) noexcept {
  for (const integer_field &field : k_integer_fields)
    if (p.*field.value < 1 || p.*field.value > k_max_extent)
      return fail(err, GK_INVALID_ARGUMENT, "params: %s is %lld; expected 1 to %lld", field.name,
                  static_cast<long long>(p.*field.value), static_cast<long long>(k_max_extent));
  if (p.dim % p.n_heads != 0)
    return fail(err, GK_INVALID_ARGUMENT, "params: dim %lld is not a multiple of n_heads %lld",
                static_cast<long long>(p.dim), static_cast<long long>(p.n_heads));
  if (p.head_dim() % 2 != 0)
    return fail(err, GK_INVALID_ARGUMENT, "params: head_dim %lld (dim / n_heads) is odd; rotation needs pairs",
                static_cast<long long>(p.head_dim()));
  if (p.n_heads % p.n_kv_heads != 0)
    return fail(err, GK_INVALID_ARGUMENT, "params: n_heads %lld is not a multiple of n_kv_heads %lld",
                static_cast<long long>(p.n_heads), static_cast<long long>(p.n_kv_heads));
  if (!(p.ffn_dim_multiplier > 0 && p.ffn_dim_multiplier <= 1024))
    return fail(err, GK_INVALID_ARGUMENT, "params: ffn_dim_multiplier is %g; expected more than 0, at most 1024",
                p.ffn_dim_multiplier);
  if (!(p.norm_eps >= 0 && p.norm_eps <= 1))
    return fail(err, GK_INVALID_ARGUMENT, "params: norm_eps is %g; expected 0 to 1", p.norm_eps);
  if (!(p.rope_theta >= 1 && p.rope_theta <= 1e12))
    return fail(err, GK_INVALID_ARGUMENT, "params: rope_theta is %g; expected 1 to 1e12", p.rope_theta);
  if (ffn_hidden(p) < 1)
    return fail(err, GK_INVALID_ARGUMENT, "params: dim %lld with ffn_dim_multiplier %g gives a feed-forward width of 0",
                static_cast<long long>(p.dim), p.ffn_dim_multiplier);
  // Extents are below 2^24 and the width below 2^36, so each term fits; the sum is taken in F64 to see overflow first.
  const double dim = double(p.dim), kv = double(p.n_kv_heads) * double(p.head_dim()), hidden = double(ffn_hidden(p));
  const double total = 2 * double(p.vocab_size) * dim + dim +
                       double(p.n_layers) * (2 * dim * dim + 2 * dim * kv + 3 * dim * hidden + 2 * dim);
  if (total > double(k_max_parameters))
    return fail(err, GK_INVALID_ARGUMENT, "params: the model has %.4g weights; at most %llu are supported", total,
                static_cast<unsigned long long>(k_max_parameters));
  return GK_OK;
}

int64_t ffn_hidden(const params &p) {
  const int64_t base = 8 * p.dim / 3;
  const int64_t scaled = int64_t(p.ffn_dim_multiplier * double(base));
  return (scaled + p.multiple_of - 1) / p.multiple_of * p.multiple_of;
}

std::vector<parameter> parameters(const params &p) {
  const int64_t kv = p.n_kv_heads * p.head_dim(), hidden = ffn_hidden(p);
  std::vector<parameter> list;
  list.reserve(size_t(p.n_layers) * 9 + 3);
  list.push_back({"tok_embeddings.weight", p.vocab_size, p.dim});
  for (int64_t layer = 0; layer < p.n_layers; ++layer) {
    const std::string prefix = "layers." + std::to_string(layer) + ".";
    list.push_back({prefix + "attention.wq.weight", p.dim, p.dim});
    list.push_back({prefix + "attention.wk.weight", kv, p.dim});
    list.push_back({prefix + "attention.wv.weight", kv, p.dim});
    list.push_back({prefix + "attention.wo.weight", p.dim, p.dim});
    list.push_back({prefix + "feed_forward.w1.weight", hidden, p.dim});
    list.push_back({prefix + "feed_forward.w2.weight", p.dim, hidden});
    list.push_back({prefix + "feed_forward.w3.weight", hidden, p.dim});
    list.push_back({prefix + "attention_norm.weight", p.dim, 0});
    list.push_back({prefix + "ffn_norm.weight", p.dim, 0});
  }
  list.push_back({"norm.weight", p.dim, 0});
  list.push_back({"output.weight", p.vocab_size, p.dim});
  return list;
}

uint64_t total_params(const params &p) {
  uint64_t total = 0;
  for (const parameter &tensor : parameters(p)) total += tensor.count();
  return total;
}

std::vector<float> rope_table(const params &p, bool rounded_to_f16) {
  const int64_t half = p.head_dim() / 2, positions = 2 * p.seq_len;
  std::vector<float> frequencies(size_t(half), 0);
  for (int64_t i = 0; i < half; ++i) {
    const float exponent = float(2 * i) / float(p.head_dim());
    const float frequency = 1.0f / float(std::pow(double(float(p.rope_theta)), double(exponent)));
    frequencies[size_t(i)] = p.use_scaled_rope ? scale_frequency(frequency) : frequency;
  }
  std::vector<float> table;
  table.reserve(size_t(positions * half * 2));
  for (int64_t position = 0; position < positions; ++position)
    for (const float frequency : frequencies) {
      const float angle = float(position) * frequency;
      for (const double value : {std::cos(double(angle)), std::sin(double(angle))}) {
        const float single = float(value);
        table.push_back(rounded_to_f16 ? f16_to_f32(f32_to_f16(single)) : single);
      }
    }
  return table;
}

}  // namespace gonka::poc_v1
