// Everything a kernel may use of the machine: one thin function per PTX instruction, named after it.
//
// Under nvcc the functions are inline PTX or the compiler's own loads and stores; in any other compilation they are the
// emulator's, which runs the same kernel source on the CPU with checks. A kernel therefore
//   - touches memory only through gptr<T> (device memory) and sptr<T> (shared memory) with ld_/st_ and the copies;
//   - gets its dynamic shared memory from shared_at<T>(byte offset) and has no static shared memory;
//   - keeps registers in local variables and arrays, and calls nothing that is not declared here or plain arithmetic.
// Both sides are compiled without contraction of products and sums: fma() is written where it is meant.
//
//   index      thread_idx block_idx block_dim grid_dim lane_id warp_id
//   memory     ld_global st_global ld_shared st_shared atom_add_global atom_add_shared atom_exch_global
//   barriers   bar_sync() (all threads), bar_sync(id, count), bar_arrive(id, count), bar_warp_sync
//   lanes      shfl_idx shfl_xor shfl_up shfl_down vote_ballot vote_any vote_all (whole warps)
//   copies     cp_async_16 / cp_async_4 / cp_async_8 (dst, src, valid bytes; the rest is zeros), cp_async_commit,
//              cp_async_wait<left>
//   matrices   ldmatrix_x4 ldmatrix_x2 (and _trans), stmatrix_x4, mma_m16n8k16<f16|bf16>, mma_m16n8k32<e4m3|e5m2>,
//              mma_m16n8k32_s8
//   mbarrier   mbarrier_init mbarrier_arrive mbarrier_arrive_expect_tx mbarrier_wait_parity fence_mbarrier_init
//   bulk       cp_async_bulk_tensor_2d / _3d (box of a tensor_map to shared memory, reported to an mbarrier),
//              cp_async_bulk_tensor_2d_multicast, fence_proxy_async
//   cluster    cluster_rank cluster_sync mbarrier_arrive_cluster
//   wgmma      wgmma_fence wgmma_commit wgmma_wait<left> wgmma_hold wgmma_descriptor wgmma_advance wgmma_m64<T>
//              wgmma_m64_s8 wgmma_m64_f8<T> setmaxnreg_inc/dec. Operands lie in rows of 128 bytes, the 16-byte chunk c
//              of the row at address 128 r at chunk c ^ (r % 8), eight rows to an atom of 1024 bytes (what a tensor_map
//              with 128-byte swizzle writes). K contiguous: `stride` bytes from eight rows to the next eight; `leading`
//              unused. N contiguous: an atom is 8 of k by 64 of n; `stride` from 8 of k to the next 8, `leading` from
//              64 of n to the next 64.
//   tcgen05    tcgen05_alloc<columns> tcgen05_dealloc<columns> tcgen05_relinquish_alloc_permit, tcgen05_mma<kind> (one
//              thread; descriptors from tcgen05_descriptor.hpp), tcgen05_commit, tcgen05_ld_32x32b, tcgen05_wait_ld,
//              tcgen05_fence_before_thread_sync, tcgen05_fence_after_thread_sync
//   numbers    to_f32 from_f32<T> fma max_f32 ex2_approx lg2_approx rcp_approx rsqrt_approx sqrt_rn div_rn and bit
//   casts
#pragma once

#include <cstdint>

#include "number_types.cuh"
#include "tcgen05_descriptor.hpp"

#if defined(__CUDACC__)
#include "ptx_nvcc.cuh"
#else
#include "emulator/ptx_host.hpp"
#endif
