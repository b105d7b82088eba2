// The conformance suite itself: honest backends pass, and every kind of fault it is there for is found and named.
#include "conformance.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "backend.hpp"
#include "cases.hpp"
#include "check.hpp"
#include "plugin.hpp"
#include "registry.hpp"

using namespace gonka;

namespace {

struct verdict {
  conformance_summary summary;
  std::vector<check_result> failures, others;
};

using wanted_failure = std::pair<std::string, std::string>;  // parts of its name and of its detail

bool matches(const check_result &r, const wanted_failure &wanted) {
  return r.status == check_status::fail && r.name.find(wanted.first) != std::string::npos &&
         r.detail.find(wanted.second) != std::string::npos;
}

// Stops once the failure `until` was seen.
verdict judge(const std::shared_ptr<const backend_library> &library, const conformance_options &options,
              const wanted_failure *until = nullptr) {
  verdict v;
  std::atomic<bool> cancel{false};
  const auto d = device::open(library, 0, {.threads = 2});
  v.summary = run_conformance(
      *d, options,
      [&](const check_result &r) {
        (r.status == check_status::fail ? v.failures : v.others).push_back(r);
        if (until != nullptr && matches(r, *until)) cancel = true;
      },
      &cancel);
  CHECK_EQ(v.summary.failed, v.failures.size());
  CHECK_EQ(v.summary.passed + v.summary.skipped, v.others.size());
  return v;
}

void print_failures(const verdict &v) {
  for (const check_result &r : v.failures)
    std::fprintf(stderr, "%s %s: %s: %s\n", find_op(r.op)->name, r.implementation.c_str(), r.name.c_str(),
                 r.detail.c_str());
}

bool any_failure(const verdict &v, const wanted_failure &wanted) {
  return std::any_of(v.failures.begin(), v.failures.end(), [&](const check_result &r) { return matches(r, wanted); });
}

void honest_backends() {
  verdict v = judge(cpu_library(), {.calls_in_a_row = 1000, .calls_at_once = 50});
  print_failures(v);
  CHECK(v.summary.conforms());
  v = judge(load_plugin(GONKA_BINARY_DIR "/Release/examples/gonka_example_backend.so"), {});
  print_failures(v);
  CHECK(v.summary.conforms());
  // It runs two ops; each of the others is one skip with its words.
  size_t absent = 0;
  for (const check_result &r : v.others)
    if (r.status == check_status::skip && r.name == "all cases") {
      CHECK(r.detail == "example: op " + std::to_string(int(r.op)) + " is not implemented");
      ++absent;
    }
  size_t want_absent = 0;
  for (const op_spec *spec : all_ops())
    want_absent += spec->op != GK_OP_GEMM && spec->op != GK_OP_SILU_MUL && !cases_of(spec->op).empty();
  CHECK_EQ(absent, want_absent);
}

// Each lie of the lying backend, and what gives it away.
void lies() {
  const std::string path = GONKA_BINARY_DIR "/Release/examples/gonka_lying_backend.so";
  const struct {
    const char *lie, *test, *detail;
  } expected[] = {
      {"accumulator", "f32 adds up in 24 bits", "expected exactly 61"},
      {"accumulator", "i8*i8->i32", "expected"},
      {"tail", "f32*f32->f32", "d[628] is"},
      {"stale", " calls in a row", "differs from the same call before"},
      {"format", "claims bf16", "device_info claims it, but gemm answers: gemm: types other than"},
  };
  for (const auto &e : expected) {
    setenv("GONKA_LIE", e.lie, 1);
    const wanted_failure wanted{e.test, e.detail};
    const verdict v = judge(load_plugin(path), {.op = GK_OP_GEMM}, &wanted);
    if (!CHECK(any_failure(v, wanted))) print_failures(v);
    CHECK(!v.summary.conforms());
  }
  unsetenv("GONKA_LIE");
}

// ------------------------------------------------------------------------- the CPU backend with one fault in silu_mul

enum class fault {
  none,
  writes_after,
  writes_before,
  writes_gap,
  writes_input,
  drops_last,
  changes_every_time,
  reads_its_output,
  accepts_then_refuses,
  refuses_then_runs,
  fails,
  wrong_when_aligned,
  wrong_choice,
  stale_at_random,
  shares_scratch,
  refuses_everything,
};

std::atomic<fault> g_fault{fault::none};
std::atomic<uint32_t> g_calls{0};
std::atomic<size_t> g_scratch_owner{0};

gk_status faulty_run(gk_stream *stream, uint32_t op, void *problem, int dry_run, gk_error *err) {
  const gk_backend &cpu = cpu::backend();
  const fault f = g_fault;
  if (op != GK_OP_SILU_MUL || f == fault::none) return cpu.run(stream, op, problem, dry_run, err);
  auto &p = *static_cast<gk_silu_mul *>(problem);
  const auto refuse = [&] { return gonka::fail(err, GK_UNSUPPORTED, "faulty: not today"); };
  if (f == fault::refuses_everything) return refuse();
  if (f == fault::refuses_then_runs && dry_run) return refuse();
  if (f == fault::accepts_then_refuses && !dry_run) return refuse();
  if (f == fault::fails && !dry_run) return gonka::fail(err, GK_DEVICE_ERROR, "faulty: the fan stopped");
  if (dry_run || p.rows == 0 || p.columns == 0 || p.type != GK_F32) return cpu.run(stream, op, problem, dry_run, err);

  const auto address = [&](gk_ref ref) {
    return static_cast<unsigned char *>(cpu.buffer_pointer(ref.buffer)) + ref.offset;
  };
  unsigned char *out = address(p.out);
  const size_t extent = size_t((p.rows - 1) * p.ldo + p.columns) * 4;
  const bool old_was_other_poison = out[0] == 0x5a;
  std::vector<unsigned char> old(out, out + extent);
  const uint32_t call = g_calls.fetch_add(1);
  const size_t self = std::hash<std::thread::id>()(std::this_thread::get_id());
  g_scratch_owner = self;
  if (f == fault::shares_scratch) std::this_thread::sleep_for(std::chrono::microseconds(20));
  const gk_status status = cpu.run(stream, op, problem, 0, err);
  if (status != GK_OK) return status;
  switch (f) {
    case fault::writes_after:
      out[extent] ^= 1;
      break;
    case fault::writes_before:
      out[-1] ^= 1;
      break;
    case fault::writes_gap:
      if (p.rows > 1 && p.ldo > p.columns) out[p.columns * 4] ^= 1;
      break;
    case fault::writes_input:
      if (p.gate.buffer != p.out.buffer) address(p.gate)[0] ^= 1;
      break;
    case fault::drops_last:
      std::memcpy(out + extent - 4, old.data() + extent - 4, 4);
      break;
    case fault::changes_every_time:
      if (p.columns == 33) out[0] ^= call & 1;
      break;
    case fault::reads_its_output:
      if (p.columns == 33) out[0] ^= old_was_other_poison;
      break;
    case fault::wrong_when_aligned:
      if (p.out.offset % 16 == 0) out[extent - 2] ^= 0x40;
      break;
    case fault::wrong_choice:
      if (p.implementation == 0) out[extent - 2] ^= 0x40;
      break;
    case fault::stale_at_random: {
      uint64_t z = (call + 1) * 0x9e3779b97f4a7c15;  // SplitMix64
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      if ((z ^ (z >> 31)) % 1000 == 0) std::memcpy(out, old.data(), extent);
      break;
    }
    case fault::shares_scratch:
      if (g_scratch_owner != self) out[0] ^= 1;
      break;
    default:
      break;
  }
  return GK_OK;
}

std::shared_ptr<const backend_library> faulty_library() {
  static const gk_backend table = [] {
    gk_backend t = cpu::backend();
    t.name = "faulty";
    t.run = faulty_run;
    return t;
  }();
  auto library = std::make_shared<backend_library>();
  library->table = &table;
  return library;
}

void faults() {
  const struct {
    fault planted;
    const char *test, *detail;
  } expected[] = {
      {fault::writes_after, "f32", "wrote outside operand out"},
      {fault::writes_before, "f32", "wrote outside operand out"},
      {fault::writes_gap, "f32", "of operand out, which is not its to write"},
      {fault::writes_input, "f32", "changed byte 0 of operand gate, which is not its to write"},
      {fault::drops_last, "f32", "out["},
      {fault::changes_every_time, "x33 ", "two equal calls differ at byte 0 of operand out"},
      {fault::reads_its_output, "x33 ", "two equal calls differ at byte 0 of operand out"},
      {fault::accepts_then_refuses, "f32", "the dry run answered ok, the call unsupported: faulty: not today"},
      {fault::refuses_then_runs, "f32", "the dry run answered unsupported, the call ok: faulty: not today"},
      {fault::fails, "f32", "the dry run answered ok, the call device error: faulty: the fan stopped"},
      {fault::wrong_when_aligned, "f32", "times its bound"},
      {fault::wrong_choice, "f32", "--implementation automatic"},
      {fault::stale_at_random, " calls in a row", "differs from the same call before"},
      {fault::shares_scratch, "two streams at once", "differs from the same call before"},
  };
  for (const auto &e : expected) {
    g_fault = e.planted;
    g_calls = 0;
    const verdict v = judge(faulty_library(), {.op = GK_OP_SILU_MUL,
                                               .calls_in_a_row = e.planted == fault::stale_at_random ? 8000u : 50u,
                                               .command = "again"});
    if (!CHECK(any_failure(v, {e.test, e.detail}))) {
      std::fprintf(stderr, "fault %d, looking for '%s':\n", int(e.planted), e.detail);
      print_failures(v);
    }
    CHECK(!v.summary.conforms());
    for (const check_result &r : v.failures) CHECK(r.detail.find("; again: again --op silu_mul") != std::string::npos);
  }
  g_fault = fault::wrong_when_aligned;
  const verdict v = judge(faulty_library(), {.op = GK_OP_SILU_MUL});
  for (const check_result &r : v.failures) {
    CHECK(r.detail.find("odd offsets") == std::string::npos);
    CHECK(r.measured && r.element_error > 1 && r.detail.find("seed ") != std::string::npos);
  }
  g_fault = fault::none;
  CHECK(judge(faulty_library(), {.op = GK_OP_SILU_MUL}).summary.conforms());
}

void nothing_tested_is_a_failure() {
  g_fault = fault::refuses_everything;
  const verdict v = judge(faulty_library(), {.op = GK_OP_SILU_MUL});
  CHECK(v.summary.passed == 0 && v.summary.failed == 0 && v.summary.skipped > 0);
  CHECK(!v.summary.conforms());
  g_fault = fault::none;
}

void selection_and_cancelling() {
  const auto d = device::open(cpu_library(), 0, {.threads = 1});
  std::atomic<bool> cancel{false};
  uint64_t results = 0;
  const conformance_summary s =
      run_conformance(*d, {}, [&](const check_result &) { cancel = ++results >= 5; }, &cancel);
  CHECK(s.cancelled && !s.conforms() && results < 20);

  bool named = false;
  const verdict one = judge(cpu_library(), {.op = GK_OP_RMS_NORM, .implementation = "ref", .calls_in_a_row = 10});
  for (const check_result &r : one.others) CHECK(r.op == GK_OP_RMS_NORM && r.implementation == "ref");
  CHECK(one.summary.conforms());
  try {
    judge(cpu_library(), {.implementation = "mmx"});
  } catch (const status_error &e) {
    named = std::string(e.what()) == "cpu:0: no implementation is called 'mmx'";
  }
  CHECK(named);
}

}  // namespace

int main() {
  honest_backends();
  lies();
  faults();
  nothing_tested_is_a_failure();
  selection_and_cancelling();
  return check_summary();
}
