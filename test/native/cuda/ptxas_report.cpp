// What ptxas said about every kernel of gonka_cuda.so, from the reports that the build keeps beside its objects: the
// main kernels of gemm, attention and matmul_pow must not spill, must not hold arrays in local memory, and their wgmma
// must not be serialised. Writes the table of all kernels to ptxas_table.txt in the build folder; where nvcc is the one
// that native/cuda/ptxas_table.txt was made with, the two must agree, so that a diff shows what a change costs.
// Does nothing if the library was built without nvcc.
#include <cxxabi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "check.hpp"

namespace {

struct usage {
  int registers = -1, stack = -1, spill_bytes = -1, shared_bytes = 0;  // shared: static
};

// "sm_90a" after "sm_89" and before "sm_100a".
int target_order(const std::string &target) {
  return std::atoi(target.c_str() + 3);
}

// A line per kernel: registers (R), stack (ST), spilled bytes (SP) and static shared memory (SH) for each target; what
// is 0 is not said.
#if !defined(GONKA_NVCC)
#define GONKA_NVCC ""
#define GONKA_CUDA_TARGETS ""
#endif

std::string table_of(const std::map<std::string, std::map<std::string, usage>> &kernels) {
  std::string text = "nvcc " GONKA_NVCC ", targets " GONKA_CUDA_TARGETS "\n";
  for (const auto &[name, targets] : kernels) {
    text += name + ":";
    std::vector<std::string> order;
    for (const auto &[target, unused] : targets) order.push_back(target);
    std::sort(order.begin(), order.end(),
              [](const auto &a, const auto &b) { return target_order(a) < target_order(b); });
    for (const std::string &target : order) {
      const usage &u = targets.at(target);
      text += " " + target + " R" + std::to_string(u.registers);
      if (u.stack > 0) text += " ST" + std::to_string(u.stack);
      if (u.spill_bytes > 0) text += " SP" + std::to_string(u.spill_bytes);
      if (u.shared_bytes > 0) text += " SH" + std::to_string(u.shared_bytes);
    }
    text += "\n";
  }
  return text;
}

std::string content_of(const char *path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string demangle(const std::string &name) {
  int status = 0;
  char *text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  std::string out = status == 0 ? text : name;
  std::free(text);
  for (const char *noise : {"gonka::cuda::", "gonka::ptx::", "(anonymous namespace)::", "void "})
    for (size_t at; (at = out.find(noise)) != std::string::npos;) out.erase(at, std::string(noise).size());
  return out.substr(0, out.rfind('('));
}

bool is_main_kernel(const std::string &name) {
  for (const char *family : {"gemm_mma", "gemm_wgmma", "gemm_tcgen05", "gemm_simt", "attention_", "fold_"})
    if (name.starts_with(family)) return true;
  return false;
}

std::string between(const std::string &line, const char *before, const char *after) {
  const size_t from = line.find(before);
  if (from == std::string::npos) return {};
  const size_t begin = from + std::string(before).size(), end = line.find(after, begin);
  return line.substr(begin, end == std::string::npos ? end : end - begin);
}

}  // namespace

int main() {
#if !defined(GONKA_CUDA_BUILT)
  (void)&table_of, (void)&content_of;
  std::printf("skipped: built without nvcc\n");
  return 0;
#endif
  namespace fs = std::filesystem;
  std::map<std::string, std::map<std::string, usage>> kernels;  // by name, then target
  size_t reports = 0;
  for (const fs::directory_entry &entry : fs::recursive_directory_iterator(GONKA_BINARY_DIR "/CMakeFiles")) {
    if (entry.path().extension() != ".ptxas") continue;
    ++reports;
    std::ifstream in(entry.path());
    std::string line, key, target;
    while (std::getline(in, line)) {
      if (const std::string name = between(line, "Compiling entry function '", "'"); !name.empty()) {
        key = demangle(name);
        target = between(line, "' for '", "'");
        kernels[key][target];
      }
      // Said before the kernels are listed.
      if (line.find("are serialized") != std::string::npos) {
        std::fprintf(stderr, "%s: %s\n", entry.path().filename().c_str(), line.c_str());
        CHECK(!"wgmma instructions are serialised");
      }
      if (key.empty()) continue;
      usage &u = kernels[key][target];
      if (line.find(" bytes stack frame") != std::string::npos) {
        u.stack = std::atoi(line.c_str());
        u.spill_bytes = std::atoi(between(line, "stack frame, ", " bytes spill stores").c_str());
      }
      if (const std::string registers = between(line, "Used ", " registers"); !registers.empty())
        u.registers = std::atoi(registers.c_str());
      if (const size_t at = line.find(" bytes smem"); at != std::string::npos)
        u.shared_bytes = std::atoi(line.c_str() + line.rfind(' ', at - 1));
    }
  }
  CHECK(reports > 0);
  size_t entries = 0, main_kernels = 0;
  for (const auto &[name, targets] : kernels)
    for (const auto &[target, u] : targets) {
      ++entries;
      CHECK(u.registers > 0 && u.stack >= 0);
      if (!is_main_kernel(name)) continue;
      ++main_kernels;
      if (!check_report(u.stack == 0 && u.spill_bytes == 0, __FILE__, __LINE__, name + " " + target))
        std::fprintf(stderr, "  %d bytes of stack, %d spilled\n", u.stack, u.spill_bytes);
    }
  const std::string table = table_of(kernels);
  std::ofstream(GONKA_BINARY_DIR "/ptxas_table.txt") << table;
  const std::string kept = content_of(GONKA_SOURCE_DIR "/native/cuda/ptxas_table.txt");
  const std::string header = table.substr(0, table.find('\n') + 1);
  if (!kept.starts_with(header))
    std::printf("not compared with native/cuda/ptxas_table.txt, which another nvcc or other targets made\n");
  else if (!check_report(kept == table, __FILE__, __LINE__, "native/cuda/ptxas_table.txt is not what ptxas says"))
    std::fprintf(stderr, "  review: diff native/cuda/ptxas_table.txt " GONKA_BINARY_DIR "/ptxas_table.txt, and copy\n");
  std::printf("%zu reports, %zu kernels for a target, %zu of them main kernels\n", reports, entries, main_kernels);
  CHECK(main_kernels > 50);
  return check_summary();
}
