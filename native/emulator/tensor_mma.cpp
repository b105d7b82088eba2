// tcgen05.mma and tcgen05.commit: issue, checks and, when a commit arrives, the products.
#include <algorithm>
#include <cstring>

#include "accumulate.hpp"
#include "barrier.hpp"
#include "number.hpp"
#include "tensor_memory.hpp"

namespace gonka::emulator {
namespace {

constexpr uint32_t k_rows = 128, k_bytes_of_k = 32, k_swizzle_128 = 2;

struct instruction_fields {
  uint32_t d_type, a_type, b_type, m, n;
};

// Table "Instruction descriptor format for .kind::tf32, .kind::f16, .kind::f8f6f4 and .kind::i8".
instruction_fields decode_instruction(tensor_kind kind, uint32_t bits, site at) {
  const instruction_fields f = {bits >> 4 & 3, bits >> 7 & 7, bits >> 10 & 7, (bits >> 24 & 31) << 4,
                                (bits >> 17 & 63) << 3};
  if ((bits & 0xf) != 0)
    stop(fault::bad_operand, at, "tcgen05.mma: sparsity or saturation in instruction 0x%08x", bits);
  if ((bits & (1u << 6 | 1u << 23 | 7u << 29)) != 0)
    stop(fault::bad_operand, at, "tcgen05.mma: reserved bits in instruction descriptor 0x%08x", bits);
  if ((bits >> 13 & 15) != 0)
    stop(fault::bad_operand, at, "tcgen05.mma: negated or transposed operands are not modelled (0x%08x)", bits);
  if (f.d_type != (kind == tensor_kind::i8 ? 2u : 1u))
    stop(fault::bad_operand, at, "tcgen05.mma: D has type %u in the instruction descriptor, which its kind lacks",
         f.d_type);
  if (f.a_type > 1 || f.b_type > 1 || (kind == tensor_kind::i8 && (f.a_type != 1 || f.b_type != 1)))
    stop(fault::bad_operand, at, "tcgen05.mma: operand types %u and %u are not modelled", f.a_type, f.b_type);
  if (f.m != k_rows) stop(fault::bad_operand, at, "tcgen05.mma: M = %u; only 128 is modelled", f.m);
  if (f.n < 16 || f.n > 256 || f.n % 16 != 0)
    stop(fault::bad_operand, at, "tcgen05.mma: N = %u; with M = 128 a multiple of 16 from 16 to 256", f.n);
  return f;
}

void check_descriptor(uint64_t bits, const char *which, site at) {
  if (bits >> 61 != k_swizzle_128)
    stop(fault::bad_operand, at, "tcgen05.mma: descriptor of %s has swizzle mode %u; only 2 (128 bytes) is modelled",
         which, uint32_t(bits >> 61));
  if ((bits >> 46 & 7) != 1)
    stop(fault::bad_operand, at, "tcgen05.mma: descriptor of %s lacks the constant 1 in bits 46 to 48", which);
  if ((bits >> 49 & 0xfff) != 0)
    stop(fault::bad_operand, at, "tcgen05.mma: descriptor of %s has a base offset or an absolute leading dimension",
         which);
}

uint32_t chunk_offset(uint64_t descriptor, uint32_t row, uint32_t k_byte) {
  const uint32_t start = uint32_t(descriptor & 0x3fff) << 4, stride = uint32_t(descriptor >> 32 & 0x3fff) << 4;
  const uint32_t address = start + row / 8 * stride + row % 8 * 128 + k_byte;
  return address ^ ((address >> 7 & 7) << 4);
}

// Calls f(offset of 16 bytes, row, k byte).
template <class F>
void for_each_chunk(uint64_t descriptor, uint32_t rows, F &&f) {
  for (uint32_t r = 0; r < rows; ++r)
    for (uint32_t k = 0; k < k_bytes_of_k; k += 16) f(chunk_offset(descriptor, r, k), r, k);
}

float widen(tensor_kind kind, uint32_t type, const uint8_t *p) {
  if (kind == tensor_kind::i8) return float(int8_t(*p));
  if (kind == tensor_kind::f8f6f4) return type == 0 ? e4m3_to_f32(*p) : e5m2_to_f32(*p);
  uint16_t bits;
  std::memcpy(&bits, p, 2);
  return type == 0 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

void multiply(machine &m, block &b, const tensor_memory::operation &op) {
  const instruction_fields f = decode_instruction(op.kind, op.instruction, op.at);
  const uint32_t bytes = op.kind == tensor_kind::f16 ? 2 : 1, k = k_bytes_of_k / bytes, column = op.d & 0xffff;
  const auto load = [&](uint64_t descriptor, uint32_t rows, uint32_t type) {
    std::vector<float> out(size_t(rows) * k);
    for_each_chunk(descriptor, rows, [&](uint32_t offset, uint32_t r, uint32_t k_byte) {
      for (uint32_t e = 0; e < 16 / bytes; ++e)
        out[size_t(r) * k + k_byte / bytes + e] = widen(op.kind, type, b.shared + offset + e * bytes);
    });
    return out;
  };
  const std::vector<float> fa = load(op.a, k_rows, f.a_type), fb = load(op.b, f.n, f.b_type);
  const auto at = [&](uint32_t row) { return &b.tensor->values[size_t(row) * k_tensor_columns + column]; };
  if (op.kind == tensor_kind::i8) {
    for (uint32_t r = 0; r < k_rows; ++r)
      for (uint32_t j = 0; j < f.n; ++j) {
        int32_t sum = 0;  // 32 products of bytes
        for (uint32_t x = 0; x < k; ++x) sum += int32_t(fa[size_t(r) * k + x]) * int32_t(fb[size_t(j) * k + x]);
        at(r)[j] = (op.accumulate ? at(r)[j] : 0) + uint32_t(sum);
      }
  } else {
    std::vector<float> d(size_t(k_rows) * f.n, 0.0f);
    if (op.accumulate)
      for (uint32_t r = 0; r < k_rows; ++r) std::memcpy(&d[size_t(r) * f.n], at(r), f.n * sizeof(float));
    accumulate(m.how, op.kind == tensor_kind::f16 ? product_type::half : product_type::f8, k_rows, f.n, k, fa.data(),
               fb.data(), d.data());
    for (uint32_t r = 0; r < k_rows; ++r) std::memcpy(at(r), &d[size_t(r) * f.n], f.n * sizeof(float));
  }
}

// Up to and including the block's first commit.
void perform(machine &m, bulk_operation &bulk) {
  const uint32_t rank = bulk.barrier_block;
  block &b = m.blocks[rank];
  thread *const runs = m.current;
  for (bool done = false; !done;) {
    const tensor_memory::operation op = std::move(b.tensor->queue.front());
    b.tensor->queue.pop_front();
    m.current = op.issuer;
    if (op.commit)
      mbarrier_arrive_later(m, rank, op.barrier, op.clocks, op.clock, op.at);
    else
      multiply(m, b, op);
    done = op.commit;
  }
  m.current = runs;
}

// What the mma is about to overwrite must have been read, and everybody must have said so.
void check_readers(tensor_memory::cell &cell, uint32_t column, site at) {
  thread &t = self();
  for (const auto &load : cell.readers) {
    if (load->lanes_waiting != 0)
      stop(fault::data_race, at, "tcgen05.mma writes column %u, but the tcgen05.ld at line %d was not waited for",
           column, load->at.line);
    for (uint32_t lane = 0; lane < k_warp_size; ++lane) {
      const thread &reader = *load->lanes[lane];
      if (knew_at_fence(t, reader.id, load->clocks[lane]) && reader.tensor_fence_clock >= load->clocks[lane]) continue;
      if (!knows(t, reader.id, load->clocks[lane]))
        stop(fault::data_race, at, "tcgen05.mma writes column %u and is not ordered after the tcgen05.ld at line %d",
             column, load->at.line);
      stop(fault::data_race, at,
           "tcgen05.mma writes column %u, read by the tcgen05.ld at line %d, without %s between the two", column,
           load->at.line,
           reader.tensor_fence_clock < load->clocks[lane] ? "tcgen05.fence::before_thread_sync"
                                                          : "tcgen05.fence::after_thread_sync");
    }
  }
  cell.readers.clear();
}

}  // namespace

void tensor_mma(tensor_kind kind, uint32_t d, uint64_t a, uint64_t b, uint32_t instruction, bool accumulate, site at) {
  machine &m = *g_machine;
  thread &t = self();
  tensor_memory &memory = tensor_memory_of("tcgen05.mma", at);
  const instruction_fields f = decode_instruction(kind, instruction, at);
  check_descriptor(a, "A", at);
  check_descriptor(b, "B", at);
  if (d >> 16 != 0)
    stop(fault::bad_operand, at, "tcgen05.mma: D at lane %u; with M = 128 it begins at lane 0", d >> 16);
  const uint32_t column = check_tensor_columns(memory, "tcgen05.mma", d, f.n, at);
  const uint32_t clock = ++m.tensor_clock;
  for (uint32_t quarter = 0; quarter < 4; ++quarter)
    for (uint32_t c = column; c < column + f.n; ++c) {
      tensor_memory::cell &cell = memory.cells[quarter * k_tensor_columns + c];
      if (accumulate && cell.write_clock == 0)
        stop(fault::uninitialized, at, "tcgen05.mma adds to column %u, which nobody wrote", c);
      // Instructions of one thread on one accumulator are pipelined in order; those of another need a commit.
      if (cell.write_clock != 0 && cell.issuer != t.id && !knew_at_fence(t, m.tensor_agent(), cell.write_clock))
        stop(fault::data_race, at, "tcgen05.mma writes column %u and is not ordered after another thread's at line %d",
             c, cell.write_line);
      check_readers(cell, c, at);
      cell.write_clock = clock;
      cell.issuer = t.id;
      cell.write_line = at.line;
    }
  const auto check_chunk = [&](uint32_t offset, uint32_t, uint32_t) {
    if (size_t(offset) + 16 > t.block->shadow.size())
      stop(fault::out_of_bounds, at, "tcgen05.mma reads 16 bytes at shared offset %u of %zu", offset,
           t.block->shadow.size());
    t.block->shadow.read_later(t, m.tensor_agent(), clock, offset, 16, at);
  };
  for_each_chunk(a, k_rows, check_chunk);
  for_each_chunk(b, f.n, check_chunk);
  memory.queue.push_back({.commit = false,
                          .issuer = &t,
                          .clock = clock,
                          .kind = kind,
                          .d = d,
                          .instruction = instruction,
                          .a = a,
                          .b = b,
                          .accumulate = accumulate,
                          .barrier = 0,
                          .clocks = {},
                          .at = at});
  ++m.count->mma;
  m.count->mma_operations += uint64_t(2) * k_rows * f.n * (kind == tensor_kind::f16 ? 16 : 32);
  m.count->mma_shared_bytes += uint64_t(32) * (k_rows + f.n);
}

void tensor_commit(uint32_t barrier, site at) {
  machine &m = *g_machine;
  thread &t = self();
  tensor_memory &memory = tensor_memory_of("tcgen05.commit", at);
  if (t.block->mbarriers.count(barrier) == 0)
    stop(fault::barrier_misuse, at, "tcgen05.commit: no mbarrier was initialised at shared offset %u", barrier);
  t.block->shadow.read(t, barrier, 8, touch::atomic, at);
  tensor_memory::operation op{};
  op.commit = true;
  op.issuer = &t;
  op.clock = ++m.tensor_clock;
  op.barrier = barrier;
  op.at = at;
  tensor_fence_before();  // implied by the instruction
  release_into(op.clocks, t);
  memory.queue.push_back(std::move(op));
  bulk_operation bulk{};
  bulk.perform = perform;
  bulk.barrier_block = t.block->rank;
  bulk.at = at;
  m.bulk.push_back(std::move(bulk));
}

}  // namespace gonka::emulator
