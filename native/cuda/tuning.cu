#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tuning.hpp"

namespace gonka::cuda {
namespace {

constexpr uint32_t k_first_result_slot = 1000;  // beyond those that implementations use themselves
constexpr int k_timed_runs = 3;
// Smaller problems take as long as a launch, whatever runs them.
constexpr double k_least_operations = 0x1p24;
// The table's choice stays unless another one is faster by more than repeated runs differ.
constexpr float k_clearly = 0.97f;

float time_of(const implementation &chosen, void *problem, places operands, context &ctx, uint32_t variant) {
  ctx.take_variant(variant);
  chosen.run(problem, operands, ctx);  // loads the kernel
  float best = 0;
  for (int i = 0; i < k_timed_runs; ++i) {
    const float ms = runtime::elapsed_ms(ctx.stream(), [&] { chosen.run(problem, operands, ctx); });
    best = i == 0 ? ms : std::min(best, ms);
  }
  return best;
}

uint32_t measure(const op_spec &spec, const implementation &chosen, void *problem, places operands, context &ctx,
                 uint32_t variants) {
  // What the op writes is not touched: measuring must leave no trace, least of all where a result is also an operand.
  std::vector<void *> pointers(operands.begin(), operands.end());
  uint32_t slot = k_first_result_slot;
  const std::vector<operand> list = spec.operands(problem);
  for (size_t i = 0; i < list.size(); ++i)
    if (list[i].mode != access::in && pointers[i] != nullptr)
      pointers[i] = ctx.scratch(slot++, std::max<uint64_t>(list[i].extent_bytes(), 16));
  uint32_t fastest = 0;
  float best = k_clearly * time_of(chosen, problem, pointers, ctx, 0);
  for (uint32_t variant = 1; variant < variants; ++variant) {
    const float ms = time_of(chosen, problem, pointers, ctx, variant);
    if (ms >= best) continue;
    best = ms;
    fastest = variant;
  }
  ctx.free_scratch(k_first_result_slot);
  return fastest;
}

bool good_key(std::string_view key) {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyz0123456789_ ";
  return !key.empty() && key.size() < 200 && key.find_first_not_of(allowed) == std::string_view::npos;
}

}  // namespace

tuning::tuning() {
  const char *wish = std::getenv("GONKA_AUTOTUNE");
  enabled_ = wish == nullptr || std::strcmp(wish, "off") != 0;
}

uint32_t tuning::variant_for(const op_spec &spec, const implementation &chosen, void *problem, places operands,
                             context &ctx) {
  if (!enabled_ || chosen.variants == nullptr) return 0;
  const uint32_t variants = chosen.variants(problem, ctx.can());
  if (variants <= 1) return 0;
  const std::string key = std::string(spec.name) + " " + chosen.name + " " + chosen.shape_class(problem);
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = fastest_.find(key); known != fastest_.end() && known->second < variants)
      return known->second;
  }
  if (!runtime::measures() || ctx.records() || spec.count(problem).operations < k_least_operations) return 0;
  const uint32_t fastest = measure(spec, chosen, problem, operands, ctx, variants);
  const std::lock_guard lock(mutex_);
  return fastest_.insert_or_assign(key, fastest).first->second;
}

std::string tuning::text() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto &[key, variant] : fastest_) out += key + "\t" + std::to_string(variant) + "\n";
  return out;
}

bool tuning::take(std::string_view text) {
  std::map<std::string, uint32_t> taken;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return false;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    const size_t tab = line.find('\t');
    if (tab == std::string_view::npos || !good_key(line.substr(0, tab))) return false;
    uint32_t variant = 0;
    const char *last = line.data() + line.size();
    const auto [stop, failed] = std::from_chars(line.data() + tab + 1, last, variant);
    if (failed != std::errc() || stop != last || variant > 1000) return false;
    taken[std::string(line.substr(0, tab))] = variant;
  }
  const std::lock_guard lock(mutex_);
  fastest_.merge(taken);
  return true;
}

}  // namespace gonka::cuda
