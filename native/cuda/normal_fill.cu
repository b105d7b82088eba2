// normal_fill: seeded normals of both generators.
//
// Murmur3: a thread per pair of values. PCG64: a block per row. The generator can jump to any draw, but how many draws
// a normal takes depends on the draws (1 in 98.8 % of cases), so where a thread's part begins is known only once its
// left neighbour is done. Every thread therefore walks its part as if a normal began at its first draw, and walks it
// again if the neighbour turns out to reach into it, until nobody's beginning moves any more: two walks, almost always.
#include "device/dispatch.hpp"
#include "device/elements.cuh"
#include "device/pcg64.cuh"
#include "implementation.hpp"
#include "normal_fill/normal_fill.hpp"
#include "normal_fill/ziggurat.hpp"

namespace gonka::cuda {
namespace {

constexpr uint32_t k_threads = 256;

struct murmur_args {
  int64_t rows, columns, ldo, segment_columns, segment_pairs;
  uint32_t segments, out_type;
  float sigma;
  gptr<const uint32_t> seeds;
  gptr<uint8_t> out;
};

GK_DEVICE uint32_t murmur3(uint32_t key, uint32_t seed) {
  const uint32_t k = rotate_right(key * 0xcc9e2d51u, 17) * 0x1b873593u;
  uint32_t h = rotate_right(seed ^ k, 19) * 5 + 0xe6546b64u;
  h = (h ^ h >> 16) * 0x85ebca6bu;
  h = (h ^ h >> 13) * 0xc2b2ae35u;
  return h ^ h >> 16;
}

GK_DEVICE void store_value(gptr<uint8_t> out, uint32_t type, int64_t index, float value) {
  if (type == GK_F32)
    st_global(ptr_cast<float>(out) + index, value);
  else
    st_global(ptr_cast<uint16_t>(out) + index, type == GK_F16 ? from_f32<f16>(value).bits : from_f32<bf16>(value).bits);
}

GK_KERNEL(k_threads, 1)
murmur_kernel(murmur_args a) {
  const int64_t row_pairs = a.segments * a.segment_pairs, total = a.rows * row_pairs;
  const int64_t step = int64_t(grid_dim().x) * k_threads;
  for (int64_t index = int64_t(block_idx().x) * k_threads + thread_idx().x; index < total; index += step) {
    const int64_t row = index / row_pairs, in_row = index - row * row_pairs;
    const int64_t segment = in_row / a.segment_pairs, i = in_row - segment * a.segment_pairs;
    const int64_t begin = segment * a.segment_columns;
    const int64_t left = a.columns - begin, count = left < a.segment_columns ? left : a.segment_columns;
    const int64_t pairs = (count + 1) / 2;
    if (i >= pairs) continue;  // a short last segment
    const uint32_t seed = ld_global(a.seeds + (row * a.segments + segment));
    float u1 = float(murmur3(uint32_t(i), seed)) * 0x1p-32f;
    if (u1 < k_smallest_u1) u1 = k_smallest_u1;
    const float u2 = float(murmur3(uint32_t(pairs + i), seed)) * 0x1p-32f;
    const float radius = sqrt_rn(-2 * log_f32(u1)), angle = k_two_pi * u2;
    const int64_t to = row * a.ldo + begin + i;
    store_value(a.out, a.out_type, to, radius * cos_f32(angle) * a.sigma);
    if (pairs + i < count) store_value(a.out, a.out_type, to + pairs, radius * sin_f32(angle) * a.sigma);
  }
}

// ------------------------------------------------------------------------------------------------------------- PCG64

constexpr uint32_t k_part = 16;  // draws a thread walks at a time

constexpr uint32_t k_jumps = 13;  // up to k_threads * k_part draws
static_assert(1u << (k_jumps - 1) == k_threads * k_part);

struct pcg_args {
  int64_t columns, ldo;
  uint32_t out_type;
  double sigma;
  gptr<const uint64_t> seeds;
  gptr<const uint64_t> inside;  // 256 each
  gptr<const double> width, height;
  gptr<uint8_t> out;
  pcg_jump jumps[k_jumps];
};

GK_DEVICE double uniform(uint64_t draw) {
  return double(draw >> 11) * 0x1p-53;
}

// One attempt at a normal: how many draws it took; *accepted tells whether it gave one.
GK_DEVICE uint32_t pcg_attempt(pcg_state &g, const pcg_args &a, double *value, bool *accepted) {
  const uint64_t r = pcg_next(g);
  const uint32_t strip = uint32_t(r & 0xff);
  const uint64_t magnitude = r >> 9 & k_ziggurat_magnitude_mask;
  double x = double(int64_t(magnitude)) * ld_global(a.width + strip);
  if (r >> 8 & 1) x = -x;
  *value = x;
  *accepted = true;
  if (magnitude < ld_global(a.inside + strip)) return 1;
  if (strip == 0) {
    uint32_t draws = 1;
    double beyond, y;
    do {
      beyond = -k_ziggurat_inverse_r * log1p_f64(-uniform(pcg_next(g)));
      y = -log1p_f64(-uniform(pcg_next(g)));
      draws += 2;
    } while (!(y + y > beyond * beyond));
    *value = magnitude >> 8 & 1 ? -(k_ziggurat_r + beyond) : k_ziggurat_r + beyond;
    return draws;
  }
  const double lower = ld_global(a.height + strip), upper = ld_global(a.height + (strip - 1));
  *accepted = (upper - lower) * uniform(pcg_next(g)) + lower < exp_f64(-0.5 * x * x);
  return 2;
}

// Walks the draws [entry, k_part) of a part that begins at g. Returns the normals it gives; *exit is how far the last
// one reaches beyond the part. With `store`, writes them from column `first` on.
GK_DEVICE uint32_t pcg_walk(pcg_state g, const pcg_args &a, uint32_t entry, uint32_t *exit, bool store, int64_t row,
                            int64_t first) {
  uint32_t position = entry, count = 0;
  pcg_advance(g, a.jumps, k_jumps, entry);
  while (position < k_part) {
    double value;
    bool accepted;
    position += pcg_attempt(g, a, &value, &accepted);
    if (!accepted) continue;
    if (store && first + count < a.columns)
      store_value(a.out, a.out_type, row * a.ldo + first + count, float(a.sigma * value));
    ++count;
  }
  *exit = position - k_part;
  return count;
}

GK_KERNEL(k_threads, 1)
pcg_kernel(pcg_args a) {
  const int64_t row = block_idx().x;
  const uint32_t t = thread_idx().x;
  const sptr<uint32_t> exits = shared_at<uint32_t>(0), moved = exits + k_threads, sums = moved + 1;
  pcg_state g = pcg_load(a.seeds + row * 4);
  pcg_advance(g, a.jumps, k_jumps, t * k_part);
  for (int64_t done = 0; done < a.columns;) {
    uint32_t entry = 0, exit, count = pcg_walk(g, a, 0, &exit, false, row, 0);
    for (;;) {
      st_shared(exits + t, exit);
      if (t == 0) st_shared(moved, 0);
      bar_sync();
      const uint32_t begins = t == 0 ? 0 : ld_shared(exits + (t - 1));
      const bool again = begins != entry;
      if (vote_any(again) && lane_id() == 0) atom_add_shared(moved, 1);
      bar_sync();
      const bool settled = ld_shared(moved) == 0;
      bar_sync();
      if (settled) break;
      if (again) {
        entry = begins;
        // The neighbour may reach past this part altogether.
        count = 0;
        exit = entry >= k_part ? entry - k_part : 0;
        if (entry < k_part) count = pcg_walk(g, a, entry, &exit, false, row, 0);
      }
    }
    // Normals before this thread's: prefix sums within the warp, then over the warps.
    uint32_t before = count;
    GK_UNROLL
    for (uint32_t d = 1; d < 32; d *= 2) {
      const uint32_t left = shfl_up(before, d);
      if (lane_id() >= d) before += left;
    }
    if (lane_id() == 31) st_shared(sums + warp_id(), before);
    bar_sync();
    int64_t first = done + before - count;
    uint32_t all = 0;
    for (uint32_t w = 0; w < k_threads / 32; ++w) {
      const uint32_t sum = ld_shared(sums + w);
      if (w < warp_id()) first += sum;
      all += sum;
    }
    if (entry < k_part) pcg_walk(g, a, entry, &exit, true, row, first);
    pcg_advance(g, a.jumps, k_jumps, k_threads * k_part);
    pcg_advance(g, a.jumps, k_jumps, ld_shared(exits + (k_threads - 1)));
    done += all;
    bar_sync();
  }
}

void run_murmur(const gk_normal_fill &p, places at, context &ctx) {
  const int64_t length = ceil_div(p.columns, p.segments);
  // Segments that begin inside the row; the rest are empty.
  const uint32_t segments = uint32_t(ceil_div(p.columns, length));
  std::vector<uint32_t> seeds;
  for (int64_t r = 0; r < p.rows; ++r)
    seeds.insert(seeds.end(), p.seeds_u32 + r * p.segments, p.seeds_u32 + r * p.segments + segments);
  const murmur_args a = {p.rows,
                         p.columns,
                         p.ldo,
                         length,
                         (length + 1) / 2,
                         segments,
                         p.out_type,
                         float(p.sigma),
                         runtime::address<const uint32_t>(ctx.upload(0, seeds.data(), seeds.size() * 4)),
                         runtime::address<uint8_t>(at[0])};
  const int64_t blocks = ceil_div(a.rows * segments * a.segment_pairs, k_threads);
  const int64_t most = int64_t(ctx.can().multiprocessors) * 16;
  runtime::launch(ctx.stream(), &murmur_kernel,
                  {.grid_x = uint32_t(blocks < most ? blocks : most), .threads = k_threads}, a);
}

void run_pcg64(const gk_normal_fill &p, places at, context &ctx) {
  pcg_args a{};
  a.columns = p.columns;
  a.ldo = p.ldo;
  a.out_type = p.out_type;
  a.sigma = p.sigma;
  a.seeds = runtime::address<const uint64_t>(ctx.upload(0, p.seeds_u64, uint64_t(p.rows) * 4 * sizeof(uint64_t)));
  a.inside = runtime::address<const uint64_t>(ctx.upload(1, k_ziggurat.inside.data(), sizeof k_ziggurat.inside));
  a.width = runtime::address<const double>(ctx.upload(2, k_ziggurat.width.data(), sizeof k_ziggurat.width));
  a.height = runtime::address<const double>(ctx.upload(3, k_ziggurat.height.data(), sizeof k_ziggurat.height));
  a.out = runtime::address<uint8_t>(at[0]);
  for (uint32_t i = 0; i < k_jumps; ++i) a.jumps[i] = pcg_jump_over(uint64_t(1) << i);
  runtime::launch(
      ctx.stream(), &pcg_kernel,
      {.grid_x = uint32_t(p.rows), .threads = k_threads, .shared_bytes = (k_threads + 1 + k_threads / 32) * 4}, a);
}

void run(void *problem, places at, context &ctx) {
  const auto &p = *static_cast<const gk_normal_fill *>(problem);
  if (p.rows == 0 || p.columns == 0) return;
  if (p.generator == GK_NORMAL_MURMUR3)
    run_murmur(p, at, ctx);
  else
    run_pcg64(p, at, ctx);
}

const char *reject(const void *problem, const capability &) {
  const auto &p = *static_cast<const gk_normal_fill *>(problem);
  if (p.rows > 0x7fffffff) return "more than 2^31 - 1 rows";
  // One normal in 4000 goes through log1p, whose last bit differs between math libraries: invisible after rounding to
  // F32, not in F64.
  if (p.out_type == GK_F64) return "F64 results would depend on the device's math library";
  return nullptr;
}

constexpr implementation k_list[] = {{"generic", reject, nullptr, run}};

}  // namespace

std::span<const implementation> normal_fill_list() noexcept {
  return k_list;
}

}  // namespace gonka::cuda
