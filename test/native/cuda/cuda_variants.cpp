// Every way in which an implementation can do a problem gives the same bits: what the backend may choose by the clock.
// Cases of conformance, each run by every variant of every implementation that has some, in the emulator.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "cases.hpp"
#include "check.hpp"
#include "cuda/implementation.hpp"
#include "runtime_emulator.hpp"

using namespace gonka;
using namespace gonka::cuda;

namespace {

// All that a run may write.
std::vector<std::byte> result_of(const op_spec &spec, const implementation &chosen, const op_case &c, context &ctx,
                                 uint32_t variant) {
  const built_case built = c.build(c);
  std::vector<device_memory> memory(built.data.size());
  std::vector<void *> pointers(built.data.size(), nullptr);
  for (size_t i = 0; i < built.data.size(); ++i) {
    if (!built.present[i]) continue;
    const int same = built.same_place.empty() ? -1 : built.same_place[i];
    if (same >= 0) {
      pointers[i] = pointers[size_t(same)];
      continue;
    }
    memory[i] = device_memory(ctx.device(), std::max<uint64_t>(built.data[i].size(), 16));
    pointers[i] = memory[i].data();
    if (!built.data[i].empty())
      runtime::copy_to_device(ctx.stream(), pointers[i], built.data[i].data(), built.data[i].size());
  }
  ctx.take_variant(variant);
  chosen.run(built.problem.get(), pointers, ctx);
  runtime::synchronize(ctx.stream());
  std::vector<std::byte> out;
  const std::vector<operand> operands = spec.operands(built.problem.get());
  for (size_t i = 0; i < pointers.size(); ++i) {
    if (!built.present[i] || operands[i].mode == access::in || built.data[i].empty()) continue;
    std::vector<std::byte> bytes(built.data[i].size());
    runtime::copy_to_host(ctx.stream(), bytes.data(), pointers[i], bytes.size());
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  if (built.host_result != nullptr) {
    const auto more = built.host_result(built.problem.get());
    out.insert(out.end(), more.begin(), more.end());
  }
  return out;
}

void check_op(gk_op op, uint32_t device, const char *name, size_t every) {
  const op_spec &spec = *find_op(op);
  const device_description described = runtime::describe(device);
  context ctx(device, described.can);
  runtime::make_current(ctx.stream());
  const auto list = implementations(op);
  const auto chosen =
      std::find_if(list.begin(), list.end(), [&](const implementation &i) { return name == std::string(i.name); });
  if (!CHECK(chosen != list.end() && chosen->variants != nullptr && chosen->shape_class != nullptr)) return;
  size_t accepted = 0, compared = 0;
  for (const op_case &c : cases_of(op)) {
    if ((c.uses & use_conformance) == 0) continue;
    const built_case probe = c.build(c);
    if (chosen->reject(probe.problem.get(), described.can) != nullptr || accepted++ % every != 0) continue;
    const uint32_t variants = chosen->variants(probe.problem.get(), described.can);
    const std::string key = chosen->shape_class(probe.problem.get());
    CHECK(!key.empty() && key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_ ") == std::string::npos);
    const auto want = result_of(spec, *chosen, c, ctx, 0);
    for (uint32_t variant = 1; variant < variants; ++variant) {
      ++compared;
      const bool same = result_of(spec, *chosen, c, ctx, variant) == want;
      if (!same) std::fprintf(stderr, "%s %s, variant %u: %s\n", spec.name, name, variant, c.name.c_str());
      CHECK(same);
    }
  }
  std::printf("%s %s: %zu cases, %zu comparisons\n", spec.name, name, (accepted + every - 1) / every, compared);
  CHECK(compared > 5);
}

}  // namespace

int main() {
  // The devices of the emulator: 0 an A100, 2 an H100. Neighbouring cases differ little; a few of each kind do.
  check_op(GK_OP_GEMM, 2, "sm90_wgmma", 9);
  check_op(GK_OP_GEMM, 0, "sm80_mma", 23);
  check_op(GK_OP_ATTENTION, 2, "sm90_wgmma", 5);
  check_op(GK_OP_MATMUL_POW, 2, "sm90_wgmma", 7);
  return check_summary();
}
