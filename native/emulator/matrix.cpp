#include "matrix.hpp"

#include <cstring>

#include "accumulate.hpp"
#include "machine.hpp"
#include "number.hpp"

namespace gonka::emulator {
namespace {

struct matrix_rows {
  uint32_t *registers;
  uint32_t count;
  bool transposed;
  uint32_t row_offset;
  site at;
};

// Shared memory is read in the name of the lane that gave the address.
void check_rows(warp &w, void *const *arguments, bool writing) {
  machine &m = *g_machine;
  thread *const runs = m.current;
  const matrix_rows &first = *static_cast<const matrix_rows *>(arguments[0]);
  for (uint32_t i = 0; i < first.count; ++i) {
    uint64_t addresses[8];
    for (uint32_t row = 0; row < 8; ++row) {
      const matrix_rows &own = *static_cast<const matrix_rows *>(arguments[i * 8 + row]);
      thread &t = *w.lanes[i * 8 + row];
      m.current = &t;
      const char *what = writing ? "stmatrix" : "ldmatrix";
      if (own.row_offset % 16 != 0)
        stop(fault::misaligned, own.at, "%s row at shared offset %u; expected a multiple of 16", what, own.row_offset);
      if (size_t(own.row_offset) + 16 > t.block->shadow.size())
        stop(fault::out_of_bounds, own.at, "%s row at shared offset %u of %zu bytes", what, own.row_offset,
             t.block->shadow.size());
      if (writing)
        t.block->shadow.write(t, own.row_offset, 16, touch::plain, own.at);
      else
        t.block->shadow.read(t, own.row_offset, 16, touch::plain, own.at);
      addresses[row] = own.row_offset;
    }
    if (m.how.count) m.count->ldmatrix_wavefronts += shared_wavefronts(addresses, 8, 16);
  }
  m.current = runs;
  m.count->ldmatrix += first.count;
}

uint16_t *row_of(warp &w, void *const *arguments, uint32_t matrix, uint32_t row) {
  const matrix_rows &own = *static_cast<const matrix_rows *>(arguments[matrix * 8 + row]);
  return reinterpret_cast<uint16_t *>(w.lanes[0]->block->shared + own.row_offset);
}

void move_matrices(warp &w, void *const *arguments, bool writing) {
  check_rows(w, arguments, writing);
  const matrix_rows &first = *static_cast<const matrix_rows *>(arguments[0]);
  for (uint32_t i = 0; i < first.count; ++i)
    for (uint32_t lane = 0; lane < k_warp_size; ++lane) {
      uint32_t &packed = static_cast<const matrix_rows *>(arguments[lane])->registers[i];
      for (uint32_t half = 0; half < 2; ++half) {
        const uint32_t along = lane % 4 * 2 + half, across = lane / 4;
        uint16_t *element =
            first.transposed ? row_of(w, arguments, i, along) + across : row_of(w, arguments, i, across) + along;
        if (writing)
          *element = uint16_t(packed >> (16 * half));
        else
          packed = (half == 0 ? 0 : packed) | uint32_t(*element) << (16 * half);
      }
    }
}

struct mma_operands {
  element type;
  float *d;
  int32_t *d_integer;
  const uint32_t *a, *b;
};

float widen(element type, uint32_t packed, uint32_t index) {
  switch (type) {
    case element::f16:
      return f16_to_f32(uint16_t(packed >> (16 * index)));
    case element::bf16:
      return bf16_to_f32(uint16_t(packed >> (16 * index)));
    case element::e4m3:
      return e4m3_to_f32(uint8_t(packed >> (8 * index)));
    case element::e5m2:
      return e5m2_to_f32(uint8_t(packed >> (8 * index)));
  }
  return 0;
}

// Register r, element e of a lane: row and k of A; k of B (its column is lane / 4). per: elements per register.
uint32_t a_row(uint32_t lane, uint32_t r) {
  return lane / 4 + (r & 1) * 8;
}
uint32_t k_of(uint32_t lane, uint32_t half, uint32_t e, uint32_t per) {
  return half * per * 4 + lane % 4 * per + e;
}

void perform_mma(warp &, uint32_t, void *const *arguments) {
  const element type = static_cast<const mma_operands *>(arguments[0])->type;
  const uint32_t per = type == element::f16 || type == element::bf16 ? 2 : 4;
  const uint32_t k = per * 8;
  float a[16 * 32], b[8 * 32], d[16 * 8];
  for (uint32_t lane = 0; lane < k_warp_size; ++lane) {
    const mma_operands &own = *static_cast<const mma_operands *>(arguments[lane]);
    for (uint32_t r = 0; r < 4; ++r)
      for (uint32_t e = 0; e < per; ++e) a[a_row(lane, r) * k + k_of(lane, r >> 1, e, per)] = widen(type, own.a[r], e);
    for (uint32_t r = 0; r < 2; ++r)
      for (uint32_t e = 0; e < per; ++e) b[lane / 4 * k + k_of(lane, r, e, per)] = widen(type, own.b[r], e);
    for (uint32_t r = 0; r < 4; ++r) d[(lane / 4 + r / 2 * 8) * 8 + lane % 4 * 2 + r % 2] = own.d[r];
  }
  accumulate(g_machine->how, per == 2 ? product_type::half : product_type::f8, 16, 8, k, a, b, d);
  for (uint32_t lane = 0; lane < k_warp_size; ++lane) {
    const mma_operands &own = *static_cast<const mma_operands *>(arguments[lane]);
    for (uint32_t r = 0; r < 4; ++r) own.d[r] = d[(lane / 4 + r / 2 * 8) * 8 + lane % 4 * 2 + r % 2];
  }
  ++g_machine->count->mma;
  g_machine->count->mma_operations += uint64_t(2) * 16 * 8 * k;
}

void perform_mma_s8(warp &, uint32_t, void *const *arguments) {
  int32_t a[16][32], b[8][32];
  for (uint32_t lane = 0; lane < k_warp_size; ++lane) {
    const mma_operands &own = *static_cast<const mma_operands *>(arguments[lane]);
    for (uint32_t e = 0; e < 4; ++e) {
      for (uint32_t r = 0; r < 4; ++r) a[a_row(lane, r)][k_of(lane, r >> 1, e, 4)] = int8_t(own.a[r] >> (8 * e));
      for (uint32_t r = 0; r < 2; ++r) b[lane / 4][k_of(lane, r, e, 4)] = int8_t(own.b[r] >> (8 * e));
    }
  }
  for (uint32_t lane = 0; lane < k_warp_size; ++lane) {
    const mma_operands &own = *static_cast<const mma_operands *>(arguments[lane]);
    for (uint32_t r = 0; r < 4; ++r) {
      const uint32_t row = lane / 4 + r / 2 * 8, column = lane % 4 * 2 + r % 2;
      uint32_t sum = uint32_t(own.d_integer[r]);
      for (uint32_t x = 0; x < 32; ++x) sum += uint32_t(a[row][x] * b[column][x]);
      own.d_integer[r] = int32_t(sum);
    }
  }
  ++g_machine->count->mma;
  g_machine->count->mma_operations += uint64_t(2) * 16 * 8 * 32;
}

}  // namespace

void ldmatrix(uint32_t *registers, uint32_t count, bool transposed, uint32_t row_offset, site at) {
  matrix_rows own{registers, count, transposed, row_offset, at};
  collective(
      "ldmatrix", k_full_mask, true, &own,
      [](warp &w, uint32_t, void *const *arguments) { move_matrices(w, arguments, false); }, at);
}

void stmatrix(const uint32_t *registers, uint32_t count, bool transposed, uint32_t row_offset, site at) {
  matrix_rows own{const_cast<uint32_t *>(registers), count, transposed, row_offset, at};
  collective(
      "stmatrix", k_full_mask, true, &own,
      [](warp &w, uint32_t, void *const *arguments) { move_matrices(w, arguments, true); }, at);
}

void mma(element type, float *d, const uint32_t *a, const uint32_t *b, site at) {
  if (type == element::e4m3 || type == element::e5m2)
    if (g_machine->how.compute_capability < 89)
      stop(fault::bad_operand, at, "mma.sync with F8 operands needs sm_89; this device is sm_%u",
           g_machine->how.compute_capability);
  mma_operands own{type, d, nullptr, a, b};
  collective("mma.sync", k_full_mask, true, &own, perform_mma, at);
}

void mma_s8(int32_t *d, const uint32_t *a, const uint32_t *b, site at) {
  mma_operands own{element::f16, nullptr, d, a, b};
  collective("mma.sync.s8", k_full_mask, true, &own, perform_mma_s8, at);
}

}  // namespace gonka::emulator
