#include "case_run.hpp"

#include <cstdio>

#include "status.hpp"

namespace gonka {
namespace {

// Packs the gemm's B on the device and makes the problem use it. The buffer lives in *packed.
gk_status pack(const gk_backend &table, gk_stream *stream, gk_gemm &p, uint32_t implementation, raw_buffer *packed,
               gk_error *err) {
  if (table.gemm_pack == nullptr) return fail(err, GK_UNSUPPORTED, "the backend has no gemm_pack");
  gk_gemm_pack request{};
  request.struct_size = sizeof request;
  request.implementation = implementation;
  request.a_type = p.a_type, request.b_type = p.b_type;
  request.epilogue = p.epilogue;
  request.n = p.n, request.k = p.k, request.ldb = p.ldb;
  request.b = p.b, request.b2 = p.b2;
  gk_buffer *buffer = nullptr;
  const gk_status status = table.gemm_pack(stream, &request, &buffer, err);
  if (status != GK_OK) return status;
  if (buffer == nullptr) return fail(err, GK_INTERNAL, "gemm_pack returned GK_OK without a buffer");
  packed->reset(buffer);
  p.b = {buffer, 0};
  p.b2 = {};
  p.b_packed = 1;
  return GK_OK;
}

std::string describe(const op_case &test, const comparison &c) {
  char text[400];
  std::snprintf(text, sizeof text,
                "%s[%lld] is %.9g, expected %.9g: %.3g times its bound; aggregate error %.3g, limit %.3g (seed %llu)",
                c.operand, static_cast<long long>(c.worst_index), c.got, c.want, c.worst, c.aggregate,
                c.aggregate_limit, static_cast<unsigned long long>(test.seed));
  return text;
}

}  // namespace

case_outcome run_case(const gk_backend &table, gk_device *device, gk_stream *stream, const op_spec &spec,
                      const op_case &test, const case_variant &variant) {
  case_outcome outcome;
  if (test.abi_minor > table.abi_minor) {
    outcome.dry_run = outcome.status = GK_UNSUPPORTED;
    outcome.message = "the backend was built before the header's version " + std::to_string(GK_ABI_MAJOR) + "." +
                      std::to_string(test.abi_minor);
    return outcome;
  }
  error_report err;
  built_case problem = test.build(test);
  placed_case placed(table, device, stream, problem,
                     {.lead_elements = variant.lead_elements, .trail_bytes = k_trail_bytes});
  const operand_bytes initial = poisoned(problem, variant.poison);
  placed.upload(initial);

  raw_buffer packed(nullptr, {table.buffer_free});
  if (variant.packed) {
    auto &p = *static_cast<gk_gemm *>(problem.problem.get());
    outcome.status = pack(table, stream, p, variant.implementation, &packed, &err);
    if (outcome.status != GK_OK) {
      outcome.dry_run = outcome.status;
      outcome.message = err.text(outcome.status);
      return outcome;
    }
  }
  outcome.dry_run = placed.run(spec.op, variant.implementation, true, &err);
  if (outcome.dry_run != GK_OK) outcome.message = err.text(outcome.dry_run);
  outcome.status = placed.run(spec.op, variant.implementation, false, &err);
  if (outcome.status != GK_OK && outcome.dry_run == GK_OK) outcome.message = err.text(outcome.status);
  // A lost device cannot be asked what it did to its memory.
  if (outcome.status == GK_DEVICE_LOST) return outcome;

  operand_bytes after;
  if (const char *operand = placed.download(after); operand != nullptr) {
    outcome.damage = std::string("wrote outside operand ") + operand;
  } else {
    uint64_t at = 0;
    // Where the call failed, what the op may write is undefined; the rest must still be as it was.
    if (const int i = first_illegal_write(problem, initial, after, &at); i >= 0)
      outcome.damage = "changed byte " + std::to_string(at) + " of operand " + problem.operands[size_t(i)].name +
                       ", which is not its to write";
  }
  if (outcome.status != GK_OK) return outcome;
  outcome.operands = std::move(after);
  if (problem.host_result != nullptr) outcome.host_result = problem.host_result(problem.problem.get());
  return outcome;
}

expected_result::expected_result(const op_spec &spec, const op_case &test)
    : problem(test.build(test)), operands(reference_result(spec, problem, poisoned(problem, k_poison))) {
  if (problem.host_result != nullptr) host_result = problem.host_result(problem.problem.get());
}

std::string find_fault(const op_case &test, const case_outcome &outcome, const expected_result &want,
                       comparison *measures) {
  if (!outcome.damage.empty()) return outcome.damage;
  if (outcome.dry_run != outcome.status)
    return std::string("the dry run answered ") + status_name(outcome.dry_run) + ", the call " +
           status_name(outcome.status) + ": " + outcome.message;
  if (outcome.status != GK_OK) return std::string(status_name(outcome.status)) + ": " + outcome.message;
  *measures = test.compare(test, want.problem, outcome.operands, want.operands);
  if (!measures->passed()) return describe(test, *measures);
  if (outcome.host_result != want.host_result) {
    size_t at = 0;
    const size_t common = std::min(outcome.host_result.size(), want.host_result.size());
    while (at < common && outcome.host_result[at] == want.host_result[at]) ++at;
    return "the result in host memory differs from the reference's at byte " + std::to_string(at) + " (" +
           std::to_string(outcome.host_result.size()) + " bytes, expected " + std::to_string(want.host_result.size()) +
           "; seed " + std::to_string(test.seed) + ")";
  }
  return {};
}

}  // namespace gonka
