// One run of the conformance suite; shared by the files that make it up.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "case_run.hpp"
#include "cases.hpp"
#include "conformance.hpp"
#include "selftest.hpp"

namespace gonka {

class conformance_run {
 public:
  conformance_run(device &d, const conformance_options &options, const std::function<void(const check_result &)> &sink,
                  const std::atomic<bool> *cancel)
      : table(*d.library().table),
        device_handle(d.handle()),
        info(d.info()),
        options(options),
        sink_(sink),
        cancel_(cancel) {}

  bool cancelled() {
    if (cancel_ != nullptr && cancel_->load(std::memory_order_relaxed)) summary.cancelled = true;
    return summary.cancelled;
  }
  void pass(const op_spec &spec, const std::string &implementation, const std::string &name,
            const comparison *measures = nullptr);
  void skip(const op_spec &spec, const std::string &implementation, const std::string &name, const std::string &reason);
  // reason with values; the command that repeats the test is added.
  void fail(const op_spec &spec, const std::string &implementation, const std::string &name, const std::string &reason,
            const comparison *measures = nullptr);

  const gk_backend &table;
  gk_device *const device_handle;
  const gk_device_info &info;
  const conformance_options &options;
  conformance_summary summary;

 private:
  void emit(check_result result, const comparison *measures);
  const std::function<void(const check_result &)> &sink_;
  const std::atomic<bool> *cancel_;
};

// A case and the bits that an implementation answers it with, judged against the reference.
struct known_variant {
  op_case test;
  uint64_t lead_elements;  // see placement
  case_outcome outcome;
};

using known_variants = std::vector<known_variant>;

// The work of a problem in instructions of a plain implementation, roughly.
double plain_operations(const op_spec &spec, const built_case &problem);

// test with several seeds through one implementation, operands lead_elements behind an aligned place. *fault receives
// why one of them is wrong.
known_variants run_variants(conformance_run &run, const op_spec &spec, const tested_implementation &t,
                            const op_case &test, uint64_t lead_elements, std::string *fault);

// What only shows over many calls. Each of cases is one case with changing data.
void check_calls_in_a_row(conformance_run &run, const op_spec &spec, const tested_implementation &t,
                          const std::vector<known_variants> &cases);
void check_streams_at_once(conformance_run &run, const op_spec &spec, const tested_implementation &t,
                           const std::vector<known_variants> &cases);

// Number formats and accumulators that device_info claims, against what gemm does.
void check_formats(conformance_run &run, const std::vector<tested_implementation> &implementations);

// Rules of the header that belong to no op: unknown ops and implementations, absent error structs.
void check_boundary(conformance_run &run, const std::vector<tested_implementation> &implementations);

}  // namespace gonka
