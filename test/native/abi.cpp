// Backends built against other versions of gonka_backend.h: an older, shorter one and a newer, longer one.
#include <string>
#include <vector>

#include "cases.hpp"
#include "check.hpp"
#include "conformance.hpp"
#include "device.hpp"
#include "plugin.hpp"
#include "registry.hpp"

using namespace gonka;

namespace {

const std::string k_libraries = GONKA_BINARY_DIR "/Release/test_backends/";

template <class F>
std::string message_of(F &&f) {
  try {
    f();
    return "no error";
  } catch (const status_error &e) {
    return e.what();
  }
}

void conforms(const std::shared_ptr<device> &d) {
  const conformance_summary summary = run_conformance(
      *d, {.op = GK_OP_GEMM, .calls_in_a_row = 100},
      [](const check_result &r) {
        if (r.status == check_status::fail)
          std::fprintf(stderr, "%s: %s: %s\n", r.implementation.c_str(), r.name.c_str(), r.detail.c_str());
      },
      nullptr);
  CHECK(summary.conforms());
}

// silu(a b) (a b2) for 1x1 matrices: an epilogue that the older header does not have.
float swiglu(const std::shared_ptr<device> &d, float a, float b, float b2) {
  stream s(d);
  buffer memory(*d, 16);
  const float values[4] = {a, b, b2, -1};
  s.write(memory, 0, values, 16);
  gk_gemm p{};
  p.struct_size = sizeof p;
  p.a_type = p.b_type = p.d_type = GK_F32;
  p.m = p.n = p.k = p.lda = p.ldb = p.ldd = 1;
  p.alpha = 1;
  p.epilogue = GK_EPILOGUE_SWIGLU;
  p.a = memory.at(0), p.b = memory.at(4), p.b2 = memory.at(8), p.d = memory.at(12);
  s.run(GK_OP_GEMM, &p);
  float result;
  s.read(memory, 12, &result, 4);
  return result;
}

void older() {
  const auto library = load_plugin(k_libraries + "gonka_test_older_backend.so");
  // It has none of these, but there is something else behind its table in memory.
  CHECK(library->table->implementation == nullptr && library->table->buffer_pointer == nullptr &&
        library->table->gemm_pack == nullptr && library->table->device_telemetry == nullptr &&
        library->table->record_begin == nullptr && library->table->recording_free == nullptr);
  const auto d = device::open(library, 0, {});
  CHECK_EQ(std::string(d->info().name), "Older accelerator");
  CHECK(message_of([&] { d->telemetry(); }).ends_with(": the backend older reads no sensors"));
  conforms(d);
  CHECK(d->implementations(GK_OP_GEMM)[0].known_answers > 0);
  CHECK(d->fallbacks().empty());
  d->on_notice([](const std::string &) {});
  // A field it does not know is set: refused there, so the host CPU runs it; ignoring the field would give 6.
  CHECK_EQ(swiglu(d, 2, 1.5f, 2), 3 / (1 + 0.049787068f) * 4);
  CHECK(d->fallbacks().size() == 1);
  stream s(d);
  gk_gemm_pack pack{};
  pack.struct_size = sizeof pack;
  CHECK(!s.pack(pack));
}

void newer() {
  const auto d = device::open(load_plugin(k_libraries + "gonka_test_newer_backend.so"), 0, {});
  CHECK_EQ(d->library().table->abi_minor, GK_ABI_MINOR + 3);
  CHECK_EQ(std::string(d->info().name), "Example accelerator");
  conforms(d);
}

void libraries_that_refuse() {
  const std::string null_entry = k_libraries + "gonka_test_null_entry.so";
  CHECK(message_of([&] { load_plugin(null_entry); })
            .ends_with("gonka_test_null_entry.so: gk_backend_entry returned NULL: it does not serve hosts of ABI "
                       "version 1"));
  const std::string words = "driver 570.1 found no device; is the module loaded?";
  const auto absent = load_backend(k_libraries + "gonka_test_no_device.so");
  std::string why;
  CHECK_EQ(device_count(*absent, &why), 0u);
  CHECK_EQ(why, words);
  CHECK_EQ(message_of([] { open_device("absent:0", {}); }), "device 'absent:0': absent has no device: " + words);
  const probe_report report = probe(k_libraries + "gonka_test_no_device.so");
  CHECK(report.error.empty() && report.devices.empty() && report.no_devices == words && report.name == "absent");
}

}  // namespace

int main() {
  older();
  newer();
  libraries_that_refuse();
  return check_summary();
}
