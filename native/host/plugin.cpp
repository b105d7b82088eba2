#include "plugin.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>

#include "registry.hpp"
#include "status.hpp"

namespace gonka {
namespace {

struct loaded_library {
  void *handle = nullptr;
  gk_backend table{};
  std::string alias;
  ~loaded_library() {
    if (handle != nullptr) dlclose(handle);
  }
};

[[noreturn]] void refuse(const std::string &origin, const std::string &reason) {
  throw status_error(GK_INVALID_ARGUMENT, origin + ": " + reason);
}

std::string absolute_path(const std::string &path) {
  struct stat info;
  if (path.empty()) refuse("backend library", "the path is empty");
  if (stat(path.c_str(), &info) != 0)
    refuse(path, errno == ENOENT ? "no such file" : std::string("cannot be read: ") + std::strerror(errno));
  if (S_ISDIR(info.st_mode)) refuse(path, "is a folder; expected a shared library");
  if (!S_ISREG(info.st_mode)) refuse(path, "is not a regular file; expected a shared library");
  char *resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) refuse(path, std::string("cannot be read: ") + std::strerror(errno));
  std::string text = resolved;
  std::free(resolved);
  return text;
}

// The dynamic linker maps what the program headers promise without looking at the file's length, and a process that
// touches a page beyond the end dies of SIGBUS. So an unfinished copy or download is recognised here.
void check_complete(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(0, std::ios::end);
  const uint64_t size = uint64_t(file.tellg());
  file.seekg(0);
  ElfW(Ehdr) header;
  file.read(reinterpret_cast<char *>(&header), sizeof header);
  // What is not ELF, or not of this machine's kind, the linker explains itself.
  if (!file || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(ElfW(Phdr))) return;
  if (header.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)) return;
  uint64_t needed = 0;
  file.seekg(std::streamoff(header.e_phoff));
  for (uint32_t i = 0; i < header.e_phnum; ++i) {
    ElfW(Phdr) segment;
    if (!file.read(reinterpret_cast<char *>(&segment), sizeof segment))
      refuse(path, "is cut off: its program headers are missing");
    if (segment.p_type == PT_LOAD && segment.p_filesz <= UINT64_MAX - segment.p_offset)
      needed = std::max<uint64_t>(needed, segment.p_offset + segment.p_filesz);
  }
  if (needed > size)
    refuse(path, "is cut off: " + std::to_string(size) + " of at least " + std::to_string(needed) + " bytes");
}

// dlerror() without the path it begins with.
std::string linker_message(const std::string &path) {
  const char *text = dlerror();
  if (text == nullptr) return "the dynamic linker gave no reason";
  std::string message = text;
  if (message.starts_with(path + ": ")) message.erase(0, path.size() + 2);
  return message;
}

constexpr const char *k_name_rule = "expected 1 to 31 characters of a-z, 0-9, _ and -";

bool good_name(const char *name) {
  const size_t length = strnlen(name, 32);
  if (length == 0 || length > 31) return false;
  return std::strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

struct entry {
  const char *name;
  size_t offset;
};

#define ENTRY(NAME) {#NAME, offsetof(gk_backend, NAME)}
constexpr entry k_required[] = {ENTRY(device_count), ENTRY(device_open),  ENTRY(device_close), ENTRY(device_info),
                                ENTRY(stream_open),  ENTRY(stream_close), ENTRY(synchronize),  ENTRY(buffer_alloc),
                                ENTRY(buffer_free),  ENTRY(buffer_write), ENTRY(buffer_read),  ENTRY(run)};
#undef ENTRY

// The C boundary carries no exception, but a careless C++ library must not end the process here.
const gk_backend *call_entry(gk_backend_entry_fn entry_point, const std::string &path) {
  try {
    return entry_point(GK_ABI_MAJOR);
  } catch (...) {
    refuse(path, "gk_backend_entry threw an exception");
  }
}

}  // namespace

gk_backend complete_table(const gk_backend *given, const std::string &origin) {
  const std::string major = std::to_string(GK_ABI_MAJOR);
  if (given == nullptr)
    refuse(origin, "gk_backend_entry returned NULL: it does not serve hosts of ABI version " + major);
  // struct_size and the version are where every version of the ABI has them.
  if (given->struct_size < offsetof(gk_backend, reserved))
    refuse(origin, "gk_backend.struct_size is " + std::to_string(given->struct_size) + ", expected at least " +
                       std::to_string(offsetof(gk_backend, run) + sizeof given->run));
  if (given->abi_major != GK_ABI_MAJOR)
    refuse(origin, "made for ABI version " + std::to_string(given->abi_major) + "; this host speaks version " + major);
  if (!GK_HAS(given, gk_backend, run))
    refuse(origin, "gk_backend.struct_size is " + std::to_string(given->struct_size) + ", expected at least " +
                       std::to_string(offsetof(gk_backend, run) + sizeof given->run) + " (up to the entry run)");
  gk_backend full{};
  std::memcpy(&full, given, std::min<size_t>(given->struct_size, sizeof full));
  // An entry cut in the middle by a strange struct_size is absent.
  if (!GK_HAS(given, gk_backend, implementation)) full.implementation = nullptr;
  if (!GK_HAS(given, gk_backend, buffer_pointer)) full.buffer_pointer = nullptr;
  if (!GK_HAS(given, gk_backend, gemm_pack)) full.gemm_pack = nullptr;
  if (!GK_HAS(given, gk_backend, device_telemetry)) full.device_telemetry = nullptr;
  // Half of a group is none of it.
  if (!GK_HAS(given, gk_backend, recording_free) || full.record_begin == nullptr || full.record_end == nullptr ||
      full.replay == nullptr || full.recording_free == nullptr)
    full.record_begin = nullptr, full.record_end = nullptr, full.replay = nullptr, full.recording_free = nullptr;
  if (!GK_HAS(given, gk_backend, choice)) full.choice = nullptr;
  if (!GK_HAS(given, gk_backend, tuning_import) || full.tuning_export == nullptr || full.tuning_import == nullptr)
    full.tuning_export = nullptr, full.tuning_import = nullptr;
  full.struct_size = sizeof full;

  std::string missing;
  for (const entry &e : k_required) {
    void (*function)() = nullptr;
    std::memcpy(&function, reinterpret_cast<const char *>(&full) + e.offset, sizeof function);
    if (function == nullptr) missing += (missing.empty() ? "" : ", ") + std::string(e.name);
  }
  if (!missing.empty()) refuse(origin, "required entries are NULL: " + missing);
  if (full.name == nullptr) refuse(origin, "gk_backend.name is NULL");
  if (!good_name(full.name))
    refuse(origin, "gk_backend.name is '" + std::string(full.name, strnlen(full.name, 40)) + "'; " + k_name_rule);
  if (full.version == nullptr) full.version = "";
  return full;
}

std::shared_ptr<const backend_library> load_plugin(const std::string &given_path, const std::string &alias) {
  const std::string path = absolute_path(given_path);
  check_complete(path);
  auto loaded = std::make_shared<loaded_library>();
  loaded->handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (loaded->handle == nullptr) refuse(path, "does not load as a shared library: " + linker_message(path));
  void *symbol = dlsym(loaded->handle, GK_BACKEND_ENTRY_NAME);
  if (symbol == nullptr) refuse(path, "exports no symbol " GK_BACKEND_ENTRY_NAME "; it is not a backend");
  gk_backend_entry_fn entry_point = nullptr;
  std::memcpy(&entry_point, &symbol, sizeof entry_point);
  loaded->table = complete_table(call_entry(entry_point, path), path);
  if (!alias.empty()) {
    if (!good_name(alias.c_str())) refuse(path, "cannot be called '" + alias + "'; " + k_name_rule);
    loaded->alias = alias;
    loaded->table.name = loaded->alias.c_str();
  }

  auto library = std::make_shared<backend_library>();
  library->table = &loaded->table;
  library->path = path;
  library->handle = std::move(loaded);
  return library;
}

probe_report probe(const std::string &path) noexcept {
  probe_report report;
  try {
    const std::shared_ptr<const backend_library> library = load_plugin(path);
    report.name = library->table->name;
    report.version = library->table->version;
    const uint32_t count = device_count(*library, &report.no_devices);
    for (uint32_t index = 0; index < count; ++index) {
      probe_report::probed_device &probed = report.devices.emplace_back();
      probed.id = report.name + ":" + std::to_string(index);
      try {
        const std::shared_ptr<device> d = device::open(library, index, {});
        d->on_notice([&](const std::string &sentence) { probed.notices.push_back(sentence); });
        probed.info = d->info();
        probed.gemm = d->implementations(GK_OP_GEMM);
        d->on_notice(nullptr);
      } catch (const std::exception &e) {
        probed.error = e.what();
      }
    }
  } catch (const std::exception &e) {
    report.error = e.what();
  }
  return report;
}

}  // namespace gonka
