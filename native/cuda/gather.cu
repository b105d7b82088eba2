// gather: one thread per element; indices outside are clamped, as the ABI asks of a backend that cannot see them.
#include "device/dispatch.hpp"
#include "device/elements.cuh"
#include "gather/gather.hpp"
#include "implementation.hpp"

namespace gonka::cuda {
namespace {

constexpr uint32_t k_threads = 256;

struct gather_args {
  int64_t rows, columns, x_rows, x_columns, ldx, ldo;
  uint32_t x_type, out_type;
  gptr<const uint8_t> x;
  gptr<const int32_t> row_index, column_index;
  gptr<uint8_t> out;
  uint32_t has_row_index, has_column_index;
};

GK_DEVICE int64_t clamp(int64_t index, int64_t count) {
  return index < 0 ? 0 : index >= count ? count - 1 : index;
}

GK_KERNEL(k_threads, 1)
gather_kernel(gather_args a) {
  const int64_t total = a.rows * a.columns;
  const int64_t step = int64_t(grid_dim().x) * k_threads;
  for (int64_t i = int64_t(block_idx().x) * k_threads + thread_idx().x; i < total; i += step) {
    const int64_t r = i / a.columns, c = i - r * a.columns;
    const int64_t row = clamp(a.has_row_index ? int64_t(ld_global(a.row_index + r)) : r, a.x_rows);
    const int64_t column = clamp(a.has_column_index ? int64_t(ld_global(a.column_index + i)) : c, a.x_columns);
    const float value = load_any(a.x, a.x_type, row * a.ldx + column);
    const int64_t to = r * a.ldo + c;
    if (a.out_type == GK_F32)
      st_global(ptr_cast<float>(a.out) + to, value);
    else
      st_global(ptr_cast<uint16_t>(a.out) + to,
                a.out_type == GK_F16 ? from_f32<f16>(value).bits : from_f32<bf16>(value).bits);
  }
}

void run(void *problem, places at, context &ctx) {
  const auto &p = *static_cast<const gk_gather *>(problem);
  if (p.rows == 0 || p.columns == 0) return;
  const gather_args a = {p.rows,
                         p.columns,
                         p.x_rows,
                         p.x_columns,
                         p.ldx,
                         p.ldo,
                         p.x_type,
                         p.out_type,
                         runtime::address<const uint8_t>(at[k_gather_x]),
                         runtime::address<const int32_t>(at[k_gather_row_index]),
                         runtime::address<const int32_t>(at[k_gather_column_index]),
                         runtime::address<uint8_t>(at[k_gather_out]),
                         at[k_gather_row_index] != nullptr,
                         at[k_gather_column_index] != nullptr};
  const int64_t blocks = ceil_div(p.rows * p.columns, k_threads), most = int64_t(ctx.can().multiprocessors) * 16;
  const runtime::launch_shape shape = {.grid_x = uint32_t(blocks < most ? blocks : most), .threads = k_threads};
  runtime::launch(ctx.stream(), &gather_kernel, shape, a);
}

constexpr implementation k_list[] = {
    {"generic", [](const void *, const capability &) -> const char * { return nullptr; }, nullptr, run}};

}  // namespace

std::span<const implementation> gather_list() noexcept {
  return k_list;
}

}  // namespace gonka::cuda
