// A PoC v1 round on a device: nonces in, distances out.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "device.hpp"
#include "seeded_transformer.hpp"
#include "v1/device_distance.hpp"
#include "v1/params.hpp"

namespace gonka::poc_v1 {

struct session_options {
  // All parameters in parameter order, F16 bits; empty: derived from the block hash.
  std::span<const uint16_t> weights;
  // fraction 0..1 and the step's name, from the constructing thread.
  std::function<void(double fraction, const char *step)> progress;
  const std::atomic<bool> *cancel = nullptr;
};

struct run_request {
  std::string public_key;
  std::span<const int64_t> nonces;  // 0 .. 2^53 - 1
  int64_t batch = 0;                // nonces per forward pass; 0: default_batch()
  std::optional<double> r_target;   // keep only dist < r_target
  const std::atomic<bool> *cancel = nullptr;
  // After every batch, on the calling thread: kept nonces with their distances, and how many the batch computed.
  std::function<void(std::span<const int64_t> nonces, std::span<const double> dist, int64_t computed)> on_batch;
};

struct run_stats {
  int64_t computed = 0, kept = 0, batches = 0;
  double seconds = 0;
};

// An initialised model: one block hash, any number of runs, one at a time. Everything throws status_error.
class session {
 public:
  session(std::shared_ptr<device> device, const params &params, const std::string &block_hash,
          const session_options &options);

  // Distances in the order of the nonces. The next batch's inputs and permutations, or on accelerators their seeds, are
  // made while one computes.
  run_stats run(const run_request &request);

  int64_t default_batch() const { return default_batch_; }
  uint64_t parameter_count() const { return parameter_count_; }
  uint64_t memory_bytes() const;
  double init_seconds() const { return init_seconds_; }
  uint32_t activation_type() const { return model_->activation_type(); }
  // Why forward passes are not replayed as one recording; empty where they are.
  const std::string &not_recorded() const { return model_->not_recorded(); }
  // "gemm=avx512 attention=avx512 ...": what runs each op that the device itself does.
  std::string implementations() const;

 private:
  struct prepared;
  struct finished;
  std::vector<double> host_distances(const finished &batch) const;
  prepared prepare(const run_request &request, int64_t begin, int64_t count) const;
  void report(const run_request &request, finished &batch, run_stats &stats) const;

  std::shared_ptr<device> device_;
  params params_;
  std::string block_hash_;
  uint64_t parameter_count_ = 0;
  int64_t default_batch_ = 1;
  int64_t helpers_ = 1;  // threads that prepare and measure
  double init_seconds_ = 0;
  std::vector<double> target_;
  std::unique_ptr<seeded_transformer> model_;
  std::unique_ptr<device_distance> measures_there_;  // null: the host measures; goes before the model's stream
};

}  // namespace gonka::poc_v1
