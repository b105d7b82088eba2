#include "v2/session.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "mapped_file.hpp"

namespace gonka::poc_v2 {
namespace {

using clock = std::chrono::steady_clock;

constexpr int64_t k_max_nonce = (int64_t(1) << 53) - 1;
constexpr int64_t k_max_batch = 65536;
// Rows of a forward pass from which a larger batch gains nothing: on a CPU the weights are read once per batch, and at
// this height that is a percent of the multiplication; a GPU wants every multiprocessor busy with the narrowest matrix.
constexpr int64_t k_cpu_rows = 1024, k_gpu_rows = 16384;
constexpr double k_cpu_batch_bytes = 512e6;

double seconds_since(clock::time_point begin) {
  return std::chrono::duration<double>(clock::now() - begin).count();
}

bool cancelled(const std::atomic<bool> *cancel) {
  return cancel != nullptr && cancel->load(std::memory_order_relaxed);
}

bool any_nan(std::span<const float> values) {
  return std::ranges::any_of(values, [](float v) { return std::isnan(v); });
}

void check(const run_request &request, const model_description &model) {
  for (const int64_t nonce : request.nonces)
    if (nonce < 0 || nonce > k_max_nonce)
      throw status_error(GK_INVALID_ARGUMENT,
                         "nonce " + std::to_string(nonce) + ": expected 0 to " + std::to_string(k_max_nonce));
  if (request.k_dim < 1 || request.k_dim > model.hidden)
    throw status_error(GK_INVALID_ARGUMENT, "k_dim: expected 1 to the model's hidden size of " +
                                                std::to_string(model.hidden) + ", got " +
                                                std::to_string(request.k_dim));
  if (request.batch < 0 || request.batch > k_max_batch)
    throw status_error(GK_INVALID_ARGUMENT, "batch: expected 1 to " + std::to_string(k_max_batch) + ", got " +
                                                std::to_string(request.batch));
}

}  // namespace

session::session(std::shared_ptr<device> device, const std::string &directory, const session_options &options)
    : device_(std::move(device)) {
  const auto begin = clock::now();
  const std::string config = directory + "/config.json";
  const mapped_file config_file(config);
  model_description model = parse_description(config_file.text(), config);
  const checkpoint files(directory);
  transformer_options build;
  build.compute = options.compute;
  build.load.progress = options.progress;
  build.load.cancel = options.cancel;
  model_ = std::make_unique<transformer>(device_, std::move(model), files, build);
  init_seconds_ = seconds_since(begin);
}

int64_t session::default_batch(int64_t seq_len) const {
  const bool cpu = device_->info().threads != 0;
  double room = 0.25 * double(device_->current_info().memory_free_bytes);
  if (cpu) room = std::min(room, k_cpu_batch_bytes);
  const int64_t fitting = int64_t(room / double(model_->bytes_per_sequence(seq_len)));
  return std::clamp(std::min((cpu ? k_cpu_rows : k_gpu_rows) / seq_len, fitting), int64_t(1), k_max_batch);
}

uint64_t session::memory_bytes(int64_t seq_len) const {
  return model_->weight_bytes() + uint64_t(default_batch(seq_len)) * model_->bytes_per_sequence(seq_len);
}

void session::reflect_for(const std::string &block_hash) {
  if (reflections_set_ && reflections_of_ == block_hash) return;
  const int64_t hidden = model().hidden;
  std::vector<float> vectors;
  for (size_t layer = 0; layer < model().layers.size(); ++layer) {
    const std::vector<float> v = unit_normal(layer_reflection_seed(block_hash, int64_t(layer)), hidden);
    vectors.insert(vectors.end(), v.begin(), v.end());
  }
  reflections_set_ = false;
  model_->set_reflections(vectors);
  reflections_of_ = block_hash;
  reflections_set_ = true;
}

void session::fill_inputs(const run_request &request, int64_t begin, int64_t count) {
  std::vector<uint32_t> seeds;
  for (int64_t i = 0; i < count; ++i) {
    const std::vector<uint32_t> row =
        input_seeds(request.rng, request.block_hash, request.public_key, uint64_t(request.nonces[size_t(begin + i)]));
    seeds.insert(seeds.end(), row.begin(), row.end());
  }
  gk_normal_fill p{};
  p.struct_size = sizeof p;
  p.generator = GK_NORMAL_MURMUR3;
  // Rounded to the model's type whatever the engine computes in, as the reference does.
  p.out_type = model().dtype;
  p.segments = uint32_t(seeds.size() / size_t(count));
  p.rows = count;
  p.columns = p.ldo = request.seq_len * model().hidden;
  p.sigma = 1;
  p.seeds_u32 = seeds.data();
  p.out = model_->inputs(count, request.seq_len);
  model_->on().run(GK_OP_NORMAL_FILL, &p);
  model_->on().synchronize();  // the seeds are read until then
}

run_stats session::run(const run_request &request) {
  check(request, model());
  const int64_t total = int64_t(request.nonces.size());
  const int64_t batch = request.batch == 0 ? default_batch(std::max<int64_t>(request.seq_len, 1)) : request.batch;
  const size_t hidden = size_t(model().hidden), layers = model().layers.size();
  const auto started = clock::now();
  run_stats stats;
  std::vector<float> last_hidden(size_t(std::min(batch, total)) * hidden);
  std::vector<float> streams;  // [batch, layers, hidden], with a trace
  std::vector<artifact> kept;
  reflect_for(request.block_hash);
  for (int64_t begin = 0; begin < total; begin += batch) {
    const size_t count = size_t(std::min(batch, total - begin));
    if (cancelled(request.cancel)) throw status_error(GK_CANCELLED, "cancelled");
    fill_inputs(request, begin, int64_t(count));
    const std::span<float> out = std::span(last_hidden).first(count * hidden);
    transformer::trace_sink sink;
    if (request.on_trace) {
      streams.resize(layers * count * hidden);
      sink = [&](int64_t layer, std::span<const float> stream) {
        for (size_t i = 0; i < count; ++i)
          std::ranges::copy(stream.subspan(((i + 1) * size_t(request.seq_len) - 1) * hidden, hidden),
                            streams.begin() + long((i * layers + size_t(layer)) * hidden));
      };
    }
    model_->forward(out, request.cancel, sink);

    kept.clear();
    for (size_t i = 0; i < count; ++i) {
      const int64_t nonce = request.nonces[size_t(begin) + i];
      const std::span<const float> row = std::span<const float>(out).subspan(i * hidden, hidden);
      if (request.on_trace)
        request.on_trace(nonce, std::span<const float>(streams).subspan(i * layers * hidden, layers * hidden), row);
      if (any_nan(row)) continue;
      const std::vector<int32_t> picks = pick_indices(
          seed_from_string(pick_seed(request.block_hash, request.public_key, uint64_t(nonce), request.k_dim)),
          int64_t(hidden), request.k_dim);
      artifact made{nonce, artifact_vector(row, picks, request.block_hash, request.public_key, uint64_t(nonce)), {}};
      if (any_nan(made.values)) continue;
      made.encoded = encode_vector(made.values);
      kept.push_back(std::move(made));
    }
    stats.computed += int64_t(count);
    stats.kept += int64_t(kept.size());
    ++stats.batches;
    if (request.on_batch) request.on_batch(kept, int64_t(count));
  }
  stats.seconds = seconds_since(started);
  return stats;
}

std::string session::implementations() const {
  // Which implementation runs depends on the operands' types: the names are of those this model has.
  const uint32_t compute = compute_type();
  gk_gemm gemm{};
  gemm.struct_size = sizeof gemm;
  gemm.a_type = compute;
  gemm.b_type = model().dtype;
  gemm.d_type = GK_F32;
  gemm.m = gemm.n = gemm.k = gemm.lda = gemm.ldb = gemm.ldc = gemm.ldd = 64;
  gemm.alpha = 1;
  const int64_t offsets[] = {0, 64};
  const attention_description &a = model().layers[0].attention;
  gk_attention attention{};
  attention.struct_size = sizeof attention;
  attention.qkv_type = attention.o_type = compute;
  attention.causal = 1;
  attention.batch = 1;
  attention.num_heads = a.heads;
  attention.num_heads_kv = a.heads_kv;
  attention.head_dim = a.head_dim;
  attention.softmax_scale = 1;
  attention.cu_seqlens_q = attention.cu_seqlens_k = offsets;
  attention.q_token_stride = attention.o_token_stride = int64_t(a.heads) * a.head_dim;
  attention.k_token_stride = attention.v_token_stride = int64_t(a.heads_kv) * a.head_dim;
  attention.q_head_stride = attention.k_head_stride = attention.v_head_stride = attention.o_head_stride = a.head_dim;

  std::string out;
  for (const gk_op op :
       {GK_OP_GEMM, GK_OP_ATTENTION, GK_OP_RMS_NORM, GK_OP_ROPE, GK_OP_HOUSEHOLDER, GK_OP_GATHER, GK_OP_NORMAL_FILL}) {
    std::string name = "cpu:fallback";
    for (const implementation_status &i : device_->implementations(op)) {
      gemm.implementation = attention.implementation = i.index;
      void *problem = op == GK_OP_GEMM ? static_cast<void *>(&gemm) : op == GK_OP_ATTENTION ? &attention : nullptr;
      const bool accepted =
          problem == nullptr ? i.accepted
                             : device_->library().table->run(model_->on().handle(), op, problem, 1, nullptr) == GK_OK;
      if (!accepted || i.disabled) continue;
      name = i.name;
      break;
    }
    out += (out.empty() ? "" : " ") + std::string(find_op(op)->name) + "=" + name;
  }
  return out;
}

}  // namespace gonka::poc_v2
