#include "cpu_peak.hpp"

#include <algorithm>
#include <sstream>

#include "features.hpp"
#include "peak.hpp"
#include "thread_pool.hpp"

namespace gonka {
namespace {

std::vector<std::string> words(const std::string &text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

}  // namespace

cpu_peak measure_cpu_peak(uint32_t threads, bool brief) {
  cpu::thread_pool pool(threads);
  const cpu::peaks p = cpu::measure_peaks(pool, cpu::this_cpu(), brief ? 3 : 7);
  return {pool.size(), p.f32_gflops, p.bf16_gflops, p.i8_gops, p.sha_mblocks, p.copy_gb_per_s, p.clock_ghz};
}

cpu_feature_names cpu_features() {
  cpu_feature_names out;
  out.used = words(cpu::describe(cpu::this_cpu()));
  if (out.used == std::vector<std::string>{"baseline"}) out.used.clear();
  for (const std::string &name : words(cpu::describe(cpu::detected_cpu())))
    if (name != "baseline" && std::ranges::find(out.used, name) == out.used.end()) out.disabled.push_back(name);
  return out;
}

}  // namespace gonka
