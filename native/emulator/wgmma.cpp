#include "wgmma.hpp"

#include <cstring>

#include "accumulate.hpp"
#include "number.hpp"

namespace gonka::emulator {

// An instruction between issue and wait.
struct wgmma_operation {
  wgmma_operands lanes[k_warp_size];
  uint32_t a_registers[k_warp_size][4];  // read at the issue: the registers may be reused after a fence
  site at;
  bool computed = false;  // at the issue; what is left for the wait is that the operands are still there
};

namespace {

constexpr uint32_t k_bytes_of_k = 32;
constexpr uint32_t k_rows_per_warp = 16;

struct descriptor {
  uint32_t start, leading, stride, swizzle;
};

descriptor decode(uint64_t d) {
  return {uint32_t(d & 0x3fff) << 4, uint32_t(d >> 16 & 0x3fff) << 4, uint32_t(d >> 32 & 0x3fff) << 4,
          uint32_t(d >> 62)};
}

void check_descriptor(uint64_t bits, const char *which, site at) {
  const descriptor d = decode(bits);
  if (d.swizzle != 1)
    stop(fault::bad_operand, at, "wgmma: descriptor of %s has swizzle mode %u; only 1 (128 bytes) is modelled", which,
         d.swizzle);
  if ((bits >> 49 & 7) != 0) stop(fault::bad_operand, at, "wgmma: descriptor of %s has a base offset", which);
}

uint32_t swizzled(uint32_t address) {
  return address ^ ((address >> 7 & 7) << 4);
}

// Offset of 16 bytes: rows `row` .., k bytes [0, 16) or [16, 32) of an operand with k contiguous.
uint32_t k_major(const descriptor &d, uint32_t row, uint32_t k_byte) {
  return swizzled(d.start + row / 8 * d.stride + row % 8 * 128 + k_byte);
}

// n contiguous: 16 bytes of n at row k.
uint32_t n_major(const descriptor &d, uint32_t n, uint32_t k) {
  return swizzled(d.start + n / 64 * d.leading + k / 8 * d.stride + k % 8 * 128 + n % 64 * 2);
}

uint32_t check_offset(uint32_t offset, site at) {
  if (size_t(offset) + 16 > self().block->shadow.size())
    stop(fault::out_of_bounds, at, "wgmma reads 16 bytes at shared offset %u of %zu", offset,
         self().block->shadow.size());
  return offset;
}

// Calls f(offset of 16 bytes, row or n, k byte or k) for what this warp reads: its rows of A, all of B.
template <class F>
void for_each_chunk(const wgmma_operation &w, uint32_t first_row, F &&f) {
  const wgmma_operands &o = w.lanes[0];
  if (o.a_registers == nullptr) {
    const descriptor a = decode(o.a);
    for (uint32_t r = 0; r < k_rows_per_warp; ++r)
      for (uint32_t k = 0; k < k_bytes_of_k; k += 16) f(true, k_major(a, first_row + r, k), r, k);
  }
  const descriptor b = decode(o.b);
  if (o.transpose_b) {
    for (uint32_t k = 0; k < 16; ++k)
      for (uint32_t n = 0; n < o.n; n += 8) f(false, n_major(b, n, k), n, k);
  } else {
    for (uint32_t n = 0; n < o.n; ++n)
      for (uint32_t k = 0; k < k_bytes_of_k; k += 16) f(false, k_major(b, n, k), n, k);
  }
}

uint32_t first_row_of(const warp &w) {
  return w.lanes[0]->index.x / k_warp_size % 4 * k_rows_per_warp;
}

float widen(wgmma_type type, const uint8_t *p) {
  if (type == wgmma_type::s8) return float(int8_t(*p));
  if (type == wgmma_type::e4m3) return e4m3_to_f32(*p);
  if (type == wgmma_type::e5m2) return e5m2_to_f32(*p);
  uint16_t bits;
  std::memcpy(&bits, p, 2);
  return type == wgmma_type::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

void compute(warp &w, wgmma_operation &op) {
  machine &m = *g_machine;
  thread &reader = *w.lanes[0];
  block &b = *reader.block;
  const wgmma_operands &o = op.lanes[0];
  const bool integer = o.type == wgmma_type::s8;
  const bool halves = o.type == wgmma_type::f16 || o.type == wgmma_type::bf16;
  const uint32_t bytes = halves ? 2 : 1, k = k_bytes_of_k / bytes, first_row = first_row_of(w), n = o.n;
  thread *const runs = m.current;
  m.current = &reader;
  std::vector<float> fa(k_rows_per_warp * k), fb(size_t(n) * k);
  for_each_chunk(op, first_row, [&](bool is_a, uint32_t offset, uint32_t i, uint32_t x) {
    b.shadow.read(reader, check_offset(offset, op.at), 16, touch::async_proxy, op.at);
    const uint8_t *p = b.shared + offset;
    for (uint32_t e = 0; e < 16 / bytes; ++e) {
      const float v = widen(o.type, p + bytes * e);
      if (!is_a && o.transpose_b)
        fb[size_t(i + e) * k + x] = v;
      else
        (is_a ? fa : fb)[size_t(i) * k + x / bytes + e] = v;
    }
  });
  m.current = runs;
  // Accumulator i of a lane: row lane / 4 + 8 (i / 2 % 2), column 8 (i / 4) + 2 (lane % 4) + i % 2.
  const auto row_of = [](uint32_t lane, uint32_t i) { return lane / 4 + i / 2 % 2 * 8; };
  const auto column_of = [](uint32_t lane, uint32_t i) { return i / 4 * 8 + lane % 4 * 2 + i % 2; };
  if (o.a_registers != nullptr)
    for (uint32_t lane = 0; lane < k_warp_size; ++lane)
      for (uint32_t r = 0; r < 4; ++r)
        for (uint32_t e = 0; e < 2; ++e) {
          const uint16_t bits = uint16_t(op.a_registers[lane][r] >> (16 * e));
          fa[(lane / 4 + (r & 1) * 8) * k + r / 2 * 8 + lane % 4 * 2 + e] =
              o.type == wgmma_type::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
        }
  if (integer) {
    for (uint32_t lane = 0; lane < k_warp_size; ++lane)
      for (uint32_t i = 0; i < n / 2; ++i) {
        int32_t &d = static_cast<int32_t *>(op.lanes[lane].d)[i];
        int32_t sum = 0;  // 32 products of bytes: exact in F32 operands and int32
        for (uint32_t x = 0; x < k; ++x)
          sum += int32_t(fa[row_of(lane, i) * k + x]) * int32_t(fb[size_t(column_of(lane, i)) * k + x]);
        d = int32_t(uint32_t(o.accumulate ? d : 0) + uint32_t(sum));
      }
  } else {
    std::vector<float> d(k_rows_per_warp * n);
    for (uint32_t lane = 0; lane < k_warp_size; ++lane)
      for (uint32_t i = 0; i < n / 2; ++i)
        d[row_of(lane, i) * n + column_of(lane, i)] = o.accumulate ? static_cast<float *>(op.lanes[lane].d)[i] : 0;
    accumulate(m.how, halves ? product_type::half : product_type::f8, k_rows_per_warp, n, k, fa.data(), fb.data(),
               d.data());
    for (uint32_t lane = 0; lane < k_warp_size; ++lane)
      for (uint32_t i = 0; i < n / 2; ++i)
        static_cast<float *>(op.lanes[lane].d)[i] = d[row_of(lane, i) * n + column_of(lane, i)];
  }
  ++m.count->mma;
  m.count->mma_operations += uint64_t(2) * k_rows_per_warp * n * k;
  // Rows of 32 bytes; the four warps of the group share one reading of B.
  m.count->mma_shared_bytes += uint64_t(32) * ((o.a_registers != nullptr ? 0 : k_rows_per_warp) + n / 4);
}

void check_operands(warp &w, const wgmma_operation &op) {
  machine &m = *g_machine;
  thread *const runs = m.current;
  m.current = w.lanes[0];
  for_each_chunk(op, first_row_of(w), [&](bool, uint32_t offset, uint32_t, uint32_t) {
    w.lanes[0]->block->shadow.read(*w.lanes[0], check_offset(offset, op.at), 16, touch::async_proxy, op.at);
  });
  m.current = runs;
}

struct issue_arguments {
  const wgmma_operands *operands;
  site at;
  bool at_once;
};

}  // namespace

static void issue(const wgmma_operands &operands, bool at_once, site at) {
  issue_arguments own{&operands, at, at_once};
  collective(
      "wgmma.mma_async", k_full_mask, true, &own,
      [](warp &w, uint32_t, void *const *arguments) {
        machine &m = *g_machine;
        auto op = std::make_shared<wgmma_operation>();
        for (uint32_t lane = 0; lane < k_warp_size; ++lane) {
          const auto &given = *static_cast<const issue_arguments *>(arguments[lane]);
          op->lanes[lane] = *given.operands;
          if (given.operands->a_registers != nullptr)
            std::memcpy(op->a_registers[lane], given.operands->a_registers, 16);
          op->at = given.at;
          const wgmma_operands &first = op->lanes[0], &mine = op->lanes[lane];
          if (mine.a != first.a || mine.b != first.b || mine.accumulate != first.accumulate)
            stop(fault::divergent_collective, given.at, "wgmma: lanes of a warp give different descriptors");
        }
        const site at = op->at;
        if (m.how.compute_capability != 90) stop(fault::bad_operand, at, "wgmma exists on sm_90a only");
        if (!w.wgmma_fenced) stop(fault::barrier_misuse, at, "wgmma without wgmma.fence since the last wait");
        if (op->lanes[0].a_registers == nullptr) check_descriptor(op->lanes[0].a, "A", at);
        check_descriptor(op->lanes[0].b, "B", at);
        // What is read must be there when the instruction is issued, and stay until it is waited for.
        check_operands(w, *op);
        if (static_cast<const issue_arguments *>(arguments[0])->at_once) {
          compute(w, *op);
          op->computed = true;
        }
        w.wgmma_open.push_back(std::move(op));
      },
      at);
}

void wgmma_issue(const wgmma_operands &operands, site at) {
  issue(operands, false, at);
}
void wgmma_issue_at_once(const wgmma_operands &operands, site at);
void wgmma_issue_at_once(const wgmma_operands &operands, site at) {
  issue(operands, true, at);
}

void wgmma_fence(site at) {
  collective(
      "wgmma.fence", k_full_mask, true, nullptr, [](warp &w, uint32_t, void *const *) { w.wgmma_fenced = true; }, at);
}

void wgmma_commit(site at) {
  collective(
      "wgmma.commit_group", k_full_mask, true, nullptr,
      [](warp &w, uint32_t, void *const *) {
        w.wgmma_groups.push_back(std::move(w.wgmma_open));
        w.wgmma_open.clear();
      },
      at);
}

void wgmma_wait(uint32_t groups_left, site at) {
  uint32_t left = groups_left;
  collective(
      "wgmma.wait_group", k_full_mask, true, &left,
      [](warp &w, uint32_t, void *const *arguments) {
        const uint32_t keep = *static_cast<const uint32_t *>(arguments[0]);
        while (w.wgmma_groups.size() > keep) {
          for (auto &op : w.wgmma_groups.front()) op->computed ? check_operands(w, *op) : compute(w, *op);
          w.wgmma_groups.erase(w.wgmma_groups.begin());
        }
        w.wgmma_fenced = false;
      },
      at);
}

}  // namespace gonka::emulator
