// What a device does about implementations that are wrong and problems that are not supported: backends of the test's
// own, made from the CPU backend by planting faults.
#include <stdlib.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backend.hpp"
#include "case_run.hpp"
#include "cases.hpp"
#include "check.hpp"
#include "device.hpp"
#include "plugin.hpp"
#include "registry.hpp"

using namespace gonka;

namespace {

// Bit i: implementation i + 1 of silu_mul gets the last byte of its result wrong.
std::atomic<uint32_t> g_broken{0};
std::atomic<bool> g_refuse_all{false}, g_no_memory{false}, g_no_scratch{false};
// Implementations of silu_mul that ran, as the problem named them.
std::atomic<uint64_t> g_asked{0};

// Of the CPU backend's implementations of silu_mul, the indices that this processor has, best first.
const std::vector<size_t> &usable() {
  static const std::vector<size_t> list = [] {
    std::vector<size_t> usable;
    const auto all = device::open(cpu_library(), 0, {.threads = 1})->implementations(GK_OP_SILU_MUL);
    for (size_t i = 0; i < all.size(); ++i)
      if (all[i].accepted) usable.push_back(i);
    return usable;
  }();
  return list;
}

gk_status planted_run(gk_stream *stream, uint32_t op, void *problem, int dry_run, gk_error *err) {
  const gk_backend &cpu = cpu::backend();
  if (g_refuse_all) return fail(err, GK_UNSUPPORTED, "planted: not supported");
  if (g_no_scratch && !dry_run && cpu.run(stream, op, problem, 1, nullptr) == GK_OK)
    return fail(err, GK_OUT_OF_MEMORY, "planted: no scratch");
  const gk_status status = cpu.run(stream, op, problem, dry_run, err);
  if (op != GK_OP_SILU_MUL || dry_run || status != GK_OK) return status;
  const auto &p = *static_cast<gk_silu_mul *>(problem);
  g_asked |= uint64_t(1) << p.implementation;
  const uint32_t ran = p.implementation == 0 ? uint32_t(usable()[0]) + 1 : p.implementation;
  if ((g_broken >> (ran - 1) & 1) == 0 || p.rows == 0 || p.columns == 0) return status;
  const uint64_t last = uint64_t((p.rows - 1) * p.ldo + p.columns) * dtype_size(p.type) - 1;
  static_cast<unsigned char *>(cpu.buffer_pointer(p.out.buffer))[p.out.offset + last] ^= 0x20;
  return status;
}

gk_status planted_alloc(gk_device *device, uint64_t size, gk_buffer **out, gk_error *err) {
  if (g_no_memory) return fail(err, GK_OUT_OF_MEMORY, "planted: no memory for %llu bytes", (unsigned long long)size);
  return cpu::backend().buffer_alloc(device, size, out, err);
}

std::shared_ptr<const backend_library> planted_library() {
  static const gk_backend table = [] {
    gk_backend t = cpu::backend();
    t.name = "planted";
    t.run = planted_run;
    t.buffer_alloc = planted_alloc;
    return t;
  }();
  auto library = std::make_shared<backend_library>();
  library->table = &table;
  return library;
}

struct notices {
  explicit notices(device &d) : d(d) {
    d.on_notice([this](const std::string &sentence) {
      const std::lock_guard lock(mutex);
      list.push_back(sentence);
    });
  }
  ~notices() { d.on_notice(nullptr); }
  device &d;
  std::mutex mutex;
  std::vector<std::string> list;
};

template <class F>
std::string refusal(F &&f) {
  try {
    f();
    return "no error";
  } catch (const status_error &e) {
    return std::to_string(int(e.status)) + " " + e.what();
  }
}

bool contains(const std::string &text, const std::string &part) {
  if (text.find(part) != std::string::npos) return true;
  std::fprintf(stderr, "'%s' does not contain '%s'\n", text.c_str(), part.c_str());
  return false;
}

const op_case &some_case(gk_op op, const std::string &name_part) {
  for (const op_case &test : cases_of(op))
    if ((test.uses & use_selftest) != 0 && test.name.find(name_part) != std::string::npos) return test;
  std::fprintf(stderr, "no self-test case named like '%s'\n", name_part.c_str());
  std::abort();
}

// Runs a case through a stream, as everybody above host does. Empty, or what is wrong.
std::string run(stream &s, const op_spec &spec, const op_case &test, uint32_t implementation = 0) {
  built_case problem = test.build(test);
  static_cast<problem_header *>(problem.problem.get())->implementation = implementation;
  std::vector<buffer> memory(problem.operands.size());
  const operand_bytes initial = poisoned(problem);
  for (size_t i = 0; i < problem.operands.size(); ++i) {
    if (!problem.present[i]) continue;
    const int home = problem.same_place.empty() ? -1 : problem.same_place[i];
    if (home >= 0) {
      *problem.operands[i].ref = *problem.operands[size_t(home)].ref;
      continue;
    }
    memory[i] = buffer(s.owner(), initial[i].size() + 64);
    s.write(memory[i], 0, std::vector<std::byte>(initial[i].size() + 64, std::byte{0x5c}).data(),
            initial[i].size() + 64);
    const uint64_t lead = dtype_size(problem.operands[i].dtype);
    s.write(memory[i], lead, initial[i].data(), initial[i].size());
    *problem.operands[i].ref = memory[i].at(lead);
  }
  const uint32_t before = static_cast<problem_header *>(problem.problem.get())->implementation;
  s.run(spec.op, problem.problem.get());
  s.synchronize();
  CHECK_EQ(static_cast<problem_header *>(problem.problem.get())->implementation, before);

  case_outcome outcome;
  for (size_t i = 0; i < problem.operands.size(); ++i) {
    const int home = problem.same_place.empty() ? -1 : problem.same_place[i];
    const buffer &from = memory[home >= 0 ? size_t(home) : i];
    std::vector<std::byte> all(problem.present[i] ? initial[i].size() + 64 : 0);
    const uint64_t lead = dtype_size(problem.operands[i].dtype);
    if (problem.present[i]) {
      s.read(from, 0, all.data(), all.size());
      CHECK(problem.operands[i].ref->buffer == from.handle() && problem.operands[i].ref->offset == lead);
    }
    for (size_t at = 0; at < all.size(); ++at)
      if ((at < lead || at >= lead + initial[i].size()) && all[at] != std::byte{0x5c}) outcome.damage = "guard";
    outcome.operands.emplace_back();
    if (problem.present[i])
      outcome.operands[i].assign(all.begin() + int64_t(lead), all.begin() + int64_t(lead + initial[i].size()));
  }
  uint64_t at = 0;
  if (first_illegal_write(problem, initial, outcome.operands, &at) >= 0) outcome.damage = "gap or input";
  if (problem.host_result != nullptr) outcome.host_result = problem.host_result(problem.problem.get());
  comparison measures;
  return find_fault(test, outcome, expected_result(spec, test), &measures);
}

const op_spec &silu() {
  return *find_op(GK_OP_SILU_MUL);
}

void a_wrong_implementation_is_passed_over() {
  if (usable().size() < 2) return;  // a processor with the reference alone
  const auto names = device::open(cpu_library(), 0, {.threads = 1})->implementations(GK_OP_SILU_MUL);
  const size_t best = usable()[0], next = usable()[1];
  g_broken = 1u << best;
  const auto d = device::open(planted_library(), 0, {.threads = 1});
  notices heard(*d);
  stream s(d);
  const op_case &test = some_case(GK_OP_SILU_MUL, "f32");
  CHECK_EQ(run(s, silu(), test), "");
  CHECK_EQ(heard.list.size(), 1u);
  CHECK(heard.list[0].starts_with("planted:0: silu_mul " + names[best].name +
                                  " failed its self-test and is disabled: case '" +
                                  some_case(GK_OP_SILU_MUL, "").name));
  const auto list = d->implementations(GK_OP_SILU_MUL);
  CHECK(list[best].disabled && !list[best].accepted && contains(list[best].reason, "times its bound"));
  CHECK(!list[next].disabled && list[next].accepted && list[next].known_answers > 0);
  // Neither the broken one nor the backend's own choice is asked again.
  g_asked = 0;
  CHECK_EQ(run(s, silu(), test), "");
  CHECK_EQ(g_asked.load(), uint64_t(1) << (next + 1));
  CHECK(contains(refusal([&] { run(s, silu(), test, uint32_t(best) + 1); }),
                 "34 planted:0: silu_mul " + names[best].name + " is disabled"));
  CHECK_EQ(run(s, silu(), test, uint32_t(next) + 1), "");
  CHECK(d->fallbacks().empty());
  g_broken = 0;
}

void a_device_without_a_right_one_is_an_error() {
  g_broken = ~0u;
  const auto d = device::open(planted_library(), 0, {.threads = 1});
  notices heard(*d);
  stream s(d);
  const op_case &test = some_case(GK_OP_SILU_MUL, "f32");
  const std::string text = refusal([&] { run(s, silu(), test); });
  CHECK(contains(text, "34 planted:0: silu_mul: no implementation is left for this problem: "));
  CHECK(contains(text, "case '") && contains(text, "seed "));
  CHECK_EQ(heard.list.size(), usable().size());
  CHECK(d->fallbacks().empty());
  g_broken = 0;
}

void tested_once_by_many_threads() {
  g_broken = 1u << usable()[0];
  const auto d = device::open(planted_library(), 0, {.threads = 2});
  notices heard(*d);
  std::atomic<int> right{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        stream s(d);
        try {
          d->ensure_tested(GK_OP_SILU_MUL);
          ++right;
        } catch (const status_error &) {
        }
      });
  }
  CHECK_EQ(right.load(), 4);
  CHECK_EQ(heard.list.size(), 1u);
  g_broken = 0;
}

// A verdict lasts as long as the library, and is nobody else's.
void verdicts_belong_to_the_library() {
  const auto library = planted_library();
  g_broken = 1u << usable()[0];
  {
    const auto d = device::open(library, 0, {.threads = 1});
    notices heard(*d);
    d->ensure_tested(GK_OP_SILU_MUL);
    CHECK_EQ(heard.list.size(), 1u);
  }
  g_broken = 0;
  const auto again = device::open(library, 0, {.threads = 1});
  notices heard_again(*again);
  CHECK(again->implementations(GK_OP_SILU_MUL)[usable()[0]].disabled);
  CHECK_EQ(heard_again.list.size(), 1u);
  // The same table, loaded anew.
  const auto other = device::open(planted_library(), 0, {.threads = 1});
  notices heard_other(*other);
  CHECK(!other->implementations(GK_OP_SILU_MUL)[usable()[0]].disabled);
  CHECK(heard_other.list.empty());
}

void no_memory_is_no_verdict() {
  const auto d = device::open(planted_library(), 0, {.threads = 1});
  notices heard(*d);
  g_no_memory = true;
  CHECK(contains(refusal([&] { d->ensure_tested(GK_OP_SILU_MUL); }), "30 planted: buffer of "));
  g_no_memory = false;
  g_no_scratch = true;
  CHECK(contains(refusal([&] { d->ensure_tested(GK_OP_SILU_MUL); }), "30 self-test of silu_mul: planted: no scratch"));
  g_no_scratch = false;
  stream s(d);
  CHECK_EQ(run(s, silu(), some_case(GK_OP_SILU_MUL, "f32")), "");
  CHECK(heard.list.empty());
}

// A backend that supports nothing: every op of the project through copies.
void everything_falls_back() {
  g_refuse_all = true;
  const auto d = device::open(planted_library(), 0, {.threads = 1});
  notices heard(*d);
  stream s(d);
  size_t ops = 0;
  for (const op_spec *spec : all_ops()) {
    uint64_t ran = 0;
    for (const op_case &test : cases_of(spec->op)) {
      // The in-place cases are not among the known answers.
      const bool chosen = (test.uses & use_selftest) != 0 || test.name.find("=") != std::string::npos;
      if (!chosen || (test.uses & (use_selftest | use_conformance)) == 0 || ran >= 40) continue;
      if (const std::string fault = run(s, *spec, test); fault != "") CHECK_EQ(test.name + ": " + fault, "");
      ++ran;
    }
    if (ran == 0) continue;
    ++ops;
    CHECK(d->fallbacks().size() == ops && d->fallbacks().back() == std::pair(spec->op, ran));
    CHECK(heard.list.size() == ops && heard.list.back() == std::string("planted:0 does not run ") + spec->name +
                                                               " (planted: not supported); it runs on the host CPU "
                                                               "through copies");
    CHECK(contains(refusal([&] { run(s, *spec, cases_of(spec->op)[0], 1); }), "20 planted:0: planted: not supported"));
  }
  CHECK(ops >= 8);
  g_refuse_all = false;
}

void operands_are_checked() {
  const auto d = device::open(planted_library(), 0, {.threads = 1});
  stream s(d);
  buffer memory(*d, 4 * 10 * 4);
  gk_silu_mul p{};
  p.struct_size = sizeof p;
  p.type = GK_F32;
  p.rows = 4, p.columns = 8, p.ld_gate = p.ld_up = p.ldo = 10;
  p.gate = p.up = p.out = memory.at();
  s.run(GK_OP_SILU_MUL, &p);
  p.up = memory.at(8);
  s.run(GK_OP_SILU_MUL, &p);
  p.up = memory.at(12);
  CHECK_EQ(refusal([&] { s.run(GK_OP_SILU_MUL, &p); }),
           "10 planted:0: silu_mul: operand up needs bytes [12, 164) of a buffer of 160");
  p.up = memory.at(2);
  CHECK_EQ(refusal([&] { s.run(GK_OP_SILU_MUL, &p); }),
           "10 planted:0: silu_mul: operand up at offset 2 is not aligned to its element size 4");
  p.up = {};
  CHECK_EQ(refusal([&] { s.run(GK_OP_SILU_MUL, &p); }),
           "10 planted:0: silu_mul: operand up is absent; expected a buffer");
  p.up = memory.at();
  p.ld_up = 7;
  CHECK(contains(refusal([&] { s.run(GK_OP_SILU_MUL, &p); }), "10 planted:0: silu_mul: ld_up=7"));
}

void packing() {
  const auto d = device::open(planted_library(), 0, {.threads = 1});
  stream s(d);
  const float b[4] = {1, 2, 3, 4}, a[4] = {1, 0, 0, 1};
  buffer b_memory(*d, 16), a_memory(*d, 16), d_memory(*d, 16);
  s.write(b_memory, 0, b, 16);
  s.write(a_memory, 0, a, 16);
  gk_gemm_pack request{};
  request.struct_size = sizeof request;
  request.a_type = request.b_type = GK_F32;
  request.n = request.k = request.ldb = 2;
  request.b = b_memory.at();
  const buffer packed = s.pack(request);
  if (usable().size() < 2) return;  // a processor with the reference alone, which packs nothing
  if (!CHECK(bool(packed))) return;
  gk_gemm p{};
  p.struct_size = sizeof p;
  p.a_type = p.b_type = p.d_type = GK_F32;
  p.b_packed = 1;
  p.m = p.n = p.k = p.lda = p.ldd = 2;
  p.alpha = 1;
  p.a = a_memory.at(), p.b = packed.at(), p.d = d_memory.at();
  s.run(GK_OP_GEMM, &p);
  float got[4];
  s.read(d_memory, 0, got, 16);
  CHECK(got[0] == 1 && got[1] == 3 && got[2] == 2 && got[3] == 4);

  request.b = b_memory.at(4);
  CHECK(refusal([&] { s.pack(request); }).starts_with("10 planted:0: gemm_pack: "));
  // What is packed for a device cannot be run elsewhere.
  g_refuse_all = true;
  CHECK(contains(refusal([&] { s.run(GK_OP_GEMM, &p); }), "; B is packed for this device"));
  g_refuse_all = false;
}

void the_gate_and_the_lying_backend() {
  const std::string path = GONKA_BINARY_DIR "/Release/examples/gonka_lying_backend.so";
  for (const char *lie : {"tail", "accumulator"}) {
    setenv("GONKA_LIE", lie, 1);
    const auto d = device::open(load_plugin(path), 0, {});
    notices heard(*d);
    stream s(d);
    CHECK(contains(refusal([&] { run(s, *find_op(GK_OP_GEMM), some_case(GK_OP_GEMM, "f32*f32->f32")); }),
                   "34 lying:0: gemm: no implementation is left for this problem: default is disabled: case '"));
    CHECK_EQ(heard.list.size(), 1u);
    // What it never claimed still runs.
    CHECK_EQ(run(s, *find_op(GK_OP_GEMM), some_case(GK_OP_GEMM, "bf16*bf16")), "");
    CHECK_EQ(d->fallbacks().size(), 1u);
  }
  unsetenv("GONKA_LIE");
  const auto d = device::open(load_plugin(path), 0, {});
  stream s(d);
  CHECK_EQ(run(s, *find_op(GK_OP_GEMM), some_case(GK_OP_GEMM, "f32*f32->f32")), "");
}

}  // namespace

int main() {
  a_wrong_implementation_is_passed_over();
  a_device_without_a_right_one_is_an_error();
  tested_once_by_many_threads();
  verdicts_belong_to_the_library();
  no_memory_is_no_verdict();
  everything_falls_back();
  operands_are_checked();
  packing();
  the_gate_and_the_lying_backend();
  return check_summary();
}
