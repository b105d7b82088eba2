#include "registry.hpp"

#include "backend.hpp"

namespace gonka {

std::shared_ptr<const backend_library> cpu_library() {
  static const std::shared_ptr<const backend_library> library = [] {
    auto made = std::make_shared<backend_library>();
    made->table = &cpu::backend();
    return made;
  }();
  return library;
}

}  // namespace gonka
