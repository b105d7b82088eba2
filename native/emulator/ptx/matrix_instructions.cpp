// Asynchronous copies, mbarriers, matrices.
#include <cstring>

#include "barrier.hpp"
#include "matrix.hpp"
#include "ptx/address.hpp"
#include "ptx/machine_instructions.hpp"
#include "tensor_map.hpp"
#include "wgmma.hpp"

namespace gonka::emulator {
// As wgmma_issue, but accumulators change at once: nvcc's PTX moves them between registers before the wait and leaves
// it to ptxas to make one register of both.
void wgmma_issue_at_once(const wgmma_operands &operands, site at);
}  // namespace gonka::emulator

namespace gonka::emulator::translated {
namespace {

element element_of(matrix_type type) {
  switch (type) {
    case matrix_type::bf16:
      return element::bf16;
    case matrix_type::e4m3:
      return element::e4m3;
    case matrix_type::e5m2:
      return element::e5m2;
    default:
      return element::f16;
  }
}

}  // namespace

void cp_async(uint32_t to, uint64_t from, uint32_t bytes, uint32_t source_bytes, int line) {
  copy_async(own_offset(to, "cp.async", line), reinterpret_cast<const void *>(from), bytes, source_bytes, here(line));
}
void cp_async_commit_group() {
  copy_async_commit();
}
void cp_async_wait_group(uint32_t left, int line) {
  copy_async_wait(left, here(line));
}
void mbarrier_init(uint32_t address, uint32_t count, int line) {
  emulator::mbarrier_init(own_offset(address, "mbarrier.init", line), count, here(line));
}
void mbarrier_inval(uint32_t address, int line) {
  mbarrier_invalidate(own_offset(address, "mbarrier.inval", line), here(line));
}
void mbarrier_arrive(uint32_t address, uint32_t count, int line) {
  const uint32_t rank = address >> k_rank_shift;
  emulator::mbarrier_arrive(rank == 0 ? self().block->rank : rank - 1, address & k_offset_mask, count, here(line));
}
void mbarrier_expect_tx(uint32_t address, uint32_t bytes, int line) {
  mbarrier_expect(self().block->rank, own_offset(address, "mbarrier.expect_tx", line), bytes, here(line));
}
void mbarrier_wait_parity(uint32_t address, uint32_t parity, int line) {
  emulator::mbarrier_wait_parity(own_offset(address, "mbarrier.try_wait", line), parity, here(line));
}
void fence_proxy_async() {
  self().proxy_fence_clock = self().clock;
}

namespace {
const ptx::tensor_map &tensor_map_at(uint64_t address, int line) {
  if (address % alignof(ptx::tensor_map) != 0)
    stop(fault::misaligned, here(line), "a tensor map lies at an address that is %llu modulo 64",
         static_cast<unsigned long long>(address % 64));
  return *reinterpret_cast<const ptx::tensor_map *>(address);
}
}  // namespace

void bulk_tensor(uint32_t to, uint64_t map, uint32_t dimensions, const int32_t *index, uint32_t barrier, int line) {
  copy_tensor_async(self().block->rank, own_offset(to, "cp.async.bulk.tensor", line), tensor_map_at(map, line),
                    dimensions, index, own_offset(barrier, "cp.async.bulk.tensor", line), here(line));
}
void bulk_tensor_multicast(uint32_t to, uint64_t map, uint32_t dimensions, const int32_t *index, uint32_t barrier,
                           uint16_t mask, int line) {
  for (uint32_t rank = 0; rank < 16; ++rank)
    if (mask >> rank & 1)
      copy_tensor_async(rank, own_offset(to, "cp.async.bulk.tensor", line), tensor_map_at(map, line), dimensions, index,
                        own_offset(barrier, "cp.async.bulk.tensor", line), here(line));
}

void ldmatrix(uint32_t *registers, uint32_t count, bool transposed, uint32_t address, int line) {
  emulator::ldmatrix(registers, count, transposed, own_offset(address, "ldmatrix", line), here(line));
}
void stmatrix(const uint32_t *registers, uint32_t count, bool transposed, uint32_t address, int line) {
  emulator::stmatrix(registers, count, transposed, own_offset(address, "stmatrix", line), here(line));
}
void mma(matrix_type type, uint32_t *d, const uint32_t *a, const uint32_t *b, int line) {
  if (type == matrix_type::s8) {
    int32_t sums[4];
    std::memcpy(sums, d, sizeof sums);
    mma_s8(sums, a, b, here(line));
    std::memcpy(d, sums, sizeof sums);
  } else {
    float sums[4];
    std::memcpy(sums, d, sizeof sums);
    emulator::mma(element_of(type), sums, a, b, here(line));
    std::memcpy(d, sums, sizeof sums);
  }
}
void wgmma(matrix_type type, uint32_t n, void *d, uint64_t a, const uint32_t *a_registers, uint64_t b, bool transpose_b,
           bool accumulate, int line) {
  static constexpr wgmma_type types[] = {wgmma_type::f16, wgmma_type::bf16, wgmma_type::e4m3, wgmma_type::e5m2,
                                         wgmma_type::s8};
  const wgmma_type t = types[int(type)];
  wgmma_issue_at_once({t, n, d, a, b, a_registers, transpose_b, accumulate}, here(line));
}
void wgmma_fence(int line) {
  emulator::wgmma_fence(here(line));
}
void wgmma_commit_group(int line) {
  emulator::wgmma_commit(here(line));
}
void wgmma_wait_group(uint32_t left, int line) {
  emulator::wgmma_wait(left, here(line));
}

}  // namespace gonka::emulator::translated
