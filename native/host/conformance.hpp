// The conformance suite: does a device do what gonka_backend.h says?
//
// Every op x implementation x case, with each operand at an odd offset and at the start of its buffer, between guard
// bytes, outputs poisoned, inputs and gaps compared bitwise afterwards, twice with the same bits as the answer; then
// what only shows over many calls: stale results, two streams at once; and the number formats the device claims. The
// self-test gate is not in the way: every implementation is asked by name.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "device.hpp"
#include "gonka_backend.h"

namespace gonka {

enum class check_status { pass, fail, skip };

struct check_result {
  gk_op op;
  // As implementation_status::name; "automatic": the backend's own choice among those it lists; "device": all of it.
  std::string implementation;
  std::string name;  // the case, or the property: "8000 calls in a row"
  check_status status;
  std::string detail;  // why it failed or was skipped; a failure ends with the command that repeats just it
  bool measured = false;
  double aggregate_error = 0;  // sqrt(sum (got-want)^2 / sum want^2)
  double element_error = 0;    // largest elementwise error in units of its bound
};

struct conformance_options {
  std::optional<gk_op> op = {};     // all
  std::string implementation = {};  // by name; empty: all
  bool full = false;                // also the cases that are slow or large
  // Calls in a row per implementation, of its smallest case per number type, with changing data. One wrong result in
  // 1000 calls escapes 8000 with probability exp(-8).
  uint32_t calls_in_a_row = 8000;
  uint32_t calls_at_once = 200;                     // per thread, from two streams
  std::string command = "gonka-miner conformance";  // begins the command in failures; --op and so on are appended
};

struct conformance_summary {
  uint64_t passed = 0, failed = 0, skipped = 0;
  bool cancelled = false;
  // A run in which nothing was tested proves nothing.
  bool conforms() const { return failed == 0 && passed > 0 && !cancelled; }
};

// Runs the suite on a device. sink is called in the calling thread with each result as it comes; cancel (may be null)
// is looked at between calls of the backend. Cases that no implementation accepts are reported as skipped with the
// reason; an implementation that accepts none at all is one skip. Throws status_error if the device cannot be used at
// all: no stream, or an implementation that is not there.
conformance_summary run_conformance(device &d, const conformance_options &options,
                                    const std::function<void(const check_result &)> &sink,
                                    const std::atomic<bool> *cancel);

}  // namespace gonka
