// Devices, buffers and streams over the CPU backend.
#include "device.hpp"

#include <cstring>
#include <vector>

#include "check.hpp"
#include "registry.hpp"

using namespace gonka;

namespace {

template <class F>
std::string status_of(F &&f) {
  try {
    f();
    return "no error";
  } catch (const status_error &e) {
    return std::to_string(int(e.status)) + " " + e.what();
  }
}

void buffers_and_streams() {
  const auto cpu = device::open(cpu_library(), 0, {.threads = 2});
  CHECK_EQ(cpu->id(), "cpu:0");
  CHECK(cpu->info().threads == 2);
  CHECK(cpu->info().format_count >= 1 && cpu->info().name[0] != '\0');
  stream s(cpu);
  buffer b(*cpu, 100), nothing(*cpu, 0);
  std::vector<unsigned char> out(100), in(100);
  for (size_t i = 0; i < in.size(); ++i) in[i] = (unsigned char)(i * 7);
  s.write(b, 0, in.data(), in.size());
  s.read(b, 0, out.data(), out.size());
  CHECK(in == out);
  CHECK(b.pointer() != nullptr && std::memcmp(b.pointer(), in.data(), in.size()) == 0);
  s.read(b, 40, out.data(), 60);
  CHECK(std::memcmp(out.data(), in.data() + 40, 60) == 0);
  CHECK_EQ(status_of([&] { s.read(b, 41, out.data(), 60); }),
           "10 cpu:0: read of 60 bytes at offset 41 of a buffer of 100");
  CHECK_EQ(status_of([&] { s.write(b, ~uint64_t(0), in.data(), 2); }),
           "10 cpu:0: write of 2 bytes at offset 18446744073709551615 of a buffer of 100");
  CHECK_EQ(status_of([&] { s.write(buffer(), 0, in.data(), 2); }), "10 cpu:0: write of an empty buffer");
  buffer moved = std::move(b);
  CHECK(moved && !b && moved.size() == 100 && nothing.size() == 0);
}

void refusals() {
  CHECK_EQ(status_of([] { device::open(cpu_library(), 7, {}); }),
           "10 cpu:7: cpu: device 7 does not exist; there is only device 0");
  const auto cpu = device::open(cpu_library(), 0, {.threads = 1});
  stream s(cpu);
  gk_gemm problem{};
  CHECK_EQ(status_of([&] { s.run(gk_op(999), &problem); }), "10 cpu:0: unknown op 999");
  CHECK(status_of([&] { buffer(*cpu, uint64_t(1) << 60); }).starts_with("10 cpu:0: buffer of 1152921504606846976"));
}

}  // namespace

int main() {
  buffers_and_streams();
  refusals();
  return check_summary();
}
