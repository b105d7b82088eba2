// PoC v1 rounds of the golden models through the CUDA backend in the emulator: every op of the forward pass on the
// (emulated) device, none on the host, distances within what golden/README allows a half-precision engine.
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "check.hpp"
#include "cuda/backend.hpp"
#include "golden.hpp"
#include "runtime_emulator.hpp"
#include "v1/session.hpp"

using namespace gonka;

namespace {

void test_round(const std::string &name, uint32_t device_index, size_t most_nonces, double tolerance) {
  const std::string folder = golden_path("v1/fwd_" + name + "/");
  const json::value meta = json::read_file(folder + "meta.json");
  const json::value &from = meta["params"];
  poc_v1::params p;
  p.dim = from["dim"].integer();
  p.n_layers = from["n_layers"].integer();
  p.n_heads = from["n_heads"].integer();
  p.n_kv_heads = from["n_kv_heads"].integer();
  p.vocab_size = from["vocab_size"].integer();
  p.ffn_dim_multiplier = from["ffn_dim_multiplier"].num();
  p.multiple_of = from["multiple_of"].integer();
  p.norm_eps = from["norm_eps"].num();
  p.rope_theta = from["rope_theta"].num();
  p.use_scaled_rope = from["use_scaled_rope"].flag();
  p.seq_len = from["seq_len"].integer();
  std::vector<int64_t> nonces;
  for (const json::value &n : meta["nonces"])
    if (nonces.size() < most_nonces) nonces.push_back(n.integer());
  std::vector<double> want;
  for (const json::value &d : meta["dist_fp64_own"]) want.push_back(d.hex_double());

  std::ifstream in(folder + "weights_all_f16.bin", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  std::vector<uint16_t> weights(bytes.size() / 2);
  std::memcpy(weights.data(), bytes.data(), weights.size() * 2);

  auto library = std::make_shared<backend_library>();
  library->table = &cuda::backend();
  const auto emulated = device::open(library, device_index, {});
  emulated->on_notice([](const std::string &text) {
    std::fprintf(stderr, "%s\n", text.c_str());
    CHECK(!"an implementation was disabled or an op fell back to the host");
  });
  poc_v1::session_options options;
  options.weights = weights;
  poc_v1::session session(emulated, p, meta["block_hash"].str(), options);
  CHECK_EQ(session.activation_type(), uint32_t(GK_F16));
  std::vector<double> got;
  poc_v1::run_request request;
  request.public_key = meta["public_key"].str();
  request.nonces = nonces;
  request.batch = 2;
  request.on_batch = [&](std::span<const int64_t>, std::span<const double> dist, int64_t) {
    got.insert(got.end(), dist.begin(), dist.end());
  };
  const uint64_t before = emulator::emulated_launches(), replays = emulator::emulated_replays();
  session.run(request);
  // Four passes: the first op by op, the second recorded and replayed, the others replayed.
  CHECK_EQ(session.not_recorded(), "");
  CHECK_EQ(emulator::emulated_replays() - replays, nonces.size() / 2 - 1);
  double worst = 0;
  CHECK_EQ(got.size(), nonces.size());
  for (size_t i = 0; i < got.size() && i < want.size(); ++i) worst = std::max(worst, std::abs(got[i] - want[i]));
  std::printf("%s on device %u (%s): %zu nonces, %llu launches, largest distance error %.3g\n  %s\n", name.c_str(),
              device_index, emulated->info().name, got.size(),
              static_cast<unsigned long long>(emulator::emulated_launches() - before), worst,
              session.implementations().c_str());
  CHECK(worst <= tolerance);
  CHECK(emulated->fallbacks().empty());

  // Cancelled while the second batch is under way: it is finished and reported, the third never begins.
  std::atomic<bool> cancel{false};
  std::vector<double> until_then;
  request.cancel = &cancel;
  request.on_batch = [&](std::span<const int64_t>, std::span<const double> dist, int64_t) {
    until_then.insert(until_then.end(), dist.begin(), dist.end());
    cancel = true;
  };
  gk_status status = GK_OK;
  try {
    session.run(request);
  } catch (const status_error &e) {
    status = e.status;
  }
  CHECK_EQ(int(status), int(GK_CANCELLED));
  CHECK(until_then == std::vector<double>(got.begin(), got.begin() + 4));
}

}  // namespace

int main() {
  for (const uint32_t device_index : {0u, 2u}) {
    test_round("tiny", device_index, 8, 2e-4);
    test_round("stress_tiny", device_index, 8, 2e-3);
  }
  return check_summary();
}
