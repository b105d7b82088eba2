#include "cudnn_api.hpp"

#include <dlfcn.h>

#include <cstring>

namespace gonka::cuda::cudnn {

api load() {
  api found;
  void *library = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    found.missing = "libcudnn.so.9 was not found; put its folder on LD_LIBRARY_PATH";
    return found;
  }
  const auto find = [&](auto *&function, const char *symbol) {
    void *address = dlsym(library, symbol);
    std::memcpy(&function, &address, sizeof address);
    if (address == nullptr) found.missing = std::string("libcudnn has no ") + symbol;
  };
  find(found.get_version, "cudnnGetVersion");
  find(found.create, "cudnnCreate");
  find(found.destroy, "cudnnDestroy");
  find(found.set_stream, "cudnnSetStream");
  find(found.create_descriptor, "cudnnBackendCreateDescriptor");
  find(found.destroy_descriptor, "cudnnBackendDestroyDescriptor");
  find(found.set_attribute, "cudnnBackendSetAttribute");
  find(found.get_attribute, "cudnnBackendGetAttribute");
  find(found.finalize, "cudnnBackendFinalize");
  find(found.execute, "cudnnBackendExecute");
  return found;
}

void check(int status, const char *what) {
  if (status != 0) throw error(status, std::string(what) + ": cuDNN status " + std::to_string(status));
}

}  // namespace gonka::cuda::cudnn
