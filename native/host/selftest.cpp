#include "selftest.hpp"

#include "case_run.hpp"
#include "cases.hpp"
#include "status.hpp"

namespace gonka {
namespace {

// Statuses that are about the device as a whole, not about the implementation under test.
bool says_nothing_about_implementation(gk_status status) {
  return status == GK_OUT_OF_MEMORY || status == GK_DEVICE_LOST || status == GK_CANCELLED;
}

// Updates t with the outcome of one case.
void run_known_answer(const gk_backend &table, gk_device *device, gk_stream *stream, const op_spec &spec,
                      const op_case &test, const expected_result &want, bool packed, tested_implementation &t) {
  const case_outcome outcome =
      run_case(table, device, stream, spec, test, {.implementation = t.index, .lead_elements = 1, .packed = packed});
  if (says_nothing_about_implementation(outcome.status))
    throw status_error(outcome.status, std::string("self-test of ") + spec.name + ": " + outcome.message);
  if (outcome.dry_run == GK_UNSUPPORTED && outcome.status == GK_UNSUPPORTED && outcome.damage.empty()) {
    ++t.rejected;
    if (t.passed == 0) t.reason = outcome.message;
    return;
  }
  comparison measures;
  const std::string fault = find_fault(test, outcome, want, &measures);
  if (fault.empty()) {
    ++t.passed;
    t.reason.clear();
    return;
  }
  t.disabled = true;
  t.reason = "case '" + test.name + (packed ? "', packed: " : "': ") + fault;
}

}  // namespace

std::vector<tested_implementation> list_implementations(const gk_backend &table, gk_device *device, gk_op op) {
  std::vector<tested_implementation> list;
  constexpr uint32_t k_most = 1000;  // a backend that never returns NULL must not hang the host
  if (table.implementation != nullptr)
    for (uint32_t i = 0; i < k_most; ++i) {
      const char *name = table.implementation(device, op, i);
      if (name == nullptr) break;
      list.push_back({.index = i + 1, .name = name, .reason = {}});
    }
  if (list.empty()) list.push_back({.name = "default", .reason = {}});
  return list;
}

std::vector<tested_implementation> self_test(const gk_backend &table, gk_device *device, const op_spec &spec) {
  std::vector<tested_implementation> list = list_implementations(table, device, spec.op);
  const raw_stream stream = open_stream(table, device);
  const bool packs = spec.op == GK_OP_GEMM && table.gemm_pack != nullptr;
  for (const op_case &test : cases_of(spec.op)) {
    if ((test.uses & use_selftest) == 0) continue;
    const expected_result want(spec, test);
    for (tested_implementation &t : list)
      for (const bool packed : {false, true})
        if (!t.disabled && (packs || !packed))
          run_known_answer(table, device, stream.get(), spec, test, want, packed, t);
  }
  return list;
}

}  // namespace gonka
