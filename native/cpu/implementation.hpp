// How CPU implementations are listed. Each <op>_list.cpp holds the ordered list of one op: the one place to register.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "features.hpp"
#include "op.hpp"
#include "thread_pool.hpp"

namespace gonka::cpu {

struct context {
  thread_pool &pool;
  const features &cpu;
};

struct implementation {
  const char *name;  // "avx512", "ref": shown by devices, conformance, bench and in errors
  // Null if it can run this (valid) problem here, otherwise the reason it cannot.
  const char *(*reject)(const void *problem, const features &cpu);
  // Runs it; pointers in the order of op_spec::operands. May throw std::bad_alloc.
  void (*run)(void *problem, operand_pointers pointers, context &ctx);
  // Optional: a second say once the operands are known, for those whose contents matter (packed weights). sizes[i]:
  // bytes from pointers[i] to the end of its buffer. Null or the reason, as reject.
  const char *(*reject_operands)(const void *problem, operand_pointers pointers,
                                 std::span<const uint64_t> sizes) = nullptr;
};

// Best first, reference last. Empty for an op that this backend does not know.
std::span<const implementation> implementations(uint32_t op) noexcept;

// The lists, one per op.
std::span<const implementation> gemm_list() noexcept;
std::span<const implementation> attention_list() noexcept;
std::span<const implementation> matmul_pow_list() noexcept;
std::span<const implementation> sha256_search_list() noexcept;
std::span<const implementation> normal_fill_list() noexcept;
std::span<const implementation> rms_norm_list() noexcept;
std::span<const implementation> rope_list() noexcept;
std::span<const implementation> silu_mul_list() noexcept;
std::span<const implementation> householder_list() noexcept;
std::span<const implementation> gather_list() noexcept;
std::span<const implementation> l2_normalize_list() noexcept;
std::span<const implementation> permuted_distance_list() noexcept;

// Packs gemm's constant operand for the named or best implementation: writes to *out (from allocate()).
// gemm_pack_size and gemm_pack_into live with the gemm kernels.
//   size   bytes the packed form needs; 0 and *reason set if no implementation packs this.
uint64_t gemm_pack_size(const gk_gemm_pack &pack, const features &cpu, const char **reason);
void gemm_pack_into(const gk_gemm_pack &pack, const void *b, const void *b2, void *packed, context &ctx);

}  // namespace gonka::cpu
