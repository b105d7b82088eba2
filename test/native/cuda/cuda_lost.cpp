// A device that falls out: the error is sticky, every later call on it fails at once and says why, others go on. Faults
// are injected into the emulated runtime the way CUDA reports them: at the launch, or at the next call that waits.
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "cuda/backend.hpp"
#include "device.hpp"
#include "runtime_emulator.hpp"
#include "v1/session.hpp"

using namespace gonka;

namespace {

std::shared_ptr<device> emulated(uint32_t index) {
  static const auto library = [] {
    auto made = std::make_shared<backend_library>();
    made->table = &cuda::backend();
    return made;
  }();
  return device::open(library, index, {});
}

struct outcome {
  gk_status status = GK_OK;
  std::string message;
};

template <class F>
outcome outcome_of(F &&f) {
  try {
    f();
    return {};
  } catch (const status_error &e) {
    return {e.status, e.what()};
  }
}

void double_silu(stream &s, const buffer &b) {
  gk_silu_mul p{};
  p.struct_size = sizeof p;
  p.type = GK_F32;
  p.rows = 1;
  p.columns = p.ld_gate = p.ld_up = p.ldo = 64;
  p.gate = p.up = p.out = b.at();
  s.run(GK_OP_SILU_MUL, &p);
}

void sticky(bool seen_at_wait) {
  const auto d = emulated(2), other = emulated(0);
  stream s(d), second(d), elsewhere(other);
  buffer b(*d, 256), c(*other, 256);
  const std::vector<float> zeros(64);
  s.write(b, 0, zeros.data(), 256);
  elsewhere.write(c, 0, zeros.data(), 256);
  double_silu(s, b);
  double_silu(elsewhere, c);  // self-tests of both are done
  emulator::inject({.device = 2, .launches_before = 1, .sticky = true, .seen_at_wait = seen_at_wait});
  CHECK_EQ(int(outcome_of([&] { double_silu(s, b); }).status), int(GK_OK));
  const outcome launch = outcome_of([&] { double_silu(s, b); });
  const outcome wait = outcome_of([&] { s.synchronize(); });
  CHECK_EQ(int(launch.status), int(seen_at_wait ? GK_OK : GK_DEVICE_LOST));
  CHECK_EQ(int(wait.status), int(GK_DEVICE_LOST));
  CHECK((seen_at_wait ? wait : launch).message.find("illegal memory access") != std::string::npos);

  // From now on: at once, on every stream of the device, without touching it.
  const uint64_t launches = emulator::emulated_launches();
  std::vector<float> back(64);
  for (const outcome &o :
       {outcome_of([&] { double_silu(s, b); }), outcome_of([&] { double_silu(second, b); }),
        outcome_of([&] { s.read(b, 0, back.data(), 256); }), outcome_of([&] { second.write(b, 0, back.data(), 256); }),
        outcome_of([&] { buffer(*d, 16); }), outcome_of([&] { stream third(d); }),
        outcome_of([&] { d->current_info(); })}) {
    CHECK_EQ(int(o.status), int(GK_DEVICE_LOST));
    CHECK(o.message.find("device 2 was lost by an earlier error") != std::string::npos);
  }
  CHECK_EQ(emulator::emulated_launches(), launches);
  CHECK_EQ(int(outcome_of([&] { emulated(2); }).status), int(GK_DEVICE_LOST));

  CHECK_EQ(int(outcome_of([&] {
                 double_silu(elsewhere, c);
                 elsewhere.synchronize();
               }).status),
           int(GK_OK));

  emulator::repair_devices();
  const auto again = emulated(2);
  stream t(again);
  buffer e(*again, 256);
  t.write(e, 0, zeros.data(), 256);
  CHECK_EQ(int(outcome_of([&] {
                 double_silu(t, e);
                 t.synchronize();
               }).status),
           int(GK_OK));
  // The old handle stays lost: what it held is gone.
  CHECK_EQ(int(outcome_of([&] { double_silu(s, b); }).status), int(GK_DEVICE_LOST));
}

// A launch that is refused says nothing about the device.
void not_sticky() {
  const auto d = emulated(2);
  stream s(d);
  buffer b(*d, 256);
  const std::vector<float> zeros(64);
  s.write(b, 0, zeros.data(), 256);
  emulator::inject({.device = 2, .launches_before = 0, .sticky = false});
  const outcome refused = outcome_of([&] { double_silu(s, b); });
  CHECK_EQ(int(refused.status), int(GK_DEVICE_ERROR));
  CHECK(refused.message.find("invalid argument") != std::string::npos);
  CHECK_EQ(int(outcome_of([&] {
                 double_silu(s, b);
                 s.synchronize();
               }).status),
           int(GK_OK));
  CHECK_EQ(int(outcome_of([&] { buffer(*d, uint64_t(8) << 30); }).status), int(GK_OUT_OF_MEMORY));
  CHECK_EQ(int(outcome_of([&] {
                 double_silu(s, b);
                 s.synchronize();
               }).status),
           int(GK_OK));
}

poc_v1::params small_params() {
  poc_v1::params p{};
  p.dim = 64;
  p.n_layers = 1;
  p.n_heads = p.n_kv_heads = 2;
  p.vocab_size = 64;
  p.ffn_dim_multiplier = 1;
  p.multiple_of = 32;
  p.norm_eps = 1e-5;
  p.rope_theta = 10000;
  p.seq_len = 4;
  return p;
}

std::vector<double> round_on(uint32_t index, std::vector<int64_t> nonces) {
  poc_v1::session session(emulated(index), small_params(), "block", {});
  std::vector<double> out;
  poc_v1::run_request request;
  request.public_key = "key";
  request.nonces = nonces;
  request.batch = 2;
  request.on_batch = [&](auto, std::span<const double> dist, int64_t) {
    out.insert(out.end(), dist.begin(), dist.end());
  };
  session.run(request);
  return out;
}

// Two devices, each with a thread and a session of its own: as if each were alone.
void several_devices() {
  const std::vector<int64_t> low = {0, 1, 2, 3, 4, 5}, high = {100, 101, 102, 103, 104, 105};
  const auto want_low = round_on(2, low), want_high = round_on(0, high);
  CHECK_EQ(want_low.size(), low.size());
  std::vector<double> got_low, got_high;
  std::thread first([&] { got_low = round_on(2, low); }), second([&] { got_high = round_on(0, high); });
  first.join();
  second.join();
  CHECK(got_low == want_low);
  CHECK(got_high == want_high);
}

// A round on a device that falls out ends with DEVICE_LOST, also when its passes are replays.
void lost_in_a_round() {
  for (const uint64_t launches : {3u, 60u}) {
    const outcome o = outcome_of([&] {
      poc_v1::session session(emulated(2), small_params(), "block", {});
      emulator::inject({.device = 2, .launches_before = launches, .sticky = true, .seen_at_wait = true});
      poc_v1::run_request request;
      std::vector<int64_t> nonces(64);
      for (size_t i = 0; i < nonces.size(); ++i) nonces[i] = int64_t(i);
      request.nonces = nonces;
      request.batch = 2;
      session.run(request);
    });
    CHECK_EQ(int(o.status), int(GK_DEVICE_LOST));
    emulator::repair_devices();
  }
}

}  // namespace

int main() {
  sticky(false);
  sticky(true);
  not_sticky();
  several_devices();
  lost_in_a_round();
  return check_summary();
}
