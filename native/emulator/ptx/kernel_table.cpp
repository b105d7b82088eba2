#include "ptx/kernel_table.hpp"

#include <cctype>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "cuda/device/runtime.hpp"
#include "ptx/symbols.hpp"
#include "runtime_emulator.hpp"

namespace gonka::emulator::translated {
namespace {

struct entry {
  const kernel *what;
  const module *from;
};

[[noreturn]] void refuse(const std::string &why) {
  throw cuda::device_error(GK_DEVICE_ERROR, 1, "translated PTX: " + why);
}

// "rope.cpp" and "rope.ptx" are of one source.
std::string stem(const std::string &path) {
  const size_t from = path.rfind('/') + 1;
  return path.substr(from, path.find('.', from) - from);
}

const std::unordered_multimap<std::string, entry> &kernels_by_name() {
  static const auto table = [] {
    std::unordered_multimap<std::string, entry> t;
    for (uint32_t i = 0; i < k_translated_modules.count; ++i) {
      const module &m = *k_translated_modules.modules[i];
      for (uint32_t k = 0; k < m.kernel_count; ++k)
        t.emplace(with_host_namespace(m.kernels[k].name), entry{&m.kernels[k], &m});
    }
    return t;
  }();
  return table;
}

std::unordered_set<const kernel *> g_used;

}  // namespace

std::string with_host_namespace(const std::string &name) {
  // "39_GLOBAL__N__7812c3d5_7_rope_cu_5602c089" in nvcc's names is "12_GLOBAL__N_1" in the host compiler's.
  const size_t at = name.find("_GLOBAL__N_");
  if (at == std::string::npos) return name;
  size_t digits = at;
  while (digits > 0 && std::isdigit(static_cast<unsigned char>(name[digits - 1]))) --digits;
  if (digits == at) return name;
  const size_t length = std::stoul(name.substr(digits, at - digits));
  if (at + length > name.size()) return name;
  return name.substr(0, digits) + "12_GLOBAL__N_1" + name.substr(at + length);
}

void (*translation_of(const launch_request &request))(const void *) {
  const function_symbol symbol = symbol_of(request.function);
  if (symbol.name.empty()) refuse("a kernel's function is not in the symbol table of this executable");
  const entry *found = nullptr;
  const auto [first, last] = kernels_by_name().equal_range(symbol.name);
  for (auto it = first; it != last; ++it) {
    // A name that is local to a file may occur in several.
    if (symbol.local && stem(symbol.file) != stem(it->second.from->file)) continue;
    found = &it->second;
  }
  if (found == nullptr) refuse("no translation of " + symbol.name + " (of " + symbol.file + ")");
  const kernel &k = *found->what;
  if (k.entry == nullptr) throw cuda::device_error(GK_UNSUPPORTED, 0, "translated PTX: left out: " + symbol.name);
  const std::string target = found->from->target;
  if (k.argument_bytes != request.argument_bytes)
    refuse(symbol.name + " takes " + std::to_string(k.argument_bytes) + " bytes on the device and " +
           std::to_string(request.argument_bytes) + " on the host");
  if (k.most_threads != 0 && request.threads > k.most_threads)
    refuse(symbol.name + " is launched with " + std::to_string(request.threads) + " threads; at most " +
           std::to_string(k.most_threads) + " were promised to the compiler");
  const uint32_t version = uint32_t(std::stoul(target.substr(3)));
  if (request.compute_capability < version || (target.back() == 'a' && request.compute_capability != version))
    refuse(symbol.name + " of " + target + " is launched on compute capability " +
           std::to_string(request.compute_capability));
  g_used.insert(&k);
  return k.entry;
}

std::vector<const char *> kernels_never_launched() {
  std::vector<const char *> names;
  for (const auto &[name, e] : kernels_by_name())
    if (e.what->entry != nullptr && g_used.count(e.what) == 0) names.push_back(e.what->name);
  return names;
}

}  // namespace gonka::emulator::translated
