#include "time_model.hpp"

#include <algorithm>
#include <cstdio>

namespace gonka::emulator {
namespace {

constexpr double k_shared_bytes_per_cycle = 128;

constexpr architecture k_architectures[] = {
    {80, "A100", 108, 1.41e9, 2048, 47, 2.04e12},
    {89, "L40S", 142, 2.49e9, 1024, 16, 0.864e12},
    {90, "H100", 132, 1.75e9, 4096, 39, 3.35e12},
    {100, "B200", 148, 1.85e9, 8192, 48, 8.0e12},
};

}  // namespace

const architecture *architecture_of(uint32_t compute_capability) noexcept {
  for (const architecture &a : k_architectures)
    if (a.compute_capability == compute_capability) return &a;
  return nullptr;
}

modelled_time model_time(const counters &c, const architecture &on, uint32_t operand_bytes, double compulsory_bytes) {
  const double cycles_per_second = on.hertz * on.multiprocessors;
  modelled_time t{};
  t.tensor_cores = double(c.mma_operations) / (on.mma_operations * (operand_bytes == 1 ? 2 : 1)) / cycles_per_second;
  // What copies bring is written once; a wavefront moves all that the banks give in a cycle.
  const double copied = double(c.cp_async_bytes + c.bulk_copy_bytes);
  const double wavefronts = double(c.ldmatrix_wavefronts + c.shared_load_wavefronts + c.shared_store_wavefronts);
  t.shared_memory = (wavefronts + (copied + double(c.mma_shared_bytes)) / k_shared_bytes_per_cycle) / cycles_per_second;
  const double sectors = 32 * double(c.global_load_sectors + c.global_store_sectors);
  t.l2 = (copied + sectors) / on.l2_bytes / cycles_per_second;
  t.memory = compulsory_bytes / on.memory_bytes_second;
  const struct {
    double seconds;
    const char *name;
  } units[] = {
      {t.tensor_cores, "tensor cores"}, {t.shared_memory, "shared memory"}, {t.l2, "L2"}, {t.memory, "device memory"}};
  const auto *slowest = std::max_element(std::begin(units), std::end(units),
                                         [](const auto &a, const auto &b) { return a.seconds < b.seconds; });
  t.total = slowest->seconds;
  t.limit = slowest->name;
  t.roofline = std::max(t.tensor_cores, t.memory);
  const double inside = std::max({t.tensor_cores, t.shared_memory, t.l2});
  t.peak_share = inside > 0 ? t.tensor_cores / inside : 0;
  return t;
}

std::string to_text(const modelled_time &t) {
  char text[320];
  std::snprintf(
      text, sizeof text,
      "tensor cores %.3g us, shared memory %.3g, L2 %.3g, device memory %.3g: %.3g us by %s; roofline %.3g us, "
      "%.0f %% of it; without device memory %.0f %% of the tensor cores' peak",
      1e6 * t.tensor_cores, 1e6 * t.shared_memory, 1e6 * t.l2, 1e6 * t.memory, 1e6 * t.total, t.limit, 1e6 * t.roofline,
      t.total > 0 ? 100 * t.roofline / t.total : 0, 100 * t.peak_share);
  return text;
}

}  // namespace gonka::emulator
