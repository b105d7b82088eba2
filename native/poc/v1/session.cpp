#include "v1/session.hpp"

#include <algorithm>
#include <chrono>
#include <future>
#include <thread>
#include <utility>

#include "v1/distance.hpp"
#include "v1/nonce_data.hpp"
#include "v1/weight_pool.hpp"

namespace gonka::poc_v1 {
namespace {

using clock = std::chrono::steady_clock;

constexpr int64_t k_max_nonce = (int64_t(1) << 53) - 1;
// Rows of a forward pass from which a larger batch gains nothing on a CPU: weights are read once per batch, and at this
// height reading them is a percent of the multiplication.
constexpr int64_t k_rows_wanted = 512;
// On an accelerator: tiles of 128 x 256 of the narrowest products (2048 columns) then fill 132 multiprocessors 15
// times, so that a last wave that is not full costs little; a pass still takes about a tenth of a second.
constexpr int64_t k_rows_wanted_beside = 32768;
// Host threads that make permutations and distances for an accelerator.
constexpr int64_t k_most_helpers = 8;
constexpr int64_t k_max_batch = 65536;

double seconds_since(clock::time_point begin) {
  return std::chrono::duration<double>(clock::now() - begin).count();
}

// The pool is drawn on the host whatever the device: with a CPU device's own threads, otherwise with all.
uint32_t usable_threads(const device &d) {
  return d.info().threads != 0 ? d.info().threads : std::max(1u, std::thread::hardware_concurrency());
}

seeded_transformer_shape shape_of(const params &p) {
  return {.dim = p.dim,
          .layers = p.n_layers,
          .heads = p.n_heads,
          .heads_kv = p.n_kv_heads,
          .ffn_hidden = ffn_hidden(p),
          .vocab = p.vocab_size,
          .seq_len = p.seq_len,
          .norm_eps = float(p.norm_eps)};
}

// The source of a model whose weights are given: every parameter follows the one before.
parameter_source given_source(const std::vector<parameter> &list, std::span<const uint16_t> weights) {
  parameter_source source{weights, {}};
  uint64_t at = 0;
  for (const parameter &p : list) {
    source.offsets.push_back(at);
    at += p.count();
  }
  return source;
}

// The source of a derived model: the pool, followed by the parameters that are larger than it, written out. The token
// embeddings are never read, so they are not written out either.
parameter_source derived_source(const std::vector<parameter> &list, const std::string &block_hash,
                                std::vector<uint16_t> &values, uint32_t threads, const session_options &options) {
  uint64_t total = 0;
  for (const parameter &p : list) total += p.count();
  const uint64_t pool = pool_size(total);
  std::vector<placement> places;
  uint64_t size = pool;
  parameter_source source;
  for (const parameter &p : list) {
    const placement where = place_parameter(block_hash, p.name, p.count(), pool);
    const bool written_out = where.tiled && &p != &list.front();
    source.offsets.push_back(written_out ? size : where.tiled ? 0 : where.offset);
    if (written_out) size += p.count();
    places.push_back(where);
  }
  values.resize(size);
  pool_options fill;
  fill.threads = threads;
  fill.progress = [&](uint64_t done) {
    if (options.progress) options.progress(0.4 * double(done) / double(pool), "drawing the weight pool");
    return options.cancel == nullptr || !options.cancel->load(std::memory_order_relaxed);
  };
  const std::span<uint16_t> all(values);
  if (!fill_weight_pool(block_hash, all.first(pool), fill)) throw status_error(GK_CANCELLED, "cancelled");
  for (size_t i = 1; i < list.size(); ++i)
    if (places[i].tiled) copy_parameter(all.first(pool), places[i], 0, all.subspan(source.offsets[i], list[i].count()));
  source.values = all;
  return source;
}

}  // namespace

// Calls f(i) for i in [0, count) on up to `threads` threads, each taking a run of neighbours.
template <class F>
void spread(int64_t count, int64_t threads, const F &f) {
  threads = std::clamp<int64_t>(count, 1, threads);
  const auto part = [&](int64_t t) {
    for (int64_t i = count * t / threads; i < count * (t + 1) / threads; ++i) f(i);
  };
  std::vector<std::future<void>> others;
  for (int64_t t = 1; t < threads; ++t) others.push_back(std::async(std::launch::async, part, t));
  part(0);
  for (std::future<void> &other : others) other.get();
}

// Inputs and permutations of one batch, or the seeds from which the device makes them.
struct session::prepared {
  int64_t begin = 0, count = 0;
  std::vector<uint16_t> inputs;
  std::vector<uint64_t> seeds;
  std::vector<int32_t> permutations;
  std::vector<uint64_t> permutation_seeds;
};

// A batch that has left the device.
struct session::finished {
  prepared of;
  std::vector<float> logits;  // empty where the device measures
  std::vector<double> dist;
  std::future<std::vector<double>> measuring;  // dist to be, where the host measures beside the device's work
};

session::session(std::shared_ptr<device> device, const params &params, const std::string &block_hash,
                 const session_options &options)
    : device_(std::move(device)), params_(params), block_hash_(block_hash) {
  const auto begin = clock::now();
  gk_error err{};
  err.struct_size = sizeof err;
  if (const gk_status status = validate(params, &err); status != GK_OK) throw status_error(status, err.message);
  const std::vector<parameter> list = parameters(params);
  parameter_count_ = total_params(params);

  std::vector<uint16_t> values;
  parameter_source source;
  if (options.weights.empty()) {
    source = derived_source(list, block_hash, values, usable_threads(*device_), options);
  } else {
    if (options.weights.size() != parameter_count_)
      throw status_error(GK_INVALID_ARGUMENT, "weights: expected " + std::to_string(parameter_count_ * 2) + " bytes (" +
                                                  std::to_string(parameter_count_) +
                                                  " halves, all parameters in order), got " +
                                                  std::to_string(options.weights.size() * 2));
    source = given_source(list, options.weights);
  }
  seeded_transformer::options build;
  build.cancel = options.cancel;
  if (options.progress)
    build.progress = [&](double fraction, const char *step) { options.progress(0.4 + 0.6 * fraction, step); };
  model_ = std::make_unique<seeded_transformer>(device_, shape_of(params), source, rope_table(params, true), build);

  target_.resize(size_t(params.vocab_size));
  make_target(block_hash, target_);
  measures_there_ = device_distance::make(model_->work_stream(), model_->activation_type(), target_);

  const double room = 0.25 * double(device_->current_info().memory_free_bytes);
  const int64_t fitting = int64_t(room / double(model_->bytes_per_nonce()));
  const int64_t wanted = model_->draws_inputs() ? k_rows_wanted_beside : k_rows_wanted;
  default_batch_ = std::clamp(std::min(wanted / params.seq_len, fitting), int64_t(1), k_max_batch);
  helpers_ = model_->draws_inputs() ? std::clamp<int64_t>(std::thread::hardware_concurrency(), 1, k_most_helpers) : 1;
  init_seconds_ = seconds_since(begin);
}

uint64_t session::memory_bytes() const {
  return model_->weight_bytes() + uint64_t(default_batch_) * model_->bytes_per_nonce();
}

session::prepared session::prepare(const run_request &request, int64_t begin, int64_t count) const {
  prepared out{begin, count, {}, {}, {}, {}};
  const int64_t input_size = params_.seq_len * params_.dim, vocab = params_.vocab_size;
  const bool drawn = model_->draws_inputs(), shuffled = measures_there_ != nullptr;
  if (drawn)
    out.seeds.resize(size_t(count * 4));
  else
    out.inputs.resize(size_t(count * input_size));
  if (shuffled)
    out.permutation_seeds.resize(size_t(count * 4));
  else
    out.permutations.resize(size_t(count * vocab));
  spread(count, helpers_, [&](int64_t i) {
    if (request.cancel != nullptr && request.cancel->load(std::memory_order_relaxed)) return;
    const uint64_t nonce = uint64_t(request.nonces[size_t(begin + i)]);
    const auto words = [&](std::vector<uint64_t> &of) { return std::span(of).subspan(size_t(i * 4)).first<4>(); };
    if (drawn)
      input_generator(block_hash_, request.public_key, nonce, words(out.seeds));
    else
      make_inputs(block_hash_, request.public_key, nonce,
                  std::span(out.inputs).subspan(size_t(i * input_size), size_t(input_size)));
    if (shuffled)
      permutation_generator(block_hash_, request.public_key, nonce, words(out.permutation_seeds));
    else
      make_permutation(block_hash_, request.public_key, nonce,
                       std::span(out.permutations).subspan(size_t(i * vocab), size_t(vocab)));
  });
  return out;
}

std::vector<double> session::host_distances(const finished &batch) const {
  const int64_t vocab = params_.vocab_size;
  std::vector<double> dist(size_t(batch.of.count));
  spread(batch.of.count, helpers_, [&](int64_t i) {
    thread_local std::vector<double> scratch;
    scratch.resize(size_t(vocab));
    const auto row = [&](auto &&span) { return span.subspan(size_t(i * vocab), size_t(vocab)); };
    dist[size_t(i)] = distance(row(std::span<const float>(batch.logits)),
                               row(std::span<const int32_t>(batch.of.permutations)), target_, scratch);
  });
  return dist;
}

void session::report(const run_request &request, finished &batch, run_stats &stats) const {
  if (batch.measuring.valid()) batch.dist = batch.measuring.get();
  std::vector<int64_t> kept;
  std::vector<double> kept_dist;
  for (int64_t i = 0; i < batch.of.count; ++i) {
    if (request.r_target && !(batch.dist[size_t(i)] < *request.r_target)) continue;
    kept.push_back(request.nonces[size_t(batch.of.begin + i)]);
    kept_dist.push_back(batch.dist[size_t(i)]);
  }
  stats.computed += batch.of.count;
  stats.kept += int64_t(kept.size());
  ++stats.batches;
  if (request.on_batch) request.on_batch(kept, kept_dist, batch.of.count);
}

run_stats session::run(const run_request &request) {
  const int64_t total = int64_t(request.nonces.size());
  const int64_t batch = request.batch == 0 ? default_batch_ : request.batch;
  if (batch < 1 || batch > k_max_batch)
    throw status_error(GK_INVALID_ARGUMENT, "batch: expected 1 to " + std::to_string(k_max_batch) + ", got " +
                                                std::to_string(request.batch));
  for (const int64_t nonce : request.nonces)
    if (nonce < 0 || nonce > k_max_nonce)
      throw status_error(GK_INVALID_ARGUMENT,
                         "nonce " + std::to_string(nonce) + ": expected 0 to " + std::to_string(k_max_nonce));

  const auto started = clock::now();
  run_stats stats;
  const auto prepare_at = [&](int64_t begin) {
    return std::async(std::launch::async,
                      [&, begin] { return prepare(request, begin, std::min(batch, total - begin)); });
  };

  // Before an accelerator, a batch is reported while the device computes the next one, and measured then too if the
  // host has to do it; a CPU has nothing to spare and its batches take long, so there each is reported at once.
  const bool overlap = model_->draws_inputs();
  finished computing, done;
  bool unreported = false;  // done
  std::future<prepared> next;
  if (total > 0) next = prepare_at(0);
  try {
    for (int64_t begin = 0; begin < total; begin += batch) {
      computing.of = next.get();
      if (begin + batch < total) next = prepare_at(begin + batch);
      if (request.cancel != nullptr && request.cancel->load(std::memory_order_relaxed))
        throw status_error(GK_CANCELLED, "cancelled");
      const int64_t count = computing.of.count;
      model_->start(seeded_transformer::inputs{computing.of.inputs, computing.of.seeds}, count, request.cancel);
      if (measures_there_) measures_there_->start(model_->logits(), count, computing.of.permutation_seeds);
      if (std::exchange(unreported, false)) report(request, done, stats);
      if (measures_there_) {
        computing.dist = measures_there_->read();
      } else {
        computing.logits.resize(size_t(count * params_.vocab_size));
        model_->read_logits(computing.logits);
      }
      std::swap(computing, done);
      if (overlap && !measures_there_)
        done.measuring = std::async(std::launch::async, [&] { return host_distances(done); });
      else if (!measures_there_)
        done.dist = host_distances(done);
      unreported = overlap;
      if (!overlap) report(request, done, stats);
    }
  } catch (...) {
    // What was computed before a cancellation or the loss of the device is not lost with it.
    if (unreported) report(request, done, stats);
    throw;
  }
  if (unreported) report(request, done, stats);
  stats.seconds = seconds_since(started);
  return stats;
}

std::string session::implementations() const {
  const std::string of_model = model_->implementations(default_batch_);
  return measures_there_ ? of_model + " permuted_distance=" + measures_there_->implementation() : of_model;
}

}  // namespace gonka::poc_v1
