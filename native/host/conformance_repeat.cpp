// What only shows over many calls: results that are stale once in a while, and streams that get in each other's way.
#include <algorithm>
#include <latch>
#include <memory>
#include <string_view>
#include <thread>

#include "case_run.hpp"
#include "conformance_run.hpp"
#include "status.hpp"

namespace gonka {
namespace {

// Different data of the same shape: whatever a wrong call returns, it is not the answer to this one.
constexpr size_t k_variants = 7;

op_case with_other_seed(const op_case &test, size_t variant) {
  op_case other = test;
  other.seed = test.seed + variant * 0x9e3779b97f4a7c15;
  return other;
}

// One case in device memory, ready to be called again and again.
class repeated_case {
 public:
  repeated_case(conformance_run &run, gk_stream *stream, const op_spec &spec, uint32_t implementation,
                const known_variant &known)
      : run_(run),
        stream_(stream),
        spec_(spec),
        implementation_(implementation),
        lead_elements_(known.lead_elements),
        test_(known.test) {
    place();
  }

  // Calls once. Empty, or how the result differs from the bits in want.
  std::string call(const case_outcome &want) {
    // Results in host memory are not poisoned, so they are made afresh.
    if (problem_->host_result != nullptr) place();
    placed_->upload(initial_);
    error_report err;
    const gk_status status = placed_->run(spec_.op, implementation_, false, &err);
    if (status != GK_OK) return std::string(status_name(status)) + ": " + err.text(status);
    operand_bytes got;
    if (const char *operand = placed_->download(got)) return std::string("wrote outside operand ") + operand;
    for (size_t i = 0; i < got.size(); ++i)
      if (got[i] != want.operands[i]) {
        const auto at = std::mismatch(got[i].begin(), got[i].end(), want.operands[i].begin()).first - got[i].begin();
        return "operand " + std::string(problem_->operands[i].name) + " differs from the same call before, from byte " +
               std::to_string(at) + " on (case '" + test_.name + "', seed " + std::to_string(test_.seed) + ")";
      }
    if (problem_->host_result != nullptr && problem_->host_result(problem_->problem.get()) != want.host_result)
      return "the result in host memory differs from the same call before (case '" + test_.name + "', seed " +
             std::to_string(test_.seed) + ")";
    return {};
  }

 private:
  void place() {
    placed_.reset();
    problem_ = std::make_unique<built_case>(test_.build(test_));
    placed_ = std::make_unique<placed_case>(run_.table, run_.device_handle, stream_, *problem_,
                                            placement{.lead_elements = lead_elements_, .trail_bytes = k_trail_bytes});
    initial_ = poisoned(*problem_, k_poison);
  }

  conformance_run &run_;
  gk_stream *stream_;
  const op_spec &spec_;
  const uint32_t implementation_;
  const uint64_t lead_elements_;
  const op_case test_;
  std::unique_ptr<built_case> problem_;
  std::unique_ptr<placed_case> placed_;
  operand_bytes initial_;
};

// Calls cases in a random order, mostly the same one several times in a row: what is left over from the call before
// has the right shape then.
class call_sequence {
 public:
  call_sequence(conformance_run &run, const op_spec &spec, uint32_t implementation,
                const std::vector<known_variants> &known, uint64_t seed)
      : stream_(open_stream(run.table, run.device_handle)), known_(known), random_(seed), cases_(known.size()) {
    for (size_t c = 0; c < known.size(); ++c)
      for (const known_variant &v : known[c])
        cases_[c].push_back(std::make_unique<repeated_case>(run, stream_.get(), spec, implementation, v));
  }

  std::string next() {
    if (random(8) == 0) case_ = random(cases_.size());
    const size_t variant = random(cases_[case_].size());
    std::string fault = cases_[case_][variant]->call(known_[case_][variant].outcome);
    if (!fault.empty()) fault = "call " + std::to_string(calls_) + ": " + fault;
    ++calls_;
    return fault;
  }

 private:
  size_t random(size_t below) {  // xorshift64*, Marsaglia 2003, Vigna 2016
    random_ ^= random_ >> 12, random_ ^= random_ << 25, random_ ^= random_ >> 27;
    return size_t((random_ * 0x2545f4914f6cdd1d) >> 33) % below;
  }

  const raw_stream stream_;
  const std::vector<known_variants> &known_;
  uint64_t random_;
  std::vector<std::vector<std::unique_ptr<repeated_case>>> cases_;
  size_t case_ = 0;
  uint32_t calls_ = 0;
};

}  // namespace

double plain_operations(const op_spec &spec, const built_case &problem) {
  const std::string_view unit = spec.operation_unit;
  // A double SHA-256 is about 3000 instructions, a normal about 100.
  const double each = unit == "hash" ? 3000 : unit == "value" ? 100 : 1;
  return each * spec.count(problem.problem.get()).operations;
}

known_variants run_variants(conformance_run &run, const op_spec &spec, const tested_implementation &t,
                            const op_case &test, uint64_t lead_elements, std::string *fault) {
  const raw_stream stream = open_stream(run.table, run.device_handle);
  known_variants variants;
  for (size_t i = 0; i < k_variants && fault->empty(); ++i) {
    known_variant v{with_other_seed(test, i), lead_elements, {}};
    v.outcome = run_case(run.table, run.device_handle, stream.get(), spec, v.test,
                         {.implementation = t.index, .lead_elements = lead_elements});
    comparison measures;
    *fault = find_fault(v.test, v.outcome, expected_result(spec, v.test), &measures);
    variants.push_back(std::move(v));
  }
  return variants;
}

void check_calls_in_a_row(conformance_run &run, const op_spec &spec, const tested_implementation &t,
                          const std::vector<known_variants> &cases) {
  double operations = 1;
  for (const known_variants &variants : cases)
    operations += plain_operations(spec, variants[0].test.build(variants[0].test)) / double(cases.size());
  // Fewer where one call is long, and still certain to meet what happens every thousandth time.
  const uint32_t least = std::min(run.options.calls_in_a_row, 2000u);
  const uint32_t calls = uint32_t(std::clamp(2e9 / operations, double(least), double(run.options.calls_in_a_row)));
  const std::string name = std::to_string(calls) + " calls in a row";
  call_sequence sequence(run, spec, t.index, cases, 0x726f7700000001);
  for (uint32_t call = 0; call < calls; ++call) {
    if (run.cancelled()) return;
    if (const std::string fault = sequence.next(); !fault.empty()) return run.fail(spec, t.name, name, fault);
  }
  run.pass(spec, t.name, name);
}

void check_streams_at_once(conformance_run &run, const op_spec &spec, const tested_implementation &t,
                           const std::vector<known_variants> &cases) {
  const std::string name = "two streams at once";
  constexpr size_t k_streams = 2;
  std::string faults[k_streams];
  std::vector<std::unique_ptr<call_sequence>> sequences;
  for (size_t s = 0; s < k_streams; ++s)
    sequences.push_back(std::make_unique<call_sequence>(run, spec, t.index, cases, 0x61746f6e636501 + s));
  {
    std::latch start(k_streams);
    std::vector<std::jthread> threads;
    for (size_t s = 0; s < k_streams; ++s)
      threads.emplace_back([&, s] {
        start.arrive_and_wait();
        try {
          for (uint32_t call = 0; call < run.options.calls_at_once && faults[s].empty(); ++call)
            faults[s] = sequences[s]->next();
        } catch (const std::exception &e) {
          faults[s] = e.what();
        }
      });
  }
  for (size_t s = 0; s < k_streams; ++s)
    if (!faults[s].empty()) return run.fail(spec, t.name, name, "stream " + std::to_string(s) + ": " + faults[s]);
  run.pass(spec, t.name, name);
}

}  // namespace gonka
