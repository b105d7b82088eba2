// Each level of GONKA_CPU_FEATURES: what is switched off is not used, and every op still gives right answers through
// what is left. The variable is read once per process, so every level gets a process of its own.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "case_run.hpp"
#include "cases.hpp"
#include "check.hpp"
#include "device.hpp"
#include "features.hpp"
#include "registry.hpp"
#include "selftest.hpp"

using namespace gonka;

namespace {

// Implementations of an op that accept at least one known answer, after the gate.
std::vector<std::string> usable(const device &d, const op_spec &spec) {
  std::vector<std::string> names;
  for (const tested_implementation &t : self_test(*d.library().table, d.handle(), spec)) {
    if (!CHECK(!t.disabled)) std::fprintf(stderr, "%s %s: %s\n", spec.name, t.name.c_str(), t.reason.c_str());
    if (t.passed > 0) names.push_back(t.name);
  }
  return names;
}

// Known answers of every op through the backend's own choice.
void right_answers(const device &d) {
  const raw_stream stream = open_stream(*d.library().table, d.handle());
  for (const op_spec *spec : all_ops()) {
    size_t ran = 0;
    for (const op_case &test : cases_of(spec->op)) {
      if ((test.uses & use_selftest) == 0) continue;
      comparison measures;
      const case_outcome outcome = run_case(*d.library().table, d.handle(), stream.get(), *spec, test, {});
      const std::string fault = find_fault(test, outcome, expected_result(*spec, test), &measures);
      CHECK_EQ(std::string(spec->name) + " " + test.name + ": " + fault,
               std::string(spec->name) + " " + test.name + ": ");
      ++ran;
    }
    CHECK(ran > 0);
  }
}

// Instruction sets by the names that implementations carry.
bool allowed(const std::string &implementation, const cpu::features &f) {
  if (implementation.starts_with("amx_int8")) return f.amx_int8;
  if (implementation.starts_with("amx_bf16")) return f.amx_bf16;
  if (implementation.starts_with("avx512vnni")) return f.avx512vnni;
  if (implementation.starts_with("avx512bf16")) return f.avx512bf16;
  if (implementation.starts_with("avx512")) return f.avx512;
  if (implementation.starts_with("avx2")) return f.avx2;
  if (implementation.starts_with("sha")) return f.sha;
  if (implementation.starts_with("sse41")) return f.sse41;
  if (implementation.starts_with("i8mm")) return f.i8mm;
  if (implementation.starts_with("neondot")) return f.neondot;
  if (implementation.starts_with("neon")) return f.neon;
  return true;
}

int child(const std::string &level) {
  const cpu::features &f = cpu::this_cpu();
  if (level == "ref" || level == "none")
    CHECK(!f.sse41 && !f.sha && !f.avx2 && !f.avx512 && !f.avx512vnni && !f.avx512bf16 && !f.amx_int8 && !f.amx_bf16 &&
          !f.neon && !f.neondot && !f.i8mm);
  if (level == "-neondot") CHECK(!f.neondot && !f.i8mm);
  if (level == "-i8mm" || level == "neondot") CHECK(!f.i8mm);
  if (level == "-amx_int8") CHECK(!f.amx_int8);
  if (level == "-amx_bf16" || level == "amx_int8") CHECK(!f.amx_bf16);
  if (level == "avx512bf16") CHECK(!f.amx_int8 && !f.amx_bf16);
  if (level == "sse41") CHECK(!f.sha && !f.avx2 && !f.avx512);
  if (level == "avx2") CHECK(!f.avx512 && !f.avx512vnni && !f.avx512bf16);
  if (level == "avx512") CHECK(!f.avx512vnni && !f.avx512bf16 && !f.amx_int8);
  if (level == "-avx2") CHECK(!f.avx2 && !f.avx512 && !f.avx512vnni && !f.avx512bf16);
  if (level == "-avx512vnni") CHECK(!f.avx512vnni);
  const auto d = device::open(cpu_library(), 0, {.threads = 2});
  for (const op_spec *spec : all_ops()) {
    const std::vector<std::string> names = usable(*d, *spec);
    CHECK(!names.empty() && names.back() == "ref");
    for (const std::string &name : names) CHECK(allowed(name, f));
    if (level == "ref") CHECK_EQ(names.size(), 1u);
  }
  right_answers(*d);
  return check_summary();
}

}  // namespace

int main(int argc, char **argv) {
#if defined(GONKA_AMX_MODEL)
  if (!cpu::detected_cpu().avx512) return std::printf("skipped: what surrounds AMX's tiles needs AVX-512\n"), 77;
#endif
  if (argc == 2) return child(argv[1]);
  // "nonsense" is named on stderr and otherwise ignored.
  for (const char *level :
       {"", "ref", "none", "sse41", "sha", "avx2", "avx512", "avx512vnni", "avx512bf16", "amx_int8", "neondot",
        "-avx512bf16", "-avx512vnni", "-avx2", "-amx_int8", "-amx_bf16", "-neondot", "-i8mm", "nonsense"}) {
    const pid_t process = fork();
    if (process == 0) {
      setenv("GONKA_CPU_FEATURES", level, 1);
      execl("/proc/self/exe", argv[0], level, static_cast<char *>(nullptr));
      _exit(127);
    }
    int status = 0;
    CHECK(process > 0 && waitpid(process, &status, 0) == process);
    if (!CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0)) std::fprintf(stderr, "level '%s'\n", level);
  }
  return check_summary();
}
