#include "tuning_store.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>

#include "sha256.hpp"

namespace gonka {
namespace {

namespace fs = std::filesystem;

constexpr const char *k_first_line = "gonka-miner tuning 1 ";
constexpr uintmax_t k_most_bytes = uintmax_t(1) << 20;

std::string sha256_of(const std::string &text) {
  sha256 hash;
  hash.update(std::span(reinterpret_cast<const uint8_t *>(text.data()), text.size()));
  return to_hex(hash.finish());
}

fs::path cache_folder() {
  for (const auto &[variable, below] : {std::pair("XDG_CACHE_HOME", ""), std::pair("HOME", ".cache")}) {
    const char *value = std::getenv(variable);
    if (value != nullptr && *value == '/') return fs::path(value) / below / "gonka-miner" / "tuning";
  }
  return {};
}

}  // namespace

std::string tuning_path(const backend_library &library, const gk_device_info &info) {
  const fs::path folder = cache_folder();
  if (folder.empty() || library.sha256().empty()) return {};
  const char separator = '\n';
  const std::string identity = std::string(info.unique_id) + separator + info.name + separator + info.arch + separator +
                               info.driver + separator + library.sha256();
  return folder / (std::string(library.table->name) + "-" + sha256_of(identity).substr(0, 32) + ".txt");
}

std::string read_tuning(const std::string &path, std::string *why) {
  std::error_code failed;
  const uintmax_t size = fs::file_size(path, failed);
  if (failed) return {};  // the first time
  std::ifstream file(path, std::ios::binary);
  std::string first, text;
  if (size <= k_most_bytes && std::getline(file, first)) text.assign(std::istreambuf_iterator<char>(file), {});
  if (text.empty() || first != k_first_line + sha256_of(text)) {
    *why = path + ": is damaged or no tuning file; it is ignored and made anew";
    return {};
  }
  return text;
}

bool write_tuning(const std::string &path, const std::string &text) {
  static std::atomic<uint32_t> turn{0};
  const std::string part = path + "." + std::to_string(getpid()) + "." + std::to_string(turn++) + ".part";
  std::error_code failed;
  fs::create_directories(fs::path(path).parent_path(), failed);
  {
    std::ofstream file(part, std::ios::binary | std::ios::trunc);
    file << k_first_line << sha256_of(text) << '\n' << text;
    file.close();
    if (!file) {
      fs::remove(part, failed);
      return false;
    }
  }
  fs::rename(part, path, failed);
  if (!failed) return true;
  std::error_code ignored;
  fs::remove(part, ignored);
  return false;
}

}  // namespace gonka
