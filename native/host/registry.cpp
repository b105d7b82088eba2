#include "registry.hpp"

#include <dlfcn.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "backend.hpp"
#include "plugin.hpp"
#include "sha256.hpp"
#include "status.hpp"

namespace gonka {
namespace {

namespace fs = std::filesystem;

// The file that holds this code: the addon, or a test program. Empty if that cannot be told.
std::string own_file() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void *>(&cpu_library), &info) == 0 || info.dli_fname == nullptr) return {};
  std::error_code ignored;
  const fs::path path = fs::canonical(info.dli_fname, ignored);
  return path.string();
}

struct registry {
  std::mutex mutex;
  std::vector<std::shared_ptr<const backend_library>> libraries;
};

// Never destroyed: libraries must not be unloaded while the process is ending.
registry &all() {
  static registry &instance = *[] {
    auto *made = new registry;
    auto cpu = std::make_shared<backend_library>();
    cpu->table = &cpu::backend();
    made->libraries.push_back(std::move(cpu));
    return made;
  }();
  return instance;
}

void add_folder(const fs::path &folder, std::vector<std::string> &out) {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("gonka_") && name.ends_with(".so")) found.push_back(entry.path().string());
  }
  std::sort(found.begin(), found.end());
  out.insert(out.end(), found.begin(), found.end());
}

std::string names_of(const std::vector<std::shared_ptr<const backend_library>> &libraries) {
  std::string text;
  for (const auto &library : libraries) text += (text.empty() ? "" : ", ") + std::string(library->table->name);
  return text;
}

}  // namespace

const std::string &backend_library::sha256() const {
  std::call_once(hashed_, [this] {
    std::ifstream file(path.empty() ? own_file() : path, std::ios::binary);
    gonka::sha256 hash;
    std::vector<uint8_t> piece(size_t(1) << 20);
    while (file) {
      file.read(reinterpret_cast<char *>(piece.data()), std::streamsize(piece.size()));
      hash.update(std::span(piece).first(size_t(file.gcount())));
    }
    if (file.eof()) sha256_ = to_hex(hash.finish());
  });
  return sha256_;
}

std::shared_ptr<const backend_library> cpu_library() {
  registry &r = all();
  const std::lock_guard lock(r.mutex);
  return r.libraries.front();
}

std::vector<std::string> candidate_backends() {
  std::vector<std::string> candidates;
  if (const char *text = std::getenv("GONKA_BACKEND_PATH")) {
    const std::string list = text;
    for (size_t begin = 0; begin <= list.size();) {
      const size_t end = std::min(list.find(':', begin), list.size());
      const std::string entry = list.substr(begin, end - begin);
      std::error_code ignored;
      const size_t before = candidates.size();
      if (fs::is_directory(entry, ignored)) add_folder(entry, candidates);
      if (!entry.empty() && candidates.size() == before) candidates.push_back(entry);
      begin = end + 1;
    }
  }
  if (const std::string file = own_file(); !file.empty()) add_folder(fs::path(file).parent_path(), candidates);

  std::vector<std::string> unique;
  for (const std::string &candidate : candidates) {
    std::error_code failed;
    const fs::path resolved = fs::canonical(candidate, failed);
    const std::string path = failed ? candidate : resolved.string();
    if (std::find(unique.begin(), unique.end(), path) == unique.end()) unique.push_back(path);
  }
  return unique;
}

std::shared_ptr<const backend_library> load_backend(const std::string &path, const std::string &alias) {
  std::shared_ptr<const backend_library> loaded = load_plugin(path, alias);
  registry &r = all();
  const std::lock_guard lock(r.mutex);
  for (const auto &library : r.libraries) {
    if (library->path == loaded->path) return library;
    if (std::string(library->table->name) == loaded->table->name)
      throw status_error(GK_INVALID_ARGUMENT,
                         loaded->path + ": calls itself '" + loaded->table->name + "', which is the name of " +
                             (library->path.empty() ? "the built-in backend" : library->path + ", already loaded"));
  }
  r.libraries.push_back(loaded);
  return loaded;
}

std::vector<std::shared_ptr<const backend_library>> loaded_backends() {
  registry &r = all();
  const std::lock_guard lock(r.mutex);
  return r.libraries;
}

uint32_t device_count(const backend_library &library, std::string *why) {
  uint32_t count = 0;
  error_report err;
  const gk_status status = library.table->device_count(&count, &err);
  if (status != GK_OK) count = 0;
  if (count == 0 && why != nullptr)
    *why = status == GK_OK && err.message[0] == '\0' ? "the backend found no device" : err.text(status);
  return count;
}

std::shared_ptr<device> open_device(const std::string &id, device::options options) {
  const size_t colon = std::min(id.find(':'), id.size());
  const std::string name = id.substr(0, colon);
  uint32_t index = 0;
  if (colon != id.size()) {
    const char *begin = id.data() + colon + 1, *end = id.data() + id.size();
    const auto [stop, failed] = std::from_chars(begin, end, index);
    if (failed != std::errc() || stop != end)
      throw status_error(GK_INVALID_ARGUMENT, "device '" + id + "': expected <backend> or <backend>:<index>, as cpu:0");
  }
  const auto libraries = loaded_backends();
  for (const auto &library : libraries) {
    if (name != library->table->name) continue;
    std::string why;
    const uint32_t count = device_count(*library, &why);
    if (count == 0) throw status_error(GK_INVALID_ARGUMENT, "device '" + id + "': " + name + " has no device: " + why);
    if (index >= count)
      throw status_error(GK_INVALID_ARGUMENT, "device '" + id + "' does not exist: " + name + " has " +
                                                  std::to_string(count) + (count == 1 ? " device" : " devices"));
    return device::open(library, index, options);
  }
  throw status_error(GK_INVALID_ARGUMENT,
                     "device '" + id + "': no backend is called '" + name + "'; loaded: " + names_of(libraries));
}

}  // namespace gonka
