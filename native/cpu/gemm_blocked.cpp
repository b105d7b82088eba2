// The loops around the register tile (Goto and van de Geijn, ACM TOMS 34(3), 2008).
//
//   for each chunk of rows whose packed A stays within k_packed_a_bytes:
//     pack A into panels of at most max_rows rows, as equal as they come             (parallel over panels)
//     for each task, a block of row panels x a few B panels:                         (parallel, any order)
//       for each k block, for each B panel, for each row panel: tile += A panel * B panel;  after the last k block the
//       tile leaves through the epilogue.
//
// Per task the A block lives in L2, the tiles beside it, the block of a B panel in L1; B panels pass through once per
// block of rows. Tiles stored to D from registers lost while all lines of D were asked for at once (Zen 4, i8 1024^3:
// 0.86 of peak instead of 0.91). Sizes are the kernel's (gemm_kernel.hpp). For AVX-512 depths of 256 to 1024 steps
// moved f32 x f16 256x2048x7168 by less than 2 % once the next blocks were prefetched. k is split at fixed places and
// never among threads: the result does not depend on how many there are.
//
// What lost, by share of the peak on Zen 4: smaller tasks, 1024^3 on two threads: f32 0.940 to 0.933, i8 0.902 to
// 0.890; lines of D asked for half a tile earlier, f32 1024^3: 0.945 to 0.932.
#include "gemm_blocked.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <vector>

#include "workspace.hpp"

namespace gonka {
extern const op_spec gemm_op;
}

namespace gonka::cpu {
namespace {

constexpr int64_t k_ahead_tiles = 8;   // tiles under which the next B panel is fetched: spread, it waits for nobody
constexpr int64_t k_widen_panels = 3;  // from so many row panels on, f16 and bf16 panels are widened beforehand
constexpr uint64_t k_packed_b_bytes = 32 << 20;  // of a plain B that is packed in one go
constexpr int64_t k_packed_a_bytes = 16 << 20;   // a chunk of A; stays in L3
// How far before its use a streamed B panel is asked for.
constexpr uint64_t k_stream_bytes = 4096;
constexpr double k_serial_flops = 4e6;  // below, waking another thread costs more than it brings

struct plan {
  const gemm_kernel &kernel;
  const gk_gemm &p;
  const std::byte *a, *b, *b2, *c;
  std::byte *d;
  bool pair;
  int64_t steps;  // of all of k
  int64_t b_panels;
  uint64_t a_panel_units, tile_bytes;
  uint64_t packed_panel_bytes, block_bytes;  // of a whole B panel, of one k block of it

  int64_t rows = 0, first_row = 0;                       // of the chunk
  int64_t row_panels = 0, base_rows = 0, more_rows = 0;  // the first more_rows panels have base_rows + 1
  uint32_t *packed_a = nullptr;
  int32_t *row_sums = nullptr;

  // Row panels differ by at most one row: a last panel of one row would cost as much as a full one per step.
  int64_t panel_row(int64_t panel) const { return panel * base_rows + std::min(panel, more_rows); }
  int panel_rows(int64_t panel) const { return int(base_rows + (panel < more_rows)); }
};

void pack_a_panel(const plan &w, int64_t panel) {
  const uint64_t size = dtype_size(w.p.a_type);
  const int64_t row = w.first_row + w.panel_row(panel);
  w.kernel.pack_a(w.a + uint64_t(row) * uint64_t(w.p.lda) * size, w.p.a_type, w.p.lda, w.panel_rows(panel), w.p.k,
                  w.packed_a + uint64_t(panel) * w.a_panel_units, w.row_sums + w.panel_row(panel));
}

// Steps [step, step + count) of one B panel, packed on the fly.
void pack_b_block(const plan &w, int64_t panel, int64_t step, int64_t count, std::byte *to) {
  const int64_t half = w.kernel.columns / 2, x = step * w.kernel.group;
  const int64_t k = std::min(count * w.kernel.group, w.p.k - x);
  const uint64_t size = dtype_size(w.p.b_type);
  for (int side = 0; side < 2; ++side) {
    const std::byte *source = w.pair && side == 1 ? w.b2 : w.b;
    const int64_t begin = w.pair ? panel * half : panel * w.kernel.columns + side * half;
    const int64_t there = std::clamp<int64_t>(w.p.n - begin, 0, half);
    w.kernel.pack_b(there == 0 ? nullptr : source + (uint64_t(begin) * uint64_t(w.p.ldb) + uint64_t(x)) * size, w.p.ldb,
                    int(there), k, side, to);
  }
}

// Where row `row` of a tile begins in C or D.
const std::byte *tile_row(const plan &w, const std::byte *base, int64_t ld, int64_t row_panel, int64_t b_panel,
                          int64_t row) {
  const int64_t at = w.first_row + w.panel_row(row_panel) + row, column = b_panel * panel_outputs(w.kernel, w.pair);
  return base + (uint64_t(at) * uint64_t(ld) + uint64_t(column)) * dtype_size(w.p.d_type);
}

gemm_finish finish_of(const plan &w, int64_t row_panel, int64_t b_panel) {
  const int64_t outputs = panel_outputs(w.kernel, w.pair);
  gemm_finish out;
  out.rows = w.panel_rows(row_panel);
  out.columns = int(std::min(outputs, w.p.n - b_panel * outputs));
  out.d_type = w.p.d_type;
  out.pair = w.pair;
  out.alpha = w.p.alpha;
  out.beta = w.p.beta;
  out.c = w.p.beta == 0 ? nullptr : tile_row(w, w.c, w.p.ldc, row_panel, b_panel, 0);
  out.d = const_cast<std::byte *>(tile_row(w, w.d, w.p.ldd, row_panel, b_panel, 0));
  out.ldc = w.p.ldc;
  out.ldd = w.p.ldd;
  out.row_sums = w.kernel.needs_row_sums ? w.row_sums + w.panel_row(row_panel) : nullptr;
  return out;
}

// Whether a tile function may store to D itself.
bool leaves_whole(const plan &w, int64_t b_panel) {
  return !w.pair && w.p.beta == 0 && dtype_size(w.p.d_type) == 4 && (b_panel + 1) * w.kernel.columns <= w.p.n;
}

// Asks for the lines of C that a tile will meet, while its last block is still to be multiplied.
void prefetch_c(const plan &w, int64_t row_panel, int64_t b_panel) {
  const int64_t outputs = panel_outputs(w.kernel, w.pair);
  const uint64_t bytes = uint64_t(std::min(outputs, w.p.n - b_panel * outputs)) * dtype_size(w.p.d_type);
  for (int64_t r = 0; r < w.panel_rows(row_panel); ++r)
    for (uint64_t byte = 0; byte < bytes; byte += 64)
      __builtin_prefetch(tile_row(w, w.c, w.p.ldc, row_panel, b_panel, r) + byte);
}

// Row panels [row_begin, row_end) x B panels [b_begin, b_end). scratch: tiles, then room for a block of a B panel.
void run_task(const plan &w, int64_t row_begin, int64_t row_end, int64_t b_begin, int64_t b_end, std::byte *scratch) {
  const uint64_t step_bytes = uint64_t(w.kernel.columns * w.kernel.b_unit);
  const int64_t row_count = row_end - row_begin;
  std::byte *tiles = scratch;
  std::byte *on_the_fly = tiles + uint64_t(row_count * (b_end - b_begin)) * w.tile_bytes;
  std::byte *wide = on_the_fly + w.block_bytes;
  const bool widen = w.kernel.widen_b != nullptr && row_count >= k_widen_panels;
  const gemm_tile_fn *tile_fn = widen ? w.kernel.wide_tile : w.kernel.tile;
  const auto a_block = [&](int64_t row_panel, int64_t step) {
    return w.packed_a + uint64_t(row_panel) * w.a_panel_units + uint64_t(step * w.panel_rows(row_panel));
  };
  const auto b_block = [&](int64_t b_panel, int64_t step) {
    return w.b + k_packed_header + uint64_t(b_panel) * w.packed_panel_bytes + uint64_t(step) * step_bytes;
  };
  const auto run_panel = [&](int64_t b_panel, int64_t step) {
    const int64_t count = std::min(w.kernel.block_steps, w.steps - step);
    const bool last_step = step + count == w.steps, last_panel = b_panel + 1 == b_end;
    const std::byte *panel = on_the_fly, *next_panel = on_the_fly;
    if (w.p.b_packed != 0) {
      panel = b_block(b_panel, step);
      next_panel = !last_panel ? b_block(b_panel + 1, step)
                   : last_step ? b_block(b_end, 0)
                               : b_block(b_begin, step + count);
    } else {
      pack_b_block(w, b_panel, step, count, on_the_fly);
    }
    const std::byte *stream = panel + k_stream_bytes;
    const int64_t next_step = last_step ? 0 : step + count;
    // Two row panels stream B from memory: fetched under both, it comes at the rate at which it is used, on average.
    const auto spread =
        row_count == 2 ? 2 : int64_t(std::bit_floor(uint64_t(std::min(k_ahead_tiles, (row_count + 1) / 2))));
    const int64_t ahead_step = int64_t(step_bytes) / spread;
    if (widen) {
      w.kernel.widen_b(panel, count, wide);
      panel = wide;
    }
    const bool whole = leaves_whole(w, b_panel);
    for (int64_t row = 0; row < row_count; ++row) {
      const int64_t row_panel = row_begin + row;
      std::byte *tile = tiles + uint64_t((b_panel - b_begin) * row_count + row) * w.tile_bytes;
      // While the first tiles of a B panel are at work, the next panel is fetched; under the last panel of a block (and
      // for its first tiles the one before), the A block that comes next.
      gemm_ahead ahead{.stream = panel, .stream_step = 0, .rows = panel, .row_step = 0};
      const auto a_ahead = [&](int64_t other) {
        ahead.stream = a_block(other, next_step);
        ahead.stream_step = 4 * w.panel_rows(other);
      };
      if (row_count == 1)
        ahead.stream = stream, ahead.stream_step = int64_t(step_bytes);
      else if (row < spread)
        ahead.stream = next_panel + row * count * ahead_step, ahead.stream_step = ahead_step;
      else if (last_panel)
        a_ahead(row_panel);
      else if (b_panel + 2 == b_end && row < 2 * spread)
        a_ahead(row_panel - spread);
      gemm_finish out;
      if (last_step) {
        out = finish_of(w, row_panel, b_panel);
        ahead.rows = out.d;
        ahead.row_step = w.p.ldd * int64_t(dtype_size(w.p.d_type));
        if (w.p.beta != 0) prefetch_c(w, row_panel, b_panel);
      }
      tile_fn[w.panel_rows(row_panel) - 1](count, a_block(row_panel, step), panel, tile, step != 0, ahead,
                                           last_step && whole ? &out : nullptr);
      if (last_step && !whole) w.kernel.finish(tile, out);
    }
  };
  if (row_count == 1) {
    // Nothing of A to keep for the next B panel: each streams through from end to end.
    for (int64_t b_panel = b_begin; b_panel < b_end; ++b_panel)
      for (int64_t step = 0; step < w.steps; step += w.kernel.block_steps) run_panel(b_panel, step);
  } else {
    for (int64_t step = 0; step < w.steps; step += w.kernel.block_steps)
      for (int64_t b_panel = b_begin; b_panel < b_end; ++b_panel) run_panel(b_panel, step);
  }
}

// k == 0: D = beta * C through the epilogue of an empty product.
void run_empty(plan &w) {
  const workspace zeros(w.tile_bytes + uint64_t(w.kernel.max_rows) * 4);
  std::memset(zeros.data(), 0, w.tile_bytes + uint64_t(w.kernel.max_rows) * 4);
  w.row_sums = reinterpret_cast<int32_t *>(zeros.data() + w.tile_bytes);
  w.row_panels = 1;
  for (; w.first_row < w.p.m; w.first_row += w.rows) {
    w.rows = w.base_rows = std::min<int64_t>(w.kernel.max_rows, w.p.m - w.first_row);
    for (int64_t b_panel = 0; b_panel < w.b_panels; ++b_panel) w.kernel.finish(zeros.data(), finish_of(w, 0, b_panel));
  }
}

}  // namespace

// Plain B that meets more than one block of rows is packed first, some columns of D at a time.
static void run_packing(const gemm_kernel &kernel, const gk_gemm &p, operand_pointers pointers, context &ctx) {
  const bool pair = p.epilogue == GK_EPILOGUE_SWIGLU;
  const int64_t outputs = panel_outputs(kernel, pair);
  const int64_t panels = std::max<int64_t>(1, int64_t(k_packed_b_bytes / panel_bytes(kernel, p.k)));
  const int64_t most = std::min(p.n, panels * outputs);
  gk_gemm_pack pack{};
  pack.b_type = p.b_type, pack.epilogue = p.epilogue, pack.k = p.k, pack.ldb = p.ldb, pack.n = most;
  const workspace packed(packed_bytes(kernel, pack));
  const uint64_t b_row = uint64_t(p.ldb) * dtype_size(p.b_type), d_size = dtype_size(p.d_type);
  const auto at = [&](gemm_operand which, uint64_t offset) -> void * {
    return pointers[which] == nullptr ? nullptr : static_cast<std::byte *>(pointers[which]) + offset;
  };
  gk_gemm part = p;
  part.b_packed = 1;
  for (int64_t first = 0; first < p.n; first += most) {
    part.n = pack.n = std::min(most, p.n - first);
    pack_weights(kernel, pack, at(k_gemm_b, uint64_t(first) * b_row), at(k_gemm_b2, uint64_t(first) * b_row),
                 packed.data(), ctx);
    void *part_pointers[] = {pointers[k_gemm_a], packed.data(), at(k_gemm_c, uint64_t(first) * d_size),
                             at(k_gemm_d, uint64_t(first) * d_size)};
    std::vector<void *> all(pointers.begin(), pointers.end());
    std::copy(std::begin(part_pointers), std::end(part_pointers), all.begin());
    run_blocked(kernel, part, all, ctx);
  }
}

void run_blocked(const gemm_kernel &kernel, const gk_gemm &p, operand_pointers pointers, context &ctx) {
  if (p.m == 0 || p.n == 0) return;
  if (p.b_packed == 0 && p.k != 0 && p.m > kernel.block_panels * kernel.max_rows)
    return run_packing(kernel, p, pointers, ctx);
  const auto address = [&](gemm_operand which) { return static_cast<std::byte *>(pointers[which]); };
  const bool pair = p.epilogue == GK_EPILOGUE_SWIGLU;
  const int64_t steps = (p.k + kernel.group - 1) / kernel.group;
  const int64_t max_rows = kernel.max_rows;
  plan w{.kernel = kernel,
         .p = p,
         .a = address(k_gemm_a),
         .b = address(k_gemm_b),
         .b2 = address(k_gemm_b2),
         .c = address(k_gemm_c),
         .d = address(k_gemm_d),
         .pair = pair,
         .steps = steps,
         .b_panels = panel_count(kernel, p.n, pair),
         .a_panel_units = uint64_t(steps * max_rows + 16 + 15) / 16 * 16,
         .tile_bytes = uint64_t(max_rows * kernel.columns) * 4,
         .packed_panel_bytes = panel_bytes(kernel, p.k),
         .block_bytes = uint64_t(std::min(kernel.block_steps, steps) * kernel.columns * kernel.b_unit)};
  if (p.k == 0) return run_empty(w);

  const uint32_t threads = gemm_op.count(&p).operations < k_serial_flops ? 1 : ctx.pool.size();
  const auto parallel = [&](int64_t tasks, auto &&body) {
    if (threads == 1)
      for (int64_t task = 0; task < tasks; ++task) body(uint32_t(task), 0u);
    else
      ctx.pool.parallel_for(uint32_t(tasks), body);
  };

  const int64_t all_panels = (p.m + max_rows - 1) / max_rows;
  const int64_t chunk_panels =
      std::clamp<int64_t>(k_packed_a_bytes / int64_t(w.a_panel_units * 4), kernel.block_panels, 1 << 16);
  const int64_t chunks = (all_panels + chunk_panels - 1) / chunk_panels;
  const int64_t most_panels = (all_panels + chunks - 1) / chunks;
  const workspace a_memory(uint64_t(most_panels) * (w.a_panel_units + uint64_t(max_rows)) * 4);
  w.packed_a = reinterpret_cast<uint32_t *>(a_memory.data());
  w.row_sums = reinterpret_cast<int32_t *>(w.packed_a + uint64_t(most_panels) * w.a_panel_units);

  const int64_t row_blocks = (most_panels + kernel.block_panels - 1) / kernel.block_panels;
  const int64_t block_panels = (most_panels + row_blocks - 1) / row_blocks;
  const int64_t task_b_panels =
      std::clamp<int64_t>(w.b_panels * row_blocks / (int64_t(threads) * 8), 1, kernel.task_b_panels);
  const uint64_t scratch_bytes = uint64_t(block_panels * task_b_panels) * w.tile_bytes + 3 * w.block_bytes + 64;
  const uint64_t scratch_stride = (scratch_bytes + 4095) / 4096 * 4096;
  const workspace scratch(scratch_stride * threads);

  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    w.first_row = chunk * p.m / chunks;
    w.rows = (chunk + 1) * p.m / chunks - w.first_row;
    w.row_panels = (w.rows + max_rows - 1) / max_rows;
    w.base_rows = w.rows / w.row_panels, w.more_rows = w.rows % w.row_panels;
    parallel(w.row_panels, [&](uint32_t panel, uint32_t) { pack_a_panel(w, panel); });
    const int64_t column_tasks = (w.b_panels + task_b_panels - 1) / task_b_panels;
    const int64_t row_tasks = (w.row_panels + block_panels - 1) / block_panels;
    parallel(column_tasks * row_tasks, [&](uint32_t task, uint32_t worker) {
      const int64_t row_task = task / column_tasks, column_task = task % column_tasks;
      run_task(w, row_task * w.row_panels / row_tasks, (row_task + 1) * w.row_panels / row_tasks,
               column_task * task_b_panels, std::min(w.b_panels, (column_task + 1) * task_b_panels),
               scratch.data() + worker * scratch_stride);
    });
  }
}

}  // namespace gonka::cpu
