#include <algorithm>
#include <cstring>

#include "gemm_blocked.hpp"

namespace gonka::cpu {
namespace {

constexpr uint64_t k_magic = 0x314b4341504b47;  // "GKPACK1"
static_assert(sizeof(gemm_packed) <= k_packed_header);

// The plain facts of a gemm_layout: enough to find an element.
struct layout_form {
  uint32_t layout;
  int columns, group;
  uint8_t flip;  // xored with every byte
};

constexpr layout_form k_forms[] = {
    {k_layout_32x1, 32, 1, 0}, {k_layout_32x2, 32, 2, 0}, {k_layout_32x4_offset, 32, 4, 0x80},
    {k_layout_16x1, 16, 1, 0}, {k_layout_16x2, 16, 2, 0}, {k_layout_8x1, 8, 1, 0},
    {k_layout_8x4, 8, 4, 0},   {k_layout_32x4, 32, 4, 0}};

const layout_form *form_of(uint32_t layout) {
  for (const layout_form &form : k_forms)
    if (form.layout == layout) return &form;
  return nullptr;
}

const char *refuse_header(const gemm_packed &header, const gk_gemm &p) {
  if (header.magic != k_magic) return "b is not something gemm_pack made on this device";
  if (header.b_type != p.b_type) return "b was packed from another type";
  if (header.n != p.n || header.k != p.k) return "b was packed with another n or k";
  if (header.pair != uint32_t(p.epilogue == GK_EPILOGUE_SWIGLU)) return "b was packed for another epilogue";
  return nullptr;
}

}  // namespace

int64_t panel_outputs(const gemm_kernel &kernel, bool pair) noexcept {
  return pair ? kernel.columns / 2 : kernel.columns;
}

int64_t panel_count(const gemm_kernel &kernel, int64_t n, bool pair) noexcept {
  const int64_t outputs = panel_outputs(kernel, pair);
  return (n + outputs - 1) / outputs;
}

uint64_t panel_bytes(const gemm_kernel &kernel, int64_t k) noexcept {
  return uint64_t((k + kernel.group - 1) / kernel.group) * uint64_t(kernel.columns * kernel.b_unit);
}

uint64_t packed_bytes(const gemm_kernel &kernel, const gk_gemm_pack &pack) noexcept {
  const bool pair = pack.epilogue == GK_EPILOGUE_SWIGLU;
  return k_packed_header + uint64_t(panel_count(kernel, pack.n, pair)) * panel_bytes(kernel, pack.k);
}

void pack_weights(const gemm_kernel &kernel, const gk_gemm_pack &pack, const void *b, const void *b2, void *packed,
                  context &ctx) {
  const bool pair = pack.epilogue == GK_EPILOGUE_SWIGLU;
  gemm_packed header{};
  header.magic = k_magic;
  header.layout = kernel.layout;
  header.b_type = pack.b_type;
  header.pair = pair;
  header.n = pack.n;
  header.k = pack.k;
  header.bytes = packed_bytes(kernel, pack);
  std::memset(packed, 0, k_packed_header);
  std::memcpy(packed, &header, sizeof header);

  auto *panels = static_cast<std::byte *>(packed) + k_packed_header;
  const int64_t half = kernel.columns / 2, count = panel_count(kernel, pack.n, pair);
  const uint64_t bytes = panel_bytes(kernel, pack.k), row = uint64_t(pack.ldb) * dtype_size(pack.b_type);
  if (bytes == 0) return;
  // A few panels per task keep the hand-out cheap; 2^32 tasks would be more memory than there is.
  const int64_t group = std::max<int64_t>(1, count / (int64_t(ctx.pool.size()) * 16));
  ctx.pool.parallel_for(uint32_t((count + group - 1) / group), [&](uint32_t task, uint32_t) {
    for (int64_t panel = task * group; panel < std::min(count, (task + 1) * group); ++panel)
      for (int side = 0; side < 2; ++side) {
        const void *source = pair && side == 1 ? b2 : b;
        const int64_t begin = pair ? panel * half : panel * kernel.columns + side * half;
        const int64_t there = std::clamp<int64_t>(pack.n - begin, 0, half);
        kernel.pack_b(there == 0 ? nullptr : static_cast<const std::byte *>(source) + uint64_t(begin) * row, pack.ldb,
                      int(there), pack.k, side, panels + uint64_t(panel) * bytes);
      }
  });
}

const char *refuse_packed(const gemm_kernel &kernel, const gk_gemm &p, const void *packed, uint64_t size) noexcept {
  if (size < k_packed_header) return "packed b is smaller than its header";
  gemm_packed header;
  std::memcpy(&header, packed, sizeof header);
  if (const char *reason = refuse_header(header, p)) return reason;
  if (header.layout != kernel.layout) return "b was packed for another implementation";
  gk_gemm_pack made{};
  made.n = header.n;
  made.k = header.k;
  made.epilogue = p.epilogue;
  if (header.bytes != packed_bytes(kernel, made) || size < header.bytes) return "packed b is cut short";
  return nullptr;
}

const char *refuse_unpacking(const gk_gemm &p, const void *packed, uint64_t size) noexcept {
  if (size < k_packed_header) return "packed b is smaller than its header";
  gemm_packed header;
  std::memcpy(&header, packed, sizeof header);
  if (const char *reason = refuse_header(header, p)) return reason;
  const layout_form *form = form_of(header.layout);
  if (form == nullptr) return "b was packed in an unknown layout";
  const int64_t outputs = header.pair != 0 ? form->columns / 2 : form->columns;
  const uint64_t panels = uint64_t((p.n + outputs - 1) / outputs),
                 steps = uint64_t((p.k + form->group - 1) / form->group);
  const uint64_t bytes = panels * steps * uint64_t(form->columns * form->group) * dtype_size(p.b_type);
  if (header.bytes != k_packed_header + bytes || size < header.bytes) return "packed b is cut short";
  return nullptr;
}

void unpack_weights(const void *packed, std::byte *b, std::byte *b2) {
  gemm_packed header;
  std::memcpy(&header, packed, sizeof header);
  const layout_form &form = *form_of(header.layout);
  const uint64_t size = dtype_size(header.b_type), steps = uint64_t((header.k + form.group - 1) / form.group);
  const uint64_t columns = uint64_t(form.columns), group = uint64_t(form.group);
  const auto *panels = static_cast<const std::byte *>(packed) + k_packed_header;
  const uint64_t outputs = header.pair != 0 ? columns / 2 : columns;
  const auto copy = [&](std::byte *to, uint64_t first_column) {
    for (uint64_t row = 0; row < uint64_t(header.n); ++row)
      for (uint64_t x = 0; x < uint64_t(header.k); ++x) {
        const uint64_t column = first_column + row % outputs, step = row / outputs * steps + x / group;
        const std::byte *from = panels + ((step * columns + column) * group + x % group) * size;
        for (uint64_t byte = 0; byte < size; ++byte) *to++ = from[byte] ^ std::byte{form.flip};
      }
  };
  copy(b, 0);
  if (b2 != nullptr) copy(b2, columns / 2);
}

}  // namespace gonka::cpu
