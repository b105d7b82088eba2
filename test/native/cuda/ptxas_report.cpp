// What ptxas said about every kernel of gonka_cuda.so, from the reports that the build keeps beside its objects: the
// main kernels of gemm, attention and matmul_pow must not spill, must not hold arrays in local memory, and their wgmma
// must not be serialised. Writes the table of all kernels to ptxas_table.txt in the build folder, for a diff to review.
// Does nothing if the library was built without nvcc.
#include <cxxabi.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "check.hpp"

namespace {

struct usage {
  int registers = -1, stack = -1, spill_bytes = -1;
};

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
  std::printf("skipped: built without nvcc\n");
  return 0;
#endif
  namespace fs = std::filesystem;
  std::map<std::string, usage> kernels;  // "name sm_80"
  size_t reports = 0;
  for (const fs::directory_entry &entry : fs::recursive_directory_iterator(GONKA_BINARY_DIR "/CMakeFiles")) {
    if (entry.path().extension() != ".ptxas") continue;
    ++reports;
    std::ifstream in(entry.path());
    std::string line, key;
    while (std::getline(in, line)) {
      if (const std::string name = between(line, "Compiling entry function '", "'"); !name.empty()) {
        key = demangle(name) + " " + between(line, "' for '", "'");
        kernels[key];
      }
      // Said before the kernels are listed.
      if (line.find("are serialized") != std::string::npos) {
        std::fprintf(stderr, "%s: %s\n", entry.path().filename().c_str(), line.c_str());
        CHECK(!"wgmma instructions are serialised");
      }
      if (key.empty()) continue;
      usage &u = kernels[key];
      if (line.find(" bytes stack frame") != std::string::npos) {
        u.stack = std::atoi(line.c_str());
        u.spill_bytes = std::atoi(between(line, "stack frame, ", " bytes spill stores").c_str());
      }
      if (const std::string registers = between(line, "Used ", " registers"); !registers.empty())
        u.registers = std::atoi(registers.c_str());
    }
  }
  CHECK(reports > 0);
  std::ofstream table(GONKA_BINARY_DIR "/ptxas_table.txt");
  size_t main_kernels = 0;
  for (const auto &[name, u] : kernels) {
    table << name << ": " << u.registers << " registers, " << u.stack << " bytes of stack, " << u.spill_bytes
          << " bytes spilled\n";
    CHECK(u.registers > 0 && u.stack >= 0);
    if (!is_main_kernel(name)) continue;
    ++main_kernels;
    if (!check_report(u.stack == 0 && u.spill_bytes == 0, __FILE__, __LINE__, name))
      std::fprintf(stderr, "  %d bytes of stack, %d spilled\n", u.stack, u.spill_bytes);
  }
  std::printf("%zu reports, %zu kernels, %zu of them main kernels\n", reports, kernels.size(), main_kernels);
  CHECK(main_kernels > 50);
  return check_summary();
}
