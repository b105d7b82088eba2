// matmul_pow: the part between the kernels that fold and the rest.
#pragma once

#include "gemm_args.hpp"

namespace gonka::cuda {

// Queues the kernel that multiplies and folds: folds [m/64][n/64]. g: I8 operands, dense.
void fold_mma(const gemm_args &g, ptx::gptr<uint64_t> folds, context &ctx);
void fold_wgmma(const gemm_args &g, void *a, void *b, ptx::gptr<uint64_t> folds, context &ctx);

}  // namespace gonka::cuda
