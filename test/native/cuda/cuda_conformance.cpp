// Every implementation of every op of the CUDA backend, run by the emulator over the conformance cases: results,
// bytes that must stay untouched, and everything the emulator checks.
//
//   test_cuda_conformance [op [implementation [case substring]]]
// With no arguments all of it; a failure prints the arguments that rerun just that case. The order of threads changes
// with the case (options::seed).
//
// Built a second time as test_translated_ptx, where launches run nvcc's PTX of the kernels, translated to C++; see
// emulator/ptx/translate.hpp. Cases of kernels that such a build leaves out count as left out; every kernel that it
// holds must be launched by some case.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "check.hpp"
#include "cuda/backend.hpp"
#include "device.hpp"
#include "placed_case.hpp"
#include "runtime_emulator.hpp"

#if defined(GONKA_TRANSLATED_PTX)
#include "ptx/kernel_table.hpp"
#endif

using namespace gonka;

namespace {

#if defined(GONKA_TRANSLATED_PTX)
constexpr bool k_translated = true;
#else
constexpr bool k_translated = false;
#endif

struct tally {
  uint32_t passed = 0, rejected = 0, left_out = 0;
};

bool is_left_out(const std::string &outcome) {
  return outcome.find("translated PTX: left out: ") != std::string::npos;
}

// Empty if it passed, "-" if the implementation cannot run it, otherwise what went wrong.
std::string run_case(const gk_backend &table, gk_device *device, gk_stream *stream, const op_spec &spec,
                     const op_case &c, uint32_t implementation, placement where) {
  built_case problem = c.build(c);
  gk_error err{};
  err.struct_size = sizeof err;
  placed_case placed(table, device, stream, problem, where);
  if (placed.run(spec.op, implementation, true, &err) == GK_UNSUPPORTED) return "-";
  built_case reference = c.build(c);
  const operand_bytes want = reference_result(spec, reference, reference.data);
  const operand_bytes before = poisoned(problem);
  placed.upload(before);
  const gk_status status = placed.run(spec.op, implementation, false, &err);
  if (is_left_out(err.message)) return err.message;
  if (status == GK_UNSUPPORTED) return "-";
  if (status != GK_OK) return err.message;
  operand_bytes after;
  if (const char *touched = placed.download(after)) return std::string("wrote outside operand ") + touched;
  uint64_t at = 0;
  if (const int index = first_illegal_write(problem, before, after, &at); index >= 0)
    return std::string("wrote to byte ") + std::to_string(at) + " of operand " + problem.operands[size_t(index)].name;
  if (problem.host_result != nullptr) {
    const auto got = problem.host_result(problem.problem.get()),
               expected = reference.host_result(reference.problem.get());
    if (got != expected) return "host result differs";
  }
  if (c.compare == nullptr) return "";
  const comparison result = c.compare(c, problem, after, want);
  if (result.passed()) return "";
  char text[240];
  std::snprintf(text, sizeof text,
                "operand %s element %lld: got %.9g, want %.9g, %.3g of the bound; aggregate %.3g of %.3g",
                result.operand, static_cast<long long>(result.worst_index), result.got, result.want, result.worst,
                result.aggregate, result.aggregate_limit);
  return text;
}

// Makes the device take a variant of implementation `name` for this problem, as if it had been measured.
void take_variant(const gk_backend &table, gk_device *device, const char *name, const gk_gemm &p, uint32_t turn) {
  const uint32_t variant = p.m > 128 ? 3 : turn % 3;  // the last one of sm90_wgmma needs two tiles of rows
  int64_t m = 1;
  while (m < p.m) m *= 2;
  const std::string line = std::string("gemm ") + name + " " + dtype_name(p.a_type) + " " + dtype_name(p.d_type) +
                           (p.epilogue == GK_EPILOGUE_SWIGLU ? " pair" : "") + (p.beta != 0 ? " add" : "") + " " +
                           std::to_string(m) + " " + std::to_string(p.n) + " " + std::to_string(p.k) + "\t" +
                           std::to_string(variant) + "\n";
  CHECK_EQ(table.tuning_import(device, line.data(), line.size(), nullptr), GK_OK);
}

}  // namespace

int main(int argc, char **argv) {
  const char *only_op = argc > 1 ? argv[1] : nullptr;
  const char *only_implementation = argc > 2 ? argv[2] : nullptr;
  const char *only_case = argc > 3 ? argv[3] : nullptr;
#if defined(GONKA_TRANSLATED_PTX)
  emulator::emulated_translation() = emulator::translated::translation_of;
#endif
  const gk_backend &table = cuda::backend();
  uint32_t count = 0;
  CHECK_EQ(table.device_count(&count, nullptr), GK_OK);
  for (const op_spec *spec : all_ops()) {
    if (only_op != nullptr && std::strcmp(only_op, spec->name) != 0) continue;
    // Each implementation on the newest device that runs it and, where that differs, on the oldest.
    for (uint32_t implementation = 1;; ++implementation) {
      const char *name = table.implementation(nullptr, spec->op, implementation - 1);
      if (name == nullptr) break;
      if (only_implementation != nullptr && std::strcmp(only_implementation, name) != 0) continue;
      if (k_translated && std::strncmp(name, "sm100", 5) == 0) {
        std::printf("%-14s %-12s not translated: the translator has no tcgen05\n", spec->name, name);
        continue;
      }
      tally t;
      const auto start = std::chrono::steady_clock::now();
      uint32_t turn = 0;
      for (const op_case &c : cases_of(spec->op)) {
        if ((c.uses & use_conformance) == 0) continue;
        if (only_case != nullptr && std::strstr(c.name.c_str(), only_case) == nullptr) continue;
        // On one device and at one place; on the others and at an aligned place if it cannot run there.
        bool ran = false;
        for (uint32_t attempt = 0; attempt < 2 * count && !ran; ++attempt) {
          const uint32_t index = (turn + attempt) % count;
          emulator::emulated_multiprocessors() = turn / 2 % 2 != 0 ? 2 : 0;  // 2: tiles and grids of large problems
          gk_device *device = nullptr;
          gk_stream *stream = nullptr;
          CHECK_EQ(table.device_open(index, nullptr, &device, nullptr), GK_OK);
          CHECK_EQ(table.stream_open(device, &stream, nullptr), GK_OK);
          // Half of the gemm cases on tiles that the table would not choose.
          if (spec->op == GK_OP_GEMM && turn / 2 % 2 != 0)
            take_variant(table, device, name, *static_cast<const gk_gemm *>(c.build(c).problem.get()), turn / 4);
          emulator::emulated_options().seed = turn % 3;
          const placement where = turn % 2 != 0 && attempt < count ? placement{3, 7} : placement{16, 16};
          const std::string outcome = run_case(table, device, stream, *spec, c, implementation, where);
          table.stream_close(stream);
          table.device_close(device);
          if (is_left_out(outcome)) {
            ++t.left_out;
            break;
          }
          ran = outcome != "-";
          if (ran && !check_report(outcome.empty(), __FILE__, __LINE__, std::string(spec->name) + ": " + outcome))
            std::fprintf(stderr, "  rerun: test_cuda_conformance %s %s \"%s\"  (device %u, seed %u, lead %llu)\n",
                         spec->name, name, c.name.c_str(), index, turn % 3,
                         static_cast<unsigned long long>(where.lead_elements));
        }
        ++(ran ? t.passed : t.rejected);
        ++turn;
      }
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      std::printf("%-14s %-12s ran %4u  rejected %4u  left out %4u  %.1f s\n", spec->name, name, t.passed,
                  t.rejected - t.left_out, t.left_out, seconds);
      if (only_case == nullptr) CHECK(t.passed > 0);
    }
  }
#if defined(GONKA_TRANSLATED_PTX)
  if (only_op == nullptr)
    for (const char *name : emulator::translated::kernels_never_launched())
      check_report(false, __FILE__, __LINE__, std::string("no case launches ") + name);
#endif
  return check_summary();
}
