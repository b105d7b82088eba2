// Rules of gonka_backend.h that belong to no op.
#include <string>

#include "conformance_run.hpp"
#include "status.hpp"

namespace gonka {
namespace {

std::string expected(gk_status got, gk_status want) {
  if (got == want) return {};
  return std::string("answered ") + status_name(got) + ", expected " + status_name(want);
}

}  // namespace

void check_boundary(conformance_run &run, const std::vector<tested_implementation> &implementations) {
  const gk_backend &table = run.table;
  const op_spec &gemm = *find_op(GK_OP_GEMM);
  const raw_stream stream = open_stream(table, run.device_handle);
  const auto report = [&](const char *name, const std::string &fault) {
    if (fault.empty())
      run.pass(gemm, "device", name);
    else
      run.fail(gemm, "device", name, fault);
  };

  // Fields that a newer host may append are zero in this problem.
  struct {
    gk_gemm known;
    uint64_t later[16];
  } newer{};
  gk_gemm &p = newer.known;
  p.struct_size = sizeof newer;
  p.a_type = p.b_type = p.d_type = GK_F32;
  p.m = p.n = p.k = p.lda = p.ldb = p.ldc = p.ldd = 4;
  p.alpha = 1;

  for (const int dry_run : {1, 0})
    report(dry_run ? "unknown op, dry run" : "unknown op",
           expected(table.run(stream.get(), 0x7ffffff0, &p, dry_run, nullptr), GK_UNSUPPORTED));

  p.struct_size = sizeof p;
  const gk_status plain = table.run(stream.get(), GK_OP_GEMM, &p, 1, nullptr);
  p.struct_size = sizeof newer;
  report("fields of a newer header, zero", expected(table.run(stream.get(), GK_OP_GEMM, &p, 1, nullptr), plain));
  newer.later[3] = 1;
  report("fields of a newer header, set",
         expected(table.run(stream.get(), GK_OP_GEMM, &p, 1, nullptr), GK_UNSUPPORTED));
  newer.later[3] = 0;
  p.struct_size = sizeof p;

  p.implementation = uint32_t(implementations.size()) + 1;
  report("implementation past the end", expected(table.run(stream.get(), GK_OP_GEMM, &p, 1, nullptr), GK_UNSUPPORTED));
  p.implementation = 0;

  p.a_type = p.b_type = 0x7ffffff0;
  report("unknown number type", expected(table.run(stream.get(), GK_OP_GEMM, &p, 1, nullptr), GK_UNSUPPORTED));
  p.a_type = p.b_type = GK_F32;

  p.epilogue = 0x7ffffff0;
  report("unknown epilogue", expected(table.run(stream.get(), GK_OP_GEMM, &p, 1, nullptr), GK_UNSUPPORTED));
  p.epilogue = 0;

  error_report err;
  const gk_status refused = table.run(stream.get(), 0x7ffffff0, &p, 1, &err);
  report("message with a refusal", refused != GK_OK && err.message[0] == '\0'
                                       ? "a refused call left gk_error.message empty; expected the reason"
                                       : std::string());

  // A caller of an older, shorter struct must not be written beyond it.
  struct {
    gk_device_info info;
    unsigned char beyond[64];
  } small{};
  small.info.struct_size = offsetof(gk_device_info, formats);
  for (unsigned char &c : small.beyond) c = 0x5c;
  std::string fault = expected(table.device_info(run.device_handle, &small.info, nullptr), GK_OK);
  for (const gk_format &f : small.info.formats)
    if (f.dtype != 0 || f.accumulator_bits != 0) fault = "device_info wrote beyond the caller's struct_size";
  for (const unsigned char c : small.beyond)
    if (c != 0x5c) fault = "device_info wrote beyond the caller's struct_size";
  report("device_info of an older caller", fault);
  report("device name", run.info.name[0] == '\0' ? "device_info.name is empty; expected the product's name" : "");

  uint32_t count = 0;
  gk_device *none = nullptr;
  if (table.device_count(&count, nullptr) == GK_OK) {
    const gk_status opened = table.device_open(count, nullptr, &none, nullptr);
    report("device past the end",
           opened == GK_OK ? "device_open opened device " + std::to_string(count) + " of " + std::to_string(count)
                           : std::string());
    if (opened == GK_OK) table.device_close(none);
  }
  // Ignored, or the end of this process.
  table.device_close(nullptr);
  table.stream_close(nullptr);
  table.buffer_free(nullptr);
}

}  // namespace gonka
