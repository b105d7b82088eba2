// Telemetry of the CUDA backend over a libnvidia-ml.so made for the test: every figure, every reason for its absence.
// The library is loaded once in a process, so each scene runs in a child of its own.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "check.hpp"
#include "cuda/backend.hpp"
#include "device.hpp"
#include "nvml/fake_nvml.h"

using namespace gonka;

namespace {

const std::string k_fakes = GONKA_BINARY_DIR "/fake_nvml/";

std::shared_ptr<device> open(uint32_t index) {
  auto library = std::make_shared<backend_library>();
  library->table = &cuda::backend();
  return device::open(library, index, {});
}

fake_nvml &fake_of(const std::string &path) {
  void *handle = dlopen(path.c_str(), RTLD_NOW);
  void *symbol = handle == nullptr ? nullptr : dlsym(handle, "fake");
  if (symbol == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::abort();
  }
  return *static_cast<fake_nvml *>(symbol);
}

std::string refusal(const device &d) {
  try {
    d.telemetry();
    return "no error";
  } catch (const status_error &e) {
    CHECK_EQ(int(e.status), int(GK_UNSUPPORTED));
    return e.what();
  }
}

void every_figure(const std::string &path) {
  fake_nvml &fake = fake_of(path);
  const auto d = open(0);
  gk_telemetry now = d->telemetry();
  CHECK_EQ(std::string(now.name), "NVIDIA Fake 0");
  CHECK_EQ(std::string(now.uuid), "GPU-00000000-0000-0000-0000-000000000010");
  CHECK_EQ(std::string(now.pci), "00000000:1B:00.0");
  CHECK_EQ(std::string(now.driver), "570.86.15");
  CHECK_EQ(std::string(now.source), "NVML 12.570.86.15");
  CHECK_EQ(std::string(now.missing), "");
  CHECK_EQ(now.fields, (GK_TELEMETRY_PROCESSES << 1) - 1u);
  CHECK_EQ(now.temperature_c, 64);
  CHECK_EQ(now.power_mw, 412345u);
  CHECK_EQ(now.power_limit_mw, 700000u);
  CHECK_EQ(now.energy_mj, 9876543210123u);
  CHECK_EQ(now.core_clock_mhz, 1755u);
  CHECK_EQ(now.memory_clock_mhz, 2619u);
  CHECK_EQ(now.core_clock_limit_mhz, 1980u);
  CHECK_EQ(now.memory_clock_limit_mhz, 2619u);
  CHECK_EQ(now.throttle, 0u);
  CHECK_EQ(now.ecc_corrected, 3u);
  CHECK_EQ(now.ecc_uncorrected, 1u);
  CHECK_EQ(now.xid_count, 0u);
  CHECK_EQ(now.utilization_percent, 97u);
  CHECK_EQ(now.memory_total_bytes, 85520809984u);
  CHECK_EQ(now.memory_used_bytes, 1073741824u);
  CHECK_EQ(now.process_count, 0u);

  struct {
    unsigned long long nvml;
    uint32_t meaning;
  } const reasons[] = {{0x1, GK_THROTTLE_IDLE},
                       {0x4, GK_THROTTLE_POWER},
                       {0x60, GK_THROTTLE_TEMPERATURE},
                       {0x88, GK_THROTTLE_HARDWARE},
                       {0x112, GK_THROTTLE_SETTING},
                       {0x4000, GK_THROTTLE_OTHER},
                       {0x24, GK_THROTTLE_POWER | GK_THROTTLE_TEMPERATURE}};
  for (const auto &[nvml, meaning] : reasons) {
    fake.throttle = nvml;
    CHECK_EQ(d->telemetry().throttle, meaning);
  }

  fake.processes = 3;
  now = d->telemetry();
  CHECK_EQ(now.process_count, 3u);
  CHECK_EQ(now.processes[2].pid, 1002u);
  CHECK_EQ(now.processes[0].memory_bytes, uint64_t(1) << 20);
  CHECK_EQ(now.processes[1].memory_bytes, UINT64_MAX);
  fake.processes = 40;  // listed up to GK_MAX_PROCESSES
  now = d->telemetry();
  CHECK_EQ(now.process_count, 40u);
  CHECK_EQ(now.processes[31].pid, 1031u);
  fake.processes = 1000;  // more than any list: counted
  now = d->telemetry();
  CHECK_EQ(now.process_count, 1000u);
  CHECK_EQ(now.processes[0].pid, 0u);

  fake.xids_waiting = 2;
  fake.xids[1] = 31, fake.xids[0] = 79;
  now = d->telemetry();
  CHECK_EQ(now.xid_count, 2u);
  CHECK_EQ(now.last_xid, 79u);
  fake.xids_waiting = 1;
  fake.xids[0] = 48;
  now = d->telemetry();
  CHECK_EQ(now.xid_count, 3u);
  CHECK_EQ(now.last_xid, 48u);
  CHECK_EQ(fake.event_sets, 1u);

  fake.energy_status = 3;
  now = d->telemetry();
  CHECK_EQ(now.fields & GK_TELEMETRY_ENERGY, 0u);
  CHECK_EQ(std::string(now.missing), "energy: Not Supported");
  fake.status = 15;
  now = d->telemetry();
  CHECK_EQ(now.fields, uint32_t(GK_TELEMETRY_XID));  // watching began while it worked
  CHECK(std::string(now.missing).starts_with("temperature: GPU is lost; power: GPU is lost; power limit: GPU is lost"));
  fake.status = fake.energy_status = 0;

  // Device 2 is known by its UUID, 1 by its address only, 3 not at all.
  CHECK_EQ(open(2)->telemetry().power_mw, 413345u);
  CHECK_EQ(std::string(open(1)->telemetry().name), "NVIDIA Fake 1");
  CHECK_EQ(refusal(*open(3)),
           "cuda-emulated:3: telemetry: cuda: NVML does not know GPU-00000000-0000-0000-0000-000000000013: Not Found "
           "(native code 6)");
}

// A host built against a header with a shorter gk_telemetry: nothing is written behind it.
void shorter_struct(const std::string &) {
  const gk_backend &table = cuda::backend();
  gk_device *d = nullptr;
  CHECK_EQ(table.device_open(0, nullptr, &d, nullptr), GK_OK);
  gk_telemetry now;
  std::memset(&now, 0xee, sizeof now);
  now.struct_size = offsetof(gk_telemetry, power_limit_mw);
  CHECK_EQ(table.device_telemetry(d, &now, nullptr), GK_OK);
  CHECK_EQ(now.struct_size, offsetof(gk_telemetry, power_limit_mw));
  CHECK_EQ(now.power_mw, 412345u);
  const auto *bytes = reinterpret_cast<const unsigned char *>(&now);
  bool touched = false;
  for (size_t i = now.struct_size; i < sizeof now; ++i) touched |= bytes[i] != 0xee;
  CHECK(!touched);
  table.device_close(d);
}

void old_driver(const std::string &) {
  const gk_telemetry now = open(0)->telemetry();
  CHECK_EQ(now.fields, uint32_t(GK_TELEMETRY_TEMPERATURE | GK_TELEMETRY_POWER));
  CHECK_EQ(now.temperature_c, 64);
  CHECK_EQ(std::string(now.pci), "");
  CHECK(std::strstr(now.missing, "energy: this driver does not offer it; clocks: ") != nullptr);
  CHECK(std::strstr(now.missing, "XID events: this driver does not offer it") != nullptr);
}

void does_not_start(const std::string &path) {
  fake_of(path).init_status = 9;
  const auto d = open(0);
  CHECK_EQ(refusal(*d), "cuda-emulated:0: telemetry: cuda: NVML does not start: Driver Not Loaded (native code 9)");
  fake_of(path).init_status = 0;
  CHECK_EQ(refusal(*d), "cuda-emulated:0: telemetry: cuda: NVML does not start: Driver Not Loaded (native code 9)");
}

void absent(const std::string &path) {
  const std::string text = refusal(*open(0));
  CHECK(text.starts_with("cuda-emulated:0: telemetry: cuda: NVML is not available: " + path));
  CHECK(text.find("GONKA_NVML") != std::string::npos);
}

void not_a_library(const std::string &) {
  CHECK(refusal(*open(0)).find("NVML is not available: ") != std::string::npos);
}

void scene(void (*play)(const std::string &), const std::string &path) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    setenv("GONKA_NVML", path.c_str(), 1);
    play(path);
    std::fflush(nullptr);
    _exit(check_summary());
  }
  int status = -1;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace

int main() {
  scene(every_figure, k_fakes + "libnvidia-ml.so.1");
  scene(shorter_struct, k_fakes + "libnvidia-ml.so.1");
  scene(old_driver, k_fakes + "libnvidia-ml-old.so.1");
  scene(does_not_start, k_fakes + "libnvidia-ml.so.1");
  scene(absent, k_fakes + "no-such-file.so");
  scene(not_a_library, GONKA_SOURCE_DIR "/package.json");
  return check_summary();
}
