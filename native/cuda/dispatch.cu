// From an op and its problem to the implementation that runs it.
#include <algorithm>
#include <cstdio>

#include "backend_state.hpp"
#include "newer_fields.hpp"
#include "packed_gemm.hpp"

namespace gonka::cuda {
namespace {

// Why not, or null. operands is null in a dry run.
const char *refusal(const implementation &candidate, const void *problem, const capability &can,
                    const std::vector<void *> *operands) {
  if (const char *reason = candidate.reject(problem, can)) return reason;
  if (operands == nullptr || candidate.reject_places == nullptr) return nullptr;
  return candidate.reject_places(problem, *operands);
}

const implementation *pick(const op_spec &spec, const void *problem, const capability &can,
                           const std::vector<void *> *operands, gk_error *err) {
  const auto list = implementations(spec.op);
  const uint32_t wanted = static_cast<const problem_header *>(problem)->implementation;
  if (wanted > list.size()) {
    fail(err, GK_UNSUPPORTED, "%s: the cuda backend has no implementation %u", spec.name, wanted);
    return nullptr;
  }
  const char *reason = "no implementation";
  const implementation *capable = nullptr;
  for (size_t i = wanted == 0 ? 0 : wanted - 1; i < (wanted == 0 ? list.size() : wanted); ++i) {
    reason = refusal(list[i], problem, can, operands);
    if (reason == nullptr) {
      if (capable == nullptr) capable = &list[i];
      if (wanted != 0 || list[i].slower == nullptr || list[i].slower(problem, can) == nullptr) return &list[i];
      continue;
    }
    if (capable != nullptr) continue;
    fail(err, GK_UNSUPPORTED, "%s: %s: %s", spec.name, list[i].name, reason);
  }
  if (capable != nullptr) return capable;
  if (list.empty()) fail(err, GK_UNSUPPORTED, "%s: %s", spec.name, reason);
  return nullptr;
}

bool placed(const std::vector<operand> &operands) {
  return std::all_of(operands.begin(), operands.end(),
                     [](const operand &o) { return o.ref->buffer != nullptr || !o.required || o.extent_bytes() == 0; });
}

}  // namespace

gk_status run(gk_stream *stream, uint32_t op, void *problem, int dry_run, gk_error *err) {
  stream_state &s = state(stream);
  return guard(&s.device, err, [&]() -> gk_status {
    const op_spec *spec = find_op(op);
    if (spec == nullptr) return fail(err, GK_UNSUPPORTED, "cuda: unknown op %u", op);
    if (!knows_all_fields(*spec, problem))
      return fail(err, GK_UNSUPPORTED, "%s: unknown fields of a newer host are set", spec->name);
    if (const gk_status status = spec->validate(problem, err); status != GK_OK) return status;
    const capability &can = s.device.description.can;
    gk_gemm plain;
    if (op == GK_OP_GEMM && static_cast<const gk_gemm *>(problem)->b_packed != 0) {
      if (!unpacked(*static_cast<const gk_gemm *>(problem), &plain))
        return fail(err, GK_INVALID_ARGUMENT, "gemm: b is packed, and no pack of that size exists");
      problem = &plain;
    }
    const std::vector<operand> operands = spec->operands(problem);
    // A dry run may come without operands; where they are there, their alignment is part of the answer.
    if (dry_run != 0 && !placed(operands)) {
      return pick(*spec, problem, can, nullptr, err) == nullptr ? GK_UNSUPPORTED : GK_OK;
    }
    operand_places places;
    if (const gk_status status = place_operands("cuda", *spec, operands, memory_of, places, err); status != GK_OK)
      return status;
    const std::vector<void *> &pointers = places.pointers;
    const implementation *chosen = pick(*spec, problem, can, &pointers, err);
    if (chosen == nullptr) return GK_UNSUPPORTED;
    if (dry_run != 0) return GK_OK;
    try {
      runtime::make_current(s.ctx.stream());
      s.ctx.take_variant(s.device.tuned.variant_for(*spec, *chosen, problem, pointers, s.ctx));
      chosen->run(problem, pointers, s.ctx);
    } catch (const device_error &e) {
      // Part of the op may be recorded.
      if (s.ctx.records()) s.recording_failed = e.status;
      throw;
    }
    return GK_OK;
  });
}

uint32_t choice(gk_stream *stream, uint32_t op, void *problem) {
  stream_state &s = state(stream);
  uint32_t index = 0;
  guard(&s.device, nullptr, [&]() -> gk_status {
    const op_spec *spec = find_op(op);
    if (spec == nullptr || spec->validate(problem, nullptr) != GK_OK) return GK_UNSUPPORTED;
    gk_gemm plain;
    if (op == GK_OP_GEMM && static_cast<const gk_gemm *>(problem)->b_packed != 0) {
      if (!unpacked(*static_cast<const gk_gemm *>(problem), &plain)) return GK_UNSUPPORTED;
      problem = &plain;
    }
    const std::vector<operand> operands = spec->operands(problem);
    operand_places places;
    const bool there = placed(operands) && place_operands("cuda", *spec, operands, memory_of, places, nullptr) == GK_OK;
    const capability &can = s.device.description.can;
    const implementation *chosen = pick(*spec, problem, can, there ? &places.pointers : nullptr, nullptr);
    if (chosen != nullptr) index = uint32_t(chosen - implementations(op).data()) + 1;
    return GK_OK;
  });
  return index;
}

std::span<const implementation> implementations(uint32_t op) noexcept {
  switch (op) {
    case GK_OP_GEMM:
      return gemm_list();
    case GK_OP_ATTENTION:
      return attention_list();
    case GK_OP_MATMUL_POW:
      return matmul_pow_list();
    case GK_OP_SHA256_SEARCH:
      return sha256_search_list();
    case GK_OP_NORMAL_FILL:
      return normal_fill_list();
    case GK_OP_RMS_NORM:
      return rms_norm_list();
    case GK_OP_ROPE:
      return rope_list();
    case GK_OP_SILU_MUL:
      return silu_mul_list();
    case GK_OP_HOUSEHOLDER:
      return householder_list();
    case GK_OP_GATHER:
      return gather_list();
    case GK_OP_L2_NORMALIZE:
      return l2_normalize_list();
    case GK_OP_PERMUTED_DISTANCE:
      return permuted_distance_list();
    default:
      return {};
  }
}

}  // namespace gonka::cuda
