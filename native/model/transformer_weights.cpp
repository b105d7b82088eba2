#include "transformer_weights.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "json_document.hpp"
#include "number.hpp"

namespace gonka {
namespace {

float widen(uint32_t type, const std::byte *from, size_t i) {
  uint16_t half;
  switch (type) {
    case GK_F32: {
      float value;
      std::memcpy(&value, from + 4 * i, 4);
      return value;
    }
    case GK_F16:
      std::memcpy(&half, from + 2 * i, 2);
      return f16_to_f32(half);
    case GK_BF16:
      std::memcpy(&half, from + 2 * i, 2);
      return bf16_to_f32(half);
    default:
      return e4m3_to_f32(uint8_t(from[i]));
  }
}

void narrow(uint32_t type, float value, std::byte *to, size_t i) {
  if (type == GK_F32) {
    std::memcpy(to + 4 * i, &value, 4);
    return;
  }
  const uint16_t half = type == GK_F16 ? f32_to_f16(value) : f32_to_bf16(value);
  std::memcpy(to + 2 * i, &half, 2);
}

class loader {
 public:
  loader(stream &on, const model_description &model, const checkpoint &files, uint32_t activation_type,
         const load_options &options)
      : stream_(on), model_(model), files_(files), activation_type_(activation_type), options_(options) {}

  transformer_weights load() {
    transformer_weights out;
    if (files_.find("model.embed_tokens.weight"))
      expect("model.embed_tokens.weight", {model_.vocabulary, model_.hidden});
    used_.insert("model.embed_tokens.weight");
    // A file of a model with tied embeddings may hold the output matrix all the same.
    if (const checkpoint_tensor head = files_.find("lm_head.weight"); head && !model_.tied_embeddings)
      expect("lm_head.weight", {model_.vocabulary, model_.hidden});
    used_.insert("lm_head.weight");

    for (size_t i = 0; i < model_.layers.size(); ++i) {
      if (options_.progress) options_.progress(double(i) / double(model_.layers.size()), "loading weights");
      out.layers.push_back(load_layer(model_.layers[i], "model.layers." + std::to_string(i) + "."));
    }
    out.final_norm = vector("model.norm.weight", model_.hidden);
    refuse_unused();
    stream_.synchronize();
    out.bytes = bytes_;
    out.packed = packed_;
    if (options_.progress) options_.progress(1, "ready");
    return out;
  }

 private:
  layer_weights load_layer(const layer_description &layer, const std::string &prefix) {
    const attention_description &a = layer.attention;
    const int64_t q_rows = int64_t(a.heads) * a.head_dim, kv_rows = int64_t(a.heads_kv) * a.head_dim;
    const int64_t hidden = model_.hidden;
    const std::string attention = prefix + "self_attn.";
    layer_weights out;
    out.input_norm = vector(prefix + "input_layernorm.weight", hidden);
    out.q = matrix(attention + "q_proj.weight", q_rows, hidden);
    out.k = matrix(attention + "k_proj.weight", kv_rows, hidden);
    out.v = matrix(attention + "v_proj.weight", kv_rows, hidden);
    out.o = matrix(attention + "o_proj.weight", hidden, q_rows);
    if (a.qkv_bias) {
      out.q_bias = vector(attention + "q_proj.bias", q_rows);
      out.k_bias = vector(attention + "k_proj.bias", kv_rows);
      out.v_bias = vector(attention + "v_proj.bias", kv_rows);
    }
    if (a.o_bias) out.o_bias = vector(attention + "o_proj.bias", hidden);
    if (a.norm == qk_norm::per_head) {
      out.q_norm = vector(attention + "q_norm.weight", a.head_dim);
      out.k_norm = vector(attention + "k_norm.weight", a.head_dim);
    }
    out.post_attention_norm = vector(prefix + "post_attention_layernorm.weight", hidden);
    if (layer.mlp.experts == 0) {
      out.dense = mlp(prefix + "mlp.", layer.mlp.intermediate);
      return out;
    }
    out.router = matrix(prefix + "mlp.gate.weight", layer.mlp.experts, hidden);
    for (int32_t e = 0; e < layer.mlp.experts; ++e)
      out.experts.push_back(mlp(prefix + "mlp.experts." + std::to_string(e) + ".", layer.mlp.intermediate));
    return out;
  }

  mlp_weights mlp(const std::string &prefix, int64_t intermediate) {
    return {matrix(prefix + "gate_proj.weight", intermediate, model_.hidden, prefix + "up_proj.weight"),
            matrix(prefix + "down_proj.weight", model_.hidden, intermediate)};
  }

  [[noreturn]] static void refuse(const checkpoint_tensor &tensor, const std::string &what) {
    throw status_error(GK_INVALID_ARGUMENT,
                       tensor.file->path() + ": tensor \"" + json::printable(tensor.info->name) + "\": " + what);
  }

  checkpoint_tensor expect(const std::string &name, const std::vector<int64_t> &shape) {
    const checkpoint_tensor found = files_.require(name, shape);
    used_.insert(name);
    const uint32_t type = found.info->dtype;
    if (type != GK_F32 && type != GK_F16 && type != GK_BF16 && !(type == GK_F8_E4M3 && model_.scale_block_n != 0))
      refuse(found, "has type " + found.info->dtype_name + "; expected F32, F16 or BF16" +
                        (model_.scale_block_n == 0 ? ", or F8_E4M3 with a quantization_config" : ""));
    return found;
  }

  // The tensor's values in the model's type: where they lie in the file, or converted into `converted_`.
  const std::byte *values(const checkpoint_tensor &tensor) {
    if (tensor.info->dtype == model_.dtype) return tensor.data();
    const size_t count = tensor.info->bytes / dtype_size(tensor.info->dtype);
    converted_.resize(count * dtype_size(model_.dtype));
    if (tensor.info->dtype == GK_F8_E4M3) {
      multiply_out(tensor);
    } else {
      const std::byte *from = tensor.data();
      for (size_t i = 0; i < count; ++i) narrow(model_.dtype, widen(tensor.info->dtype, from, i), converted_.data(), i);
    }
    return converted_.data();
  }

  // weight_scale_inv [ceil(n / block_n), ceil(k / block_k)] multiplies the blocks of the weight.
  void multiply_out(const checkpoint_tensor &tensor) {
    if (tensor.info->shape.size() != 2) refuse(tensor, "is F8 but no matrix; only matrices have block scales");
    const int64_t n = tensor.info->shape[0], k = tensor.info->shape[1];
    const int64_t rows = (n + model_.scale_block_n - 1) / model_.scale_block_n;
    const int64_t columns = (k + model_.scale_block_k - 1) / model_.scale_block_k;
    const std::string name = tensor.info->name + "_scale_inv";
    const checkpoint_tensor scales = files_.require(name, {rows, columns});
    used_.insert(name);
    if (scales.info->dtype != GK_F32) refuse(scales, "has type " + scales.info->dtype_name + "; expected F32");
    const std::byte *from = tensor.data();
    for (int64_t r = 0; r < n; ++r)
      for (int64_t c = 0; c < k; ++c) {
        const float scale =
            widen(GK_F32, scales.data(), size_t(r / model_.scale_block_n * columns + c / model_.scale_block_k));
        const size_t i = size_t(r * k + c);
        narrow(model_.dtype, widen(GK_F8_E4M3, from, i) * scale, converted_.data(), i);
      }
  }

  void check_cancel() const {
    if (options_.cancel != nullptr && options_.cancel->load(std::memory_order_relaxed))
      throw status_error(GK_CANCELLED, "cancelled");
  }

  void upload(const checkpoint_tensor &tensor, const buffer &to, uint64_t offset, uint64_t bytes) {
    check_cancel();
    stream_.write(to, offset, values(tensor), bytes);
    tensor.file->file().release(tensor.info->offset, tensor.info->bytes);
    bytes_ += bytes;
  }

  buffer vector(const std::string &name, int64_t count) {
    const uint64_t bytes = uint64_t(count) * dtype_size(model_.dtype);
    buffer out(stream_.owner(), bytes);
    upload(expect(name, {count}), out, 0, bytes);
    return out;
  }

  weight_matrix matrix(const std::string &name, int64_t n, int64_t k, const std::string &second = "") {
    const checkpoint_tensor first_tensor = expect(name, {n, k});
    const checkpoint_tensor second_tensor = second.empty() ? checkpoint_tensor{} : expect(second, {n, k});
    const uint64_t bytes = uint64_t(n) * uint64_t(k) * dtype_size(model_.dtype);
    weight_matrix out;
    out.swiglu = !second.empty();
    out.type = model_.dtype;
    out.second_offset = bytes;
    out.n = n;
    out.k = k;
    buffer raw = stage(out.swiglu ? 2 * bytes : bytes);
    upload(first_tensor, raw, 0, bytes);
    if (out.swiglu) upload(second_tensor, raw, bytes, bytes);

    gk_gemm_pack request{};
    request.struct_size = sizeof request;
    request.a_type = activation_type_;
    request.b_type = out.type;
    request.epilogue = out.swiglu ? GK_EPILOGUE_SWIGLU : GK_EPILOGUE_NONE;
    request.n = n;
    request.k = k;
    request.ldb = k;
    request.b = raw.at();
    if (out.swiglu) request.b2 = raw.at(bytes);
    out.data = stream_.pack(request);
    out.packed = static_cast<bool>(out.data);
    if (out.packed) {
      stream_.synchronize();
      staging_ = std::move(raw);
    } else {
      packed_ = false;
      out.data = std::move(raw);
    }
    return out;
  }

  // A buffer of at least `bytes`: the last one, if it was packed from and is large enough.
  buffer stage(uint64_t bytes) {
    buffer reused = std::move(staging_);
    staging_ = buffer();
    if (reused && reused.size() >= bytes) return reused;
    reused = buffer();
    return buffer(stream_.owner(), bytes);
  }

  void refuse_unused() const {
    for (const auto &[name, tensor] : files_.tensors()) {
      // Inverse frequencies that old exports stored; computed here.
      if (used_.contains(name) || name.ends_with(".rotary_emb.inv_freq")) continue;
      refuse(tensor, "is not a parameter of " + std::string(architecture_name(model_.which)) + " as configured");
    }
  }

  stream &stream_;
  const model_description &model_;
  const checkpoint &files_;
  const uint32_t activation_type_;
  const load_options &options_;
  buffer staging_;
  std::vector<std::byte> converted_;
  std::set<std::string, std::less<>> used_;
  uint64_t bytes_ = 0;
  bool packed_ = true;
};

}  // namespace

transformer_weights load_transformer(stream &on, const model_description &model, const checkpoint &files,
                                     uint32_t activation_type, const load_options &options) {
  return loader(on, model, files, activation_type, options).load();
}

}  // namespace gonka
