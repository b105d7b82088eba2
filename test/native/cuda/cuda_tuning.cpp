// What the CUDA backend chooses by measuring, and how the host keeps it: equivalent kernels give the same bits, the one
// that is fastest by the clock is taken and remembered, and a damaged file costs nothing but the measurement.
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "cuda/backend.hpp"
#include "device.hpp"
#include "number.hpp"
#include "runtime_emulator.hpp"
#include "tuning_store.hpp"

using namespace gonka;
namespace fs = std::filesystem;

namespace {

constexpr int64_t k_m = 260, k_n = 264, k_k = 136;  // whole in no tile

std::shared_ptr<const backend_library> library() {
  static const auto made = [] {
    auto fresh = std::make_shared<backend_library>();
    fresh->table = &cuda::backend();
    return fresh;
  }();
  return made;
}

std::string exported(const device &d) {
  uint64_t size = 0;
  std::string text(4096, '?');
  CHECK_EQ(int(cuda::backend().tuning_export(d.handle(), text.data(), text.size(), &size, nullptr)), int(GK_OK));
  return text.substr(0, size);
}

// C is D: a measurement that wrote to D would change what follows.
std::vector<uint16_t> product(device &d, uint32_t type, uint32_t implementation, bool pair) {
  stream s(d.shared_from_this());
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  const auto filled = [&](int64_t rows, int64_t columns) {
    std::vector<uint16_t> values(size_t(rows * columns));
    for (uint16_t &v : values) v = type == GK_F16 ? f32_to_f16(normal(random)) : f32_to_bf16(normal(random));
    buffer b(d, values.size() * 2);
    s.write(b, 0, values.data(), b.size());
    return b;
  };
  const buffer a = filled(k_m, k_k), b = filled(k_n, k_k), b2 = filled(k_n, k_k), c = filled(k_m, k_n);
  gk_gemm p{};
  p.struct_size = sizeof p;
  p.implementation = implementation;
  p.a_type = p.b_type = p.d_type = type;
  p.m = k_m, p.n = p.ldc = p.ldd = k_n, p.k = p.lda = p.ldb = k_k;
  p.alpha = 1;
  p.beta = pair ? 0 : 1;
  p.a = a.at(), p.b = b.at(), p.d = c.at();
  if (pair) {
    p.epilogue = GK_EPILOGUE_SWIGLU;
    p.b2 = b2.at();
  } else {
    p.c = c.at();
  }
  s.run(GK_OP_GEMM, &p);
  std::vector<uint16_t> out(size_t(k_m * k_n));
  s.read(c, 0, out.data(), out.size() * 2);
  return out;
}

uint32_t index_of(device &d, const std::string &name) {
  for (const implementation_status &i : d.implementations(GK_OP_GEMM))
    if (i.name == name) return i.index;
  return 0;
}

void variants_give_the_same_bits() {
  for (const auto &[device_index, name] : {std::pair(2u, "sm90_wgmma"), std::pair(0u, "sm80_mma")})
    for (const bool pair : {false, true}) {
      const auto d = device::open(library(), device_index, {});
      const uint32_t index = index_of(*d, name);
      const auto want = product(*d, GK_BF16, index, pair);
      CHECK_EQ(exported(*d), "");
      for (const char *variant : {"1", "2", "3"}) {
        const auto forced = device::open(library(), device_index, {});
        const std::string line =
            std::string("gemm ") + name + " bf16 bf16" + (pair ? " pair" : " add") + " 512 264 136\t" + variant + "\n";
        CHECK_EQ(int(cuda::backend().tuning_import(forced->handle(), line.data(), line.size(), nullptr)), int(GK_OK));
        CHECK_EQ(exported(*forced), line);
        CHECK(product(*forced, GK_BF16, index, pair) == want);
      }
    }
}

// cost: of a launch by its blocks. Wide tiles make fewer blocks than square ones.
void the_fastest_is_taken(const fs::path &cache) {
  const std::string key = "gemm sm90_wgmma f16 f16 add 512 264 136\t";
  const auto plain = device::open(library(), 2, {});
  const uint32_t wgmma = index_of(*plain, "sm90_wgmma");
  const auto want = product(*plain, GK_F16, wgmma, false);
  emulator::emulated_cost() = [](uint32_t blocks, uint32_t) { return float(1000 - blocks); };
  {
    const auto d = device::open(library(), 2, {});
    d->ensure_tested(GK_OP_GEMM);
    const uint64_t launches = emulator::emulated_launches();
    CHECK(product(*d, GK_F16, wgmma, false) == want);
    CHECK_EQ(exported(*d), key + "0\n");  // square: what the table says for so few tiles
    CHECK_EQ(emulator::emulated_launches() - launches, 4 * 4 + 1u);
    CHECK(product(*d, GK_F16, wgmma, false) == want);
    CHECK_EQ(emulator::emulated_launches() - launches, 4 * 4 + 2u);  // known now
  }
  const std::string path = tuning_path(*library(), plain->info());
  CHECK(path.starts_with(cache.string() + "/gonka-miner/tuning/cuda-emulated-"));
  std::string why;
  CHECK_EQ(read_tuning(path, &why), key + "0\n");

  emulator::emulated_cost() = [](uint32_t blocks, uint32_t) { return float(blocks); };
  {
    const auto d = device::open(library(), 2, {});
    d->ensure_tested(GK_OP_GEMM);
    const uint64_t launches = emulator::emulated_launches();
    CHECK(product(*d, GK_F16, wgmma, false) == want);
    CHECK_EQ(emulator::emulated_launches() - launches, 1u);  // kept, not measured again
  }
  // Damaged: said, ignored, made anew. The clock now prefers few blocks.
  fs::resize_file(path, fs::file_size(path) - 1);
  CHECK_EQ(read_tuning(path, &why), "");
  CHECK_EQ(why, path + ": is damaged or no tuning file; it is ignored and made anew");
  {
    const auto d = device::open(library(), 2, {});
    CHECK(product(*d, GK_F16, wgmma, false) == want);
    CHECK_EQ(exported(*d), key + "2\n");
  }
  CHECK_EQ(read_tuning(path, &why), key + "2\n");
  for (const fs::directory_entry &entry : fs::directory_iterator(fs::path(path).parent_path()))
    CHECK(entry.path().extension() == ".txt");  // no part of a file is left

  // Intact, but not in the backend's words.
  CHECK(write_tuning(path, "gemm; rm -rf\t1\n"));
  {
    const auto d = device::open(library(), 2, {});
    CHECK_EQ(exported(*d), "");
  }
  // A driver of another version measures for itself.
  gk_device_info other = plain->info();
  other.driver[0] = 'x';
  CHECK(tuning_path(*library(), other) != path);
  emulator::emulated_cost() = nullptr;
}

void what_import_refuses() {
  const auto d = device::open(library(), 2, {});
  const uint32_t wgmma = index_of(*d, "sm90_wgmma");
  const std::string good = "gemm sm90_wgmma f16 f16 512 264 136\t1\n";
  for (const std::string &text : {std::string("gemm"), good.substr(0, good.size() - 1), std::string("\t1\n"),
                                  std::string("gemm\t\n"), std::string("gemm\t-1\n"),
                                  std::string("gemm\t99999999999\n"), std::string("ge\0mm\t1\n", 8), good + "gemm x"}) {
    gk_error err{};
    err.struct_size = sizeof err;
    CHECK_EQ(int(cuda::backend().tuning_import(d->handle(), text.data(), text.size(), &err)), int(GK_INVALID_ARGUMENT));
    CHECK_EQ(exported(*d), "");
  }
  // A variant that there is not: the table decides.
  const std::string beyond = "gemm sm90_wgmma f16 f16 add 512 264 136\t77\n";
  const auto want = product(*d, GK_F16, wgmma, false);
  CHECK_EQ(int(cuda::backend().tuning_import(d->handle(), beyond.data(), beyond.size(), nullptr)), int(GK_OK));
  CHECK(product(*d, GK_F16, wgmma, false) == want);
}

void switched_off_or_nowhere_to_keep() {
  emulator::emulated_cost() = [](uint32_t, uint32_t) { return 1.f; };
  setenv("GONKA_AUTOTUNE", "off", 1);
  {
    const auto d = device::open(library(), 3, {});
    product(*d, GK_F16, index_of(*d, "sm80_mma"), false);
    CHECK_EQ(exported(*d), "");
  }
  unsetenv("GONKA_AUTOTUNE");
  setenv("XDG_CACHE_HOME", "/dev/null", 1);
  CHECK(!write_tuning(tuning_path(*library(), device::open(library(), 3, {})->info()), "x"));
  setenv("XDG_CACHE_HOME", "relative", 1);
  CHECK_EQ(tuning_path(*library(), device::open(library(), 3, {})->info()), "");
  emulator::emulated_cost() = nullptr;
}

}  // namespace

int main() {
  std::string folder = fs::temp_directory_path() / "tuning-XXXXXX";
  CHECK(mkdtemp(folder.data()) != nullptr);
  // Nothing is kept yet: each device begins with what the test gives it.
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  variants_give_the_same_bits();
  what_import_refuses();
  setenv("XDG_CACHE_HOME", folder.c_str(), 1);
  the_fastest_is_taken(folder);
  switched_off_or_nowhere_to_keep();
  fs::remove_all(folder);
  return check_summary();
}
