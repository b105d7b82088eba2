// Finding and loading backend libraries: what loads, and what is said about what does not.
#include "plugin.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "backend.hpp"
#include "check.hpp"
#include "registry.hpp"

using namespace gonka;
namespace fs = std::filesystem;

namespace {

const std::string k_examples = GONKA_BINARY_DIR "/Release/examples";

template <class F>
std::string message_of(F &&f) {
  try {
    f();
    return "no error";
  } catch (const status_error &e) {
    return e.what();
  }
}

bool one_line(const std::string &text) {
  return text.find('\n') == std::string::npos;
}

void files_that_do_not_load(const fs::path &folder) {
  const auto refusal = [](const std::string &path) {
    const std::string text = message_of([&] { load_plugin(path); });
    CHECK(one_line(text));
    return text;
  };
  const std::string missing = folder / "missing.so";
  CHECK_EQ(refusal(missing), missing + ": no such file");
  CHECK_EQ(refusal(""), "backend library: the path is empty");
  CHECK_EQ(refusal(folder), folder.string() + ": is a folder; expected a shared library");
  const std::string text_file = folder / "text.so";
  std::ofstream(text_file) << "this is not a library\n";
  CHECK(refusal(text_file).starts_with(text_file + ": does not load as a shared library: "));
  const std::string empty_file = folder / "empty.so";
  std::ofstream{empty_file};
  CHECK(refusal(empty_file).starts_with(empty_file + ": does not load as a shared library: "));
  const std::string cut = folder / "cut.so";
  fs::copy_file(k_examples + "/gonka_example_backend.so", cut);
  for (const uintmax_t size : {9000u, 3000u, 70u}) {
    fs::resize_file(cut, size);
    CHECK(refusal(cut).starts_with(cut + ": is cut off: "));
  }
  CHECK_EQ(refusal("/dev/null"), "/dev/null: is not a regular file; expected a shared library");
  // The C library is a fine shared library, only not a backend.
  for (const char *path : {"/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6"})
    if (fs::exists(path)) CHECK(refusal(path).ends_with(": exports no symbol gk_backend_entry; it is not a backend"));
}

void tables_that_are_refused() {
  const auto refusal = [](auto &&change) {
    gk_backend table = cpu::backend();
    change(table);
    return message_of([&] { complete_table(&table, "x.so"); });
  };
  CHECK_EQ(message_of([] { complete_table(nullptr, "x.so"); }),
           "x.so: gk_backend_entry returned NULL: it does not serve hosts of ABI version 1");
  CHECK_EQ(refusal([](gk_backend &t) { t.abi_major = 2; }), "x.so: made for ABI version 2; this host speaks version 1");
  CHECK_EQ(refusal([](gk_backend &t) { t.struct_size = 4; }),
           "x.so: gk_backend.struct_size is 4, expected at least 128");
  CHECK_EQ(refusal([](gk_backend &t) { t.struct_size = 127; }),
           "x.so: gk_backend.struct_size is 127, expected at least 128 (up to the entry run)");
  CHECK_EQ(refusal([](gk_backend &t) { t.run = nullptr, t.synchronize = nullptr; }),
           "x.so: required entries are NULL: synchronize, run");
  CHECK_EQ(refusal([](gk_backend &t) { t.name = nullptr; }), "x.so: gk_backend.name is NULL");
  for (const char *name : {"", "Cuda", "my backend", "a:0", "0123456789abcdef0123456789abcdef"})
    CHECK_EQ(refusal([&](gk_backend &t) { t.name = name; }),
             "x.so: gk_backend.name is '" + std::string(name) + "'; expected 1 to 31 characters of a-z, 0-9, _ and -");
}

// A table of another age: entries past its struct_size are absent, whatever lies behind it in memory; entries that this
// host does not know are ignored.
void tables_of_other_ages() {
  gk_backend older = cpu::backend();
  older.struct_size = offsetof(gk_backend, buffer_pointer);
  gk_backend full = complete_table(&older, "x.so");
  CHECK(full.implementation != nullptr && full.buffer_pointer == nullptr && full.gemm_pack == nullptr);
  older.struct_size += 4;  // half of an entry is no entry
  CHECK(complete_table(&older, "x.so").buffer_pointer == nullptr);
  older.struct_size = offsetof(gk_backend, implementation);
  full = complete_table(&older, "x.so");
  CHECK(full.implementation == nullptr && full.run == cpu::backend().run);
  struct {
    gk_backend known;
    void *later[8];
  } newer = {cpu::backend(), {}};
  newer.known.struct_size = sizeof newer;
  newer.known.abi_minor = 7;
  for (void *&entry : newer.later) entry = &newer;
  full = complete_table(&newer.known, "x.so");
  CHECK(full.struct_size == sizeof full && full.gemm_pack == cpu::backend().gemm_pack);
}

void searching(const fs::path &folder) {
  fs::create_directories(folder / "some");
  for (const char *name : {"some/gonka_b.so", "some/gonka_a.so", "some/other.so", "some/gonka_notes.txt"})
    std::ofstream(folder / name) << "x";
  const std::string text =
      (folder / "absent.so").string() + "::" + (folder / "some").string() + ":" + (folder / "some/gonka_b.so").string();
  setenv("GONKA_BACKEND_PATH", text.c_str(), 1);
  const std::vector<std::string> found = candidate_backends();
  unsetenv("GONKA_BACKEND_PATH");
  const std::vector<std::string> want = {folder / "absent.so", folder / "some/gonka_a.so", folder / "some/gonka_b.so"};
  CHECK(found.size() >= want.size() && std::equal(want.begin(), want.end(), found.begin()));
  for (const std::string &path : candidate_backends()) CHECK(path.find("/examples/") == std::string::npos);
}

void registering(const fs::path &folder) {
  const std::string path = k_examples + "/gonka_example_backend.so";
  const auto first = load_backend(path);
  CHECK(first == load_backend(k_examples + "/../examples/gonka_example_backend.so"));
  CHECK_EQ(loaded_backends().size(), 2u);
  CHECK_EQ(std::string(loaded_backends()[0]->table->name), "cpu");
  CHECK_EQ(first->sha256().size(), 64u);
  CHECK(cpu_library()->sha256().size() == 64 && cpu_library()->sha256() != first->sha256());

  const std::string copy = folder / "gonka_copy.so";
  fs::copy_file(path, copy);
  CHECK_EQ(message_of([&] { load_backend(copy); }),
           copy + ": calls itself 'example', which is the name of " + first->path + ", already loaded");
  CHECK_EQ(loaded_backends().size(), 2u);

  CHECK_EQ(open_device("example", {})->id(), "example:0");
  CHECK_EQ(open_device("cpu:0", {.threads = 1})->id(), "cpu:0");
  CHECK_EQ(message_of([] { open_device("example:1", {}); }), "device 'example:1' does not exist: example has 1 device");
  CHECK_EQ(message_of([] { open_device("cuda:0", {}); }),
           "device 'cuda:0': no backend is called 'cuda'; loaded: cpu, example");
  for (const char *id : {"cpu:", "cpu:x", "cpu:0x", "cpu:-1", "cpu:99999999999"})
    CHECK_EQ(message_of([&] { open_device(id, {}); }),
             "device '" + std::string(id) + "': expected <backend> or <backend>:<index>, as cpu:0");
}

void probing() {
  const probe_report bad = probe("/nowhere/x.so");
  CHECK(bad.error == "/nowhere/x.so: no such file" && bad.devices.empty());
  const probe_report good = probe(k_examples + "/gonka_example_backend.so");
  CHECK_EQ(good.error, "");
  CHECK_EQ(good.name, "example");
  CHECK_EQ(good.version, "1.0.0");
  if (!CHECK_EQ(good.devices.size(), 1u)) return;
  CHECK_EQ(good.devices[0].error, "");
  CHECK_EQ(good.devices[0].id, "example:0");
  CHECK_EQ(std::string(good.devices[0].info.name), "Example accelerator");
  CHECK_EQ(good.devices[0].gemm.size(), 1u);
  CHECK_EQ(good.devices[0].gemm[0].name, "default");
}

}  // namespace

int main() {
  const fs::path folder = fs::temp_directory_path() / ("gonka-plugin-" + std::to_string(getpid()));
  fs::create_directories(folder);
  const fs::path resolved = fs::canonical(folder);
  files_that_do_not_load(resolved);
  tables_that_are_refused();
  tables_of_other_ages();
  searching(resolved);
  registering(resolved);
  probing();
  fs::remove_all(resolved);
  return check_summary();
}
