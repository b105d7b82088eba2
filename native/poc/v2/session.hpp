// A PoC v2 round on a device: nonces in, artifacts out.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "device.hpp"
#include "transformer.hpp"
#include "v2/seeded.hpp"

namespace gonka::poc_v2 {

inline constexpr int64_t k_default_seq_len = 1024;
inline constexpr int64_t k_default_k_dim = 12;

struct session_options {
  // Type of the gemm and attention operands: GK_F32, or 0 for the model's own.
  uint32_t compute = 0;
  // fraction 0..1 and the step's name, from the constructing thread.
  std::function<void(double fraction, const char *step)> progress;
  const std::atomic<bool> *cancel = nullptr;
};

struct artifact {
  int64_t nonce = 0;
  std::vector<float> values;     // k_dim, before they are rounded
  std::vector<uint8_t> encoded;  // F16 little-endian
};

struct run_request {
  // Hashed into seeds as they stand.
  std::string block_hash, public_key;
  std::span<const int64_t> nonces;  // 0 .. 2^53 - 1
  int64_t seq_len = k_default_seq_len;
  int64_t k_dim = k_default_k_dim;
  generator rng = generator::murmur;
  int64_t batch = 0;  // nonces per forward pass; 0: default_batch(seq_len)
  const std::atomic<bool> *cancel = nullptr;
  // After every batch, on the calling thread. Artifacts in the order of the nonces; one whose hidden state or vector
  // holds a NaN is left out, as the reference does. computed: nonces of the batch.
  std::function<void(std::span<const artifact> artifacts, int64_t computed)> on_batch;
  // Optional, for finding where two nodes part: the residual stream of a nonce's last token after every layer and its
  // reflection, F32 [layers, hidden], and the last hidden state [hidden].
  std::function<void(int64_t nonce, std::span<const float> stream, std::span<const float> last_hidden)> on_trace;
};

struct run_stats {
  int64_t computed = 0, kept = 0, batches = 0;
  double seconds = 0;
};

// A model loaded from a Hugging Face directory: any number of runs, one at a time. Everything throws status_error.
class session {
 public:
  session(std::shared_ptr<device> device, const std::string &directory, const session_options &options);

  run_stats run(const run_request &request);

  // Nonces per forward pass where a request names none: enough rows to keep the device busy, within its memory.
  int64_t default_batch(int64_t seq_len) const;
  const model_description &model() const { return model_->model(); }
  uint32_t compute_type() const { return model_->compute_type(); }
  uint64_t weight_bytes() const { return model_->weight_bytes(); }
  // Weights and activations at the given length and the default batch.
  uint64_t memory_bytes(int64_t seq_len) const;
  double init_seconds() const { return init_seconds_; }
  // "gemm=avx512bf16 attention=avx512 ...": what runs each op of the forward pass.
  std::string implementations() const;

 private:
  void reflect_for(const std::string &block_hash);
  void fill_inputs(const run_request &request, int64_t begin, int64_t count);

  std::shared_ptr<device> device_;
  std::unique_ptr<transformer> model_;
  std::string reflections_of_;
  bool reflections_set_ = false;
  double init_seconds_ = 0;
};

}  // namespace gonka::poc_v2
