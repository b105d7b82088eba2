#include "normal_fill.hpp"

#include <algorithm>
#include <array>

#include "normal_fill/ziggurat.hpp"

namespace gonka::cpu {
namespace {

constexpr int64_t k_piece = 1 << 14;         // pairs of one murmur task
constexpr uint64_t k_most_tasks = 1u << 20;  // in one parallel_for

void pcg_row(const normal_kernels &kernels, const gk_normal_fill &p, int64_t row, char *out) {
  const uint64_t *seed = p.seeds_u64 + 4 * row;
  normal_reader reader({uint128(seed[0]) << 64 | seed[1], uint128(seed[2]) << 64 | seed[3]});
  const int64_t size = dtype_size(p.out_type);
  std::array<double, 1024> block;
  for (int64_t done = 0; done < p.columns;) {
    const int64_t count = std::min<int64_t>(int64_t(block.size()), p.columns - done);
    reader.read(block.data(), size_t(count));
    kernels.convert(block.data(), count, p.sigma, p.out_type, out + done * size);
    done += count;
  }
}

}  // namespace

void normal_fill_with(const normal_kernels &kernels, const gk_normal_fill &p, void *out, context &ctx) {
  const int64_t size = dtype_size(p.out_type);
  const bool murmur = p.generator == GK_NORMAL_MURMUR3;
  const int64_t pieces = murmur ? (normal_segment_of(p, 0).count + 2 * k_piece - 1) / (2 * k_piece) : 1;
  const uint64_t tasks = uint64_t(p.rows) * (murmur ? p.segments : 1) * uint64_t(p.columns == 0 ? 0 : pieces);
  for (uint64_t first = 0; first < tasks; first += k_most_tasks)
    ctx.pool.parallel_for(uint32_t(std::min(k_most_tasks, tasks - first)), [&](uint32_t t, uint32_t) {
      const uint64_t task = first + t;
      const uint64_t segments = murmur ? p.segments : 1;
      const int64_t row = int64_t(task / uint64_t(pieces) / segments);
      char *start = static_cast<char *>(out) + row * p.ldo * size;
      if (!murmur) return pcg_row(kernels, p, row, start);
      const uint32_t number = uint32_t(task / uint64_t(pieces) % segments);
      const normal_segment segment = normal_segment_of(p, number);
      const int64_t pairs = (segment.count + 1) / 2, begin = int64_t(task % uint64_t(pieces)) * k_piece;
      if (begin >= pairs) return;
      kernels.murmur({.seed = p.seeds_u32[uint64_t(row) * segments + number],
                      .count = segment.count,
                      .begin = begin,
                      .end = std::min(pairs, begin + k_piece),
                      .sigma = float(p.sigma),
                      .type = p.out_type,
                      .out = start + segment.begin * size});
    });
}

}  // namespace gonka::cpu
