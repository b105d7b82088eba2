#include "conformance.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include "case_run.hpp"
#include "conformance_run.hpp"
#include "status.hpp"

namespace gonka {
namespace {

constexpr const char *k_automatic = "automatic";

struct passed_case {
  const op_case *test;
  double cost;                  // of calling it: bytes and operations
  std::vector<uint32_t> types;  // of its operands
  uint64_t lead_elements;       // at which it was accepted
};

// How one implementation fares with the cases of one op.
struct progress {
  bool accepted_any = false;
  // Skips wait until the implementation is known to accept anything: if it never does, one line says it all.
  std::vector<std::pair<std::string, std::string>> skips;
  std::vector<passed_case> passed;
};

size_t size_of(const built_case &problem) {
  size_t total = 0;
  for (const auto &data : problem.data) total += data.size();
  return total;
}

class op_suite {
 public:
  op_suite(conformance_run &run, const op_spec &spec, std::vector<tested_implementation> implementations)
      : run_(run),
        spec_(spec),
        implementations_(std::move(implementations)),
        stream_(open_stream(run.table, run.device_handle)),
        plain_(implementations_.size()),
        packed_(implementations_.size()) {}

  void all() {
    const uint32_t uses = use_selftest | use_conformance | (run_.options.full ? uint32_t(use_full) : 0);
    const bool packs = spec_.op == GK_OP_GEMM && run_.table.gemm_pack != nullptr;
    for (const op_case &test : cases_of(spec_.op)) {
      if ((test.uses & uses) == 0) continue;
      want_.reset();
      right_.clear();
      for (size_t i = 0; i < implementations_.size() && !run_.cancelled(); ++i) {
        one(test, i, false, plain_[i]);
        if (packs) one(test, i, true, packed_[i]);
      }
    }
    for (size_t i = 0; i < implementations_.size(); ++i) {
      flush_skips(plain_[i], i, "all cases");
      if (packs) flush_skips(packed_[i], i, "all cases, packed");
    }
    for (size_t i = 0; i < implementations_.size(); ++i) many_calls(i);
  }

 private:
  const expected_result &want(const op_case &test) {
    if (!want_) want_.emplace(spec_, test);
    return *want_;
  }

  void one(const op_case &test, size_t i, bool packed, progress &p) {
    const tested_implementation &t = implementations_[i];
    const std::string name = test.name + (packed ? ", packed" : "");
    try {
      comparison measures;
      const std::string fault = find_any_fault(test, t.index, packed, p, &measures);
      if (fault.empty())
        run_.pass(spec_, t.name, name, &measures);
      else if (fault != k_skipped)
        run_.fail(spec_, t.name, name, fault, &measures);
    } catch (const status_error &e) {
      run_.fail(spec_, t.name, name, e.what());
      if (e.status == GK_DEVICE_LOST) throw;
    }
  }

  // Empty if all is well; k_skipped if the implementation accepts the case in neither place.
  std::string find_any_fault(const op_case &test, uint32_t implementation, bool packed, progress &p,
                             comparison *measures) {
    case_variant variant{.implementation = implementation, .packed = packed};
    std::optional<uint64_t> accepted_lead;
    std::string reason;
    for (const uint64_t lead : {1, 0}) {
      variant.lead_elements = lead;
      variant.poison = k_poison;
      const case_outcome first = run_case(run_.table, run_.device_handle, stream_.get(), spec_, test, variant);
      if (first.dry_run == GK_UNSUPPORTED && first.status == GK_UNSUPPORTED && first.damage.empty()) {
        reason = first.message;
        continue;
      }
      const std::string where = lead == 0 ? "" : "operands at odd offsets: ";
      if (const std::string fault = judged(test, first, measures); !fault.empty()) return where + fault;
      if (accepted_lead) continue;
      accepted_lead = lead;
      variant.poison = k_other_poison;
      const case_outcome second = run_case(run_.table, run_.device_handle, stream_.get(), spec_, test, variant);
      if (second.status != GK_OK) return "the second of two equal calls: " + second.message;
      if (const std::string fault = find_difference(first, second); !fault.empty()) return fault;
    }
    if (!accepted_lead) {
      p.skips.emplace_back(test.name + (packed ? ", packed" : ""), reason);
      return k_skipped;
    }
    p.accepted_any = true;
    passed_case done{
        &test, double(size_of(want(test).problem)) + plain_operations(spec_, want(test).problem), {}, *accepted_lead};
    for (size_t i = 0; i < want(test).problem.operands.size(); ++i)
      done.types.push_back(want(test).problem.present[i] ? want(test).problem.operands[i].dtype : 0);
    p.passed.push_back(std::move(done));
    return {};
  }

  // For every combination of number types the smallest case whose result changes with its data: an empty problem, or
  // sums of nothing, would hide stale bits.
  void many_calls(size_t i) {
    const tested_implementation &t = implementations_[i];
    std::vector<passed_case> candidates = plain_[i].passed;
    if (candidates.empty()) return;
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const passed_case &a, const passed_case &b) { return a.cost < b.cost; });
    try {
      std::vector<known_variants> chosen;
      std::vector<std::vector<uint32_t>> covered;
      for (const passed_case &c : candidates) {
        if (run_.cancelled()) return;
        if (std::find(covered.begin(), covered.end(), c.types) != covered.end()) continue;
        std::string fault;
        known_variants variants = run_variants(run_, spec_, t, *c.test, c.lead_elements, &fault);
        if (!fault.empty()) return run_.fail(spec_, t.name, c.test->name + ", other data", fault);
        if (!all_different(variants)) continue;
        covered.push_back(c.types);
        chosen.push_back(std::move(variants));
      }
      if (chosen.empty())
        return run_.skip(spec_, t.name, "many calls", "no case has results that change with its data");
      check_calls_in_a_row(run_, spec_, t, chosen);
      if (!run_.cancelled()) check_streams_at_once(run_, spec_, t, chosen);
    } catch (const status_error &e) {
      run_.fail(spec_, t.name, "many calls", e.what());
      if (e.status == GK_DEVICE_LOST) throw;
    }
  }

  static bool all_different(const known_variants &variants) {
    const built_case problem = variants[0].test.build(variants[0].test);
    for (size_t a = 0; a < variants.size(); ++a)
      for (size_t b = 0; b < a; ++b) {
        bool same = variants[a].outcome.host_result == variants[b].outcome.host_result;
        for (size_t i = 0; i < problem.operands.size(); ++i)
          if (problem.operands[i].mode != access::in)
            same = same && variants[a].outcome.operands[i] == variants[b].outcome.operands[i];
        if (same) return false;
      }
    return true;
  }

  // find_fault, unless the very same bits have been found right before: comparing costs more than computing.
  std::string judged(const op_case &test, const case_outcome &outcome, comparison *measures) {
    const bool ran = outcome.damage.empty() && outcome.dry_run == GK_OK && outcome.status == GK_OK;
    for (const right_answer &right : right_)
      if (ran && right.operands == outcome.operands && right.host_result == outcome.host_result) {
        *measures = right.measures;
        return {};
      }
    std::string fault = find_fault(test, outcome, want(test), measures);
    if (fault.empty()) right_.push_back({outcome.operands, outcome.host_result, *measures});
    return fault;
  }

  // Bits that differ between two calls of one problem; gaps hold the case's own bytes in both.
  std::string find_difference(const case_outcome &first, const case_outcome &second) {
    const built_case &problem = want_->problem;
    for (size_t i = 0; i < first.operands.size(); ++i)
      for (size_t at = 0; at < first.operands[i].size(); ++at)
        if (first.operands[i][at] != second.operands[i][at])
          return "two equal calls differ at byte " + std::to_string(at) + " of operand " + problem.operands[i].name +
                 "; the outputs held other bytes before";
    if (first.host_result != second.host_result) return "two equal calls differ in their result in host memory";
    return {};
  }

  void flush_skips(progress &p, size_t i, const char *all) {
    const std::string &name = implementations_[i].name;
    if (p.accepted_any)
      for (const auto &[test, reason] : p.skips) run_.skip(spec_, name, test, reason);
    else if (!p.skips.empty())
      run_.skip(spec_, name, all, p.skips.back().second);
  }

  inline static const std::string k_skipped = "skipped";

  conformance_run &run_;
  const op_spec &spec_;
  const std::vector<tested_implementation> implementations_;
  const raw_stream stream_;
  std::vector<progress> plain_, packed_;
  // Of the current case.
  std::optional<expected_result> want_;
  struct right_answer {
    operand_bytes operands;
    std::vector<std::byte> host_result;
    comparison measures;
  };
  std::vector<right_answer> right_;
};

}  // namespace

void conformance_run::emit(check_result result, const comparison *measures) {
  if (measures != nullptr && measures->worst_index >= 0) {
    result.measured = true;
    result.aggregate_error = measures->aggregate;
    result.element_error = measures->worst;
  }
  sink_(result);
}

void conformance_run::pass(const op_spec &spec, const std::string &implementation, const std::string &name,
                           const comparison *measures) {
  ++summary.passed;
  emit({.op = spec.op, .implementation = implementation, .name = name, .status = check_status::pass, .detail = {}},
       measures);
}

void conformance_run::skip(const op_spec &spec, const std::string &implementation, const std::string &name,
                           const std::string &reason) {
  ++summary.skipped;
  emit({.op = spec.op, .implementation = implementation, .name = name, .status = check_status::skip, .detail = reason},
       nullptr);
}

void conformance_run::fail(const op_spec &spec, const std::string &implementation, const std::string &name,
                           const std::string &reason, const comparison *measures) {
  ++summary.failed;
  std::string command = options.command + " --op " + spec.name;
  if (implementation != "device") command += " --implementation " + implementation;
  if (options.full) command += " --full";
  emit({.op = spec.op,
        .implementation = implementation,
        .name = name,
        .status = check_status::fail,
        .detail = reason + "; again: " + command},
       measures);
}

conformance_summary run_conformance(device &d, const conformance_options &options,
                                    const std::function<void(const check_result &)> &sink,
                                    const std::atomic<bool> *cancel) {
  conformance_run run(d, options, sink, cancel);
  bool found = false;
  for (const op_spec *spec : all_ops()) {
    if (options.op && spec->op != *options.op) continue;
    std::vector<tested_implementation> list = list_implementations(run.table, run.device_handle, spec->op);
    const std::vector<tested_implementation> all = list;
    // Where there are several, the backend's own choice among them is one more thing to get wrong.
    if (list.front().index != 0) list.push_back({.index = 0, .name = k_automatic, .reason = {}});
    if (!options.implementation.empty())
      std::erase_if(list, [&](const tested_implementation &t) { return t.name != options.implementation; });
    found = found || !list.empty();
    if (!list.empty() && !run.cancelled()) op_suite(run, *spec, list).all();
    if (spec->op == GK_OP_GEMM && !run.cancelled()) {
      check_formats(run, list);
      if (options.implementation.empty()) check_boundary(run, all);
    }
  }
  if (!found)
    throw status_error(GK_INVALID_ARGUMENT, d.id() + ": no implementation is called '" + options.implementation + "'");
  return run.summary;
}

}  // namespace gonka
