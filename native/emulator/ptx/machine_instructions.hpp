// What translated code calls for memory, barriers, lanes, copies and matrices: PTX instructions as they are encoded,
// performed and checked by the emulator. `line` is the instruction's line in the PTX text; findings name it.
//
// Addresses are as a kernel computes them. Global, local, parameter and generic addresses are host addresses; shared
// addresses are offsets, in a cluster with the block's rank + 1 above bit 24 (what mapa makes); generic addresses of
// shared memory have bit 62 set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gonka::emulator::translated {

// Called first by every kernel.
void begin(const char *file);

// Index registers.
uint32_t tid_x();
uint32_t tid_y();
uint32_t tid_z();
uint32_t ntid_x();
uint32_t ntid_y();
uint32_t ntid_z();
uint32_t ctaid_x();
uint32_t ctaid_y();
uint32_t ctaid_z();
uint32_t nctaid_x();
uint32_t nctaid_y();
uint32_t nctaid_z();
uint32_t laneid();
uint32_t warpid();
uint32_t cluster_ctarank();
uint32_t cluster_nctarank();

// Memory. `bytes` is the whole vector's size, to which its address must be aligned.
uint8_t ld_global_1(uint64_t address, int line);
uint16_t ld_global_2(uint64_t address, int line);
uint32_t ld_global_4(uint64_t address, int line);
uint64_t ld_global_8(uint64_t address, int line);
void ld_global(void *to, uint32_t bytes, uint64_t address, int line);
void st_global(const void *from, uint32_t bytes, uint64_t address, int line);
void st_global_1(uint64_t address, uint8_t value, int line);
void st_global_2(uint64_t address, uint16_t value, int line);
void st_global_4(uint64_t address, uint32_t value, int line);
void st_global_8(uint64_t address, uint64_t value, int line);
void ld_shared(void *to, uint32_t bytes, uint32_t address, int line);
void st_shared(const void *from, uint32_t bytes, uint32_t address, int line);
void ld_generic(void *to, uint32_t bytes, uint64_t address, int line);
void st_generic(const void *from, uint32_t bytes, uint64_t address, int line);
// base, size: the memory the address must lie in: the thread's local array, the kernel's parameters.
void ld_inside(void *to, uint32_t bytes, uint64_t address, const void *base, size_t size, int line);
void st_inside(const void *from, uint32_t bytes, uint64_t address, void *base, size_t size, int line);
uint64_t shared_to_generic(uint64_t address);
uint64_t generic_to_shared(uint64_t address, int line);
uint32_t mapa(uint32_t address, uint32_t rank, int line);
// Device address of a module's initialised variable.
uint64_t module_variable(const void *bytes, size_t size);

enum class atomic : uint8_t { add, min_u, max_u, min_s, max_s, exch, cas, and_, or_, xor_ };
// width 4 or 8 bytes. synchronizes: .acq_rel at gpu scope.
uint64_t atom_global(atomic op, uint32_t width, uint64_t address, uint64_t b, uint64_t c, bool synchronizes, int line);
uint64_t atom_shared(atomic op, uint32_t width, uint32_t address, uint64_t b, uint64_t c, int line);

// Barriers and lanes.
void bar_sync(uint32_t id, uint32_t count, int line);  // count 0: all
void bar_arrive(uint32_t id, uint32_t count, int line);
void bar_warp_sync(uint32_t mask, int line);
void cluster_sync(int line);  // arrive and wait
enum class shuffle : uint8_t { up, down, bfly, idx };
uint32_t shfl(shuffle mode, uint32_t value, uint32_t b, uint32_t c, uint32_t mask, bool *in_range, int line);
uint32_t vote_ballot(bool predicate, uint32_t mask, int line);
bool vote_any(bool predicate, uint32_t mask, int line);
bool vote_all(bool predicate, uint32_t mask, int line);
void setmaxnreg(uint32_t registers, int line);
[[noreturn]] void trap(int line);

// Copies.
void cp_async(uint32_t to, uint64_t from, uint32_t bytes, uint32_t source_bytes, int line);
void cp_async_commit_group();
void cp_async_wait_group(uint32_t left, int line);
void mbarrier_init(uint32_t address, uint32_t count, int line);
void mbarrier_inval(uint32_t address, int line);
void mbarrier_arrive(uint32_t address, uint32_t count, int line);
void mbarrier_expect_tx(uint32_t address, uint32_t bytes, int line);
void mbarrier_wait_parity(uint32_t address, uint32_t parity, int line);  // until the phase is over
void fence_proxy_async();
void bulk_tensor(uint32_t to, uint64_t map, uint32_t dimensions, const int32_t *index, uint32_t barrier, int line);
void bulk_tensor_multicast(uint32_t to, uint64_t map, uint32_t dimensions, const int32_t *index, uint32_t barrier,
                           uint16_t mask, int line);

// Matrices.
enum class matrix_type : uint8_t { f16, bf16, e4m3, e5m2, s8 };
void ldmatrix(uint32_t *registers, uint32_t count, bool transposed, uint32_t address, int line);
void stmatrix(const uint32_t *registers, uint32_t count, bool transposed, uint32_t address, int line);
// d += a b of the whole warp; 16 x 8 accumulators, 32 bytes of k.
void mma(matrix_type type, uint32_t *d, const uint32_t *a, const uint32_t *b, int line);
// d holds n / 2 accumulators, float or uint32_t, and must stay where it is until the wait. a_registers null: a is a
// descriptor.
void wgmma(matrix_type type, uint32_t n, void *d, uint64_t a, const uint32_t *a_registers, uint64_t b, bool transpose_b,
           bool accumulate, int line);
void wgmma_fence(int line);
void wgmma_commit_group(int line);
void wgmma_wait_group(uint32_t left, int line);

}  // namespace gonka::emulator::translated
