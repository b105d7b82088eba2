// gonka_cuda.so as the host loads it, on a machine that may have no GPU: it must load, answer, and say why it cannot
// serve. With a GPU the same calls must succeed. Does nothing if the library was built without nvcc.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "check.hpp"
#include "gonka_backend.h"

int main() {
  const char *path = GONKA_BINARY_DIR "/Release/gonka_cuda.so";
#if !defined(GONKA_CUDA_BUILT)
  std::printf("skipped: built without nvcc, so %s does not exist\n", path);
  return 0;
#endif
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!CHECK(library != nullptr)) {
    std::fprintf(stderr, "%s\n", dlerror());
    return check_summary();
  }
  const auto entry = reinterpret_cast<gk_backend_entry_fn>(dlsym(library, GK_BACKEND_ENTRY_NAME));
  CHECK(entry != nullptr);
  CHECK(entry(GK_ABI_MAJOR + 1) == nullptr);
  const gk_backend *table = entry(GK_ABI_MAJOR);
  CHECK(table != nullptr && std::strcmp(table->name, "cuda") == 0);
  gk_error err{};
  err.struct_size = sizeof err;
  uint32_t count = 77;
  CHECK_EQ(table->device_count(&count, &err), GK_OK);
  gk_device *device = nullptr;
  const gk_status opened = table->device_open(0, nullptr, &device, &err);
  if (count == 0) {
    std::printf("%s\n", err.message);
    CHECK_EQ(opened, GK_DEVICE_ERROR);
    CHECK(std::strstr(err.message, "cuda: ") == err.message && std::strlen(err.message) > 20);
  } else {
    CHECK_EQ(opened, GK_OK);
    gk_device_info info{};
    info.struct_size = sizeof info;
    CHECK_EQ(table->device_info(device, &info, &err), GK_OK);
    std::printf("%s, %s\n", info.name, info.arch);
    CHECK_EQ(table->device_open(count, nullptr, &device, &err), GK_INVALID_ARGUMENT);
  }
  // Only the entry point is visible.
  CHECK(dlsym(library, "cudaMalloc") == nullptr);
  return check_summary();
}
