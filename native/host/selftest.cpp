#include "selftest.hpp"

#include <cstdio>

#include "cases.hpp"
#include "placed_case.hpp"
#include "status.hpp"

namespace gonka {
namespace {

// Statuses that are about the device as a whole, not about the implementation under test.
bool says_nothing_about_implementation(gk_status status) {
  return status == GK_OUT_OF_MEMORY || status == GK_DEVICE_LOST || status == GK_CANCELLED;
}

std::string describe(const op_case &test, const comparison &c) {
  char text[400];
  std::snprintf(text, sizeof text,
                "case '%s' (seed %llu): %s[%lld] is %.9g, expected %.9g (%.3g times the bound; aggregate error %.3g, "
                "limit %.3g)",
                test.name.c_str(), static_cast<unsigned long long>(test.seed), c.operand,
                static_cast<long long>(c.worst_index), c.got, c.want, c.worst, c.aggregate, c.aggregate_limit);
  return text;
}

class gate {
 public:
  gate(const gk_backend &table, gk_device *device, const op_spec &spec)
      : table_(table), device_(device), spec_(spec), stream_(open_stream(table, device)) {}

  // Updates t with the outcome of one case.
  void run(const op_case &test, tested_implementation &t) {
    built_case want_case = test.build(test);
    built_case got_case = test.build(test);
    const operand_bytes initial = poisoned(got_case);
    placed_case placed(table_, device_, stream_.get(), got_case, {.lead_elements = 1, .trail_bytes = 64});

    error_report err;
    gk_status status = placed.run(spec_.op, t.index, true, &err);
    if (status == GK_UNSUPPORTED) {
      ++t.rejected;
      t.reason = err.text(status);
      return;
    }
    operand_bytes got;
    const char *damaged = nullptr;
    if (status == GK_OK) {
      placed.upload(initial);
      status = placed.run(spec_.op, t.index, false, &err);
    }
    if (status != GK_OK) {
      if (says_nothing_about_implementation(status)) check(status, err, std::string("self-test of ") + spec_.name);
      return disable(t, "case '" + test.name + "': " + err.text(status));
    }
    damaged = placed.download(got);
    const operand_bytes want = reference_result(spec_, want_case, initial);
    uint64_t at = 0;
    if (damaged != nullptr)
      return disable(t, "case '" + test.name + "': wrote outside operand " + std::string(damaged));
    if (const int i = first_illegal_write(got_case, initial, got, &at); i >= 0)
      return disable(t, "case '" + test.name + "': changed byte " + std::to_string(at) + " of operand " +
                            got_case.operands[size_t(i)].name + ", which is not its to write");
    if (const comparison c = test.compare(test, want_case, got, want); !c.passed())
      return disable(t, describe(test, c));
    if (got_case.host_result != nullptr &&
        got_case.host_result(got_case.problem.get()) != want_case.host_result(want_case.problem.get()))
      return disable(t, "case '" + test.name + "': host results differ from the reference's");
    ++t.passed;
  }

 private:
  static void disable(tested_implementation &t, std::string reason) {
    t.disabled = true;
    t.reason = std::move(reason);
  }

  const gk_backend &table_;
  gk_device *device_;
  const op_spec &spec_;
  raw_stream stream_;
};

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
  gate g(table, device, spec);
  for (tested_implementation &t : list)
    for (const op_case &test : cases_of(spec.op))
      if ((test.uses & use_selftest) != 0 && !t.disabled) g.run(test, t);
  return list;
}

}  // namespace gonka
