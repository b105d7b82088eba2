// Implementations of gemm, best first, and which of them packs.
#include <vector>

#include "gemm_blocked.hpp"

namespace gonka {
extern const op_spec gemm_op;
}

namespace gonka::cpu {
namespace {

using kernel_fn = const gemm_kernel *(*)(uint32_t a_type, uint32_t b_type) noexcept;
constexpr const char *k_missing = "this processor or GONKA_CPU_FEATURES lacks the instruction set";
constexpr const char *k_types = "not for these operand types";

struct blocked_entry {
  kernel_fn kernel;
  bool features::*level;
};

template <kernel_fn Kernel, bool features::*Level>
struct blocked {
  static const gemm_kernel *kernel(const gk_gemm &p) { return Kernel(p.a_type, p.b_type); }
  static const char *reject(const void *problem, const features &cpu) {
    if (!(cpu.*Level)) return k_missing;
    return kernel(*static_cast<const gk_gemm *>(problem)) == nullptr ? k_types : nullptr;
  }
  static const char *reject_operands(const void *problem, operand_pointers pointers, std::span<const uint64_t> sizes) {
    const auto &p = *static_cast<const gk_gemm *>(problem);
    return p.b_packed == 0 ? nullptr : refuse_packed(*kernel(p), p, pointers[k_gemm_b], sizes[k_gemm_b]);
  }
  static void run(void *problem, operand_pointers pointers, context &ctx) {
    const auto &p = *static_cast<const gk_gemm *>(problem);
    run_blocked(*kernel(p), p, pointers, ctx);
  }
  static constexpr implementation entry(const char *name) {
    return {.name = name, .reject = reject, .run = run, .reject_operands = reject_operands};
  }
};

const char *accept(const void *, const features &) {
  return nullptr;
}

const char *refuse_reference(const void *problem, operand_pointers pointers, std::span<const uint64_t> sizes) {
  const auto &p = *static_cast<const gk_gemm *>(problem);
  return p.b_packed == 0 ? nullptr : refuse_unpacking(p, pointers[k_gemm_b], sizes[k_gemm_b]);
}

// The reference knows no packed layout: packed weights are turned back first, whichever kernel's they are.
void run_reference(void *problem, operand_pointers pointers, context &) {
  const auto &p = *static_cast<const gk_gemm *>(problem);
  if (p.b_packed == 0) return gemm_op.reference(problem, pointers);
  const uint64_t bytes = uint64_t(p.n) * uint64_t(p.k) * dtype_size(p.b_type);
  const bool pair = p.epilogue == GK_EPILOGUE_SWIGLU;
  std::vector<std::byte> b(bytes), b2(pair ? bytes : 0);
  unpack_weights(pointers[k_gemm_b], b.data(), pair ? b2.data() : nullptr);
  gk_gemm plain = p;
  plain.b_packed = 0;
  plain.ldb = p.k;
  std::vector<void *> plain_pointers(pointers.begin(), pointers.end());
  plain_pointers[k_gemm_b] = b.data();
  plain_pointers[k_gemm_b2] = pair ? b2.data() : nullptr;
  gemm_op.reference(&plain, plain_pointers);
}

#if defined(__x86_64__)
constexpr blocked_entry k_blocked[] = {
    {gemm_kernel_amx_bf16, &features::amx_bf16},     {gemm_kernel_amx_int8, &features::amx_int8},
    {gemm_kernel_avx512bf16, &features::avx512bf16}, {gemm_kernel_avx512vnni, &features::avx512vnni},
    {gemm_kernel_avx512, &features::avx512},         {gemm_kernel_avx2, &features::avx2}};
#elif defined(__aarch64__)
constexpr blocked_entry k_blocked[] = {{gemm_kernel_i8mm, &features::i8mm},
                                       {gemm_kernel_neondot, &features::neondot},
                                       {gemm_kernel_neon, &features::neon}};
#endif

constexpr implementation k_list[] = {
#if defined(__x86_64__)
    blocked<gemm_kernel_amx_bf16, &features::amx_bf16>::entry("amx_bf16"),
    blocked<gemm_kernel_amx_int8, &features::amx_int8>::entry("amx_int8"),
    blocked<gemm_kernel_avx512bf16, &features::avx512bf16>::entry("avx512bf16"),
    blocked<gemm_kernel_avx512vnni, &features::avx512vnni>::entry("avx512vnni"),
    blocked<gemm_kernel_avx512, &features::avx512>::entry("avx512"),
    blocked<gemm_kernel_avx2, &features::avx2>::entry("avx2"),
#elif defined(__aarch64__)
    blocked<gemm_kernel_i8mm, &features::i8mm>::entry("i8mm"),
    blocked<gemm_kernel_neondot, &features::neondot>::entry("neondot"),
    blocked<gemm_kernel_neon, &features::neon>::entry("neon"),
#endif
    {.name = "ref", .reject = accept, .run = run_reference, .reject_operands = refuse_reference},
};

// The kernel whose layout a request is for, or null and the reason.
const gemm_kernel *packing_kernel(const gk_gemm_pack &pack, const features &cpu, const char **reason) {
  *reason = "no implementation here packs these operand types";
#if defined(__x86_64__) || defined(__aarch64__)
  constexpr uint32_t count = sizeof k_blocked / sizeof *k_blocked;
  for (uint32_t i = 0; i < count; ++i) {
    if (pack.implementation != 0 && pack.implementation != i + 1) continue;
    const gemm_kernel *kernel = k_blocked[i].kernel(pack.a_type, pack.b_type);
    if (kernel != nullptr && cpu.*k_blocked[i].level) return kernel;
    if (pack.implementation != 0) *reason = kernel == nullptr ? k_types : k_missing;
  }
  if (pack.implementation > count) *reason = "this implementation has no packed layout; pass b as it is";
#else
  (void)pack, (void)cpu;
#endif
  return nullptr;
}

}  // namespace

std::span<const implementation> gemm_list() noexcept {
  return k_list;
}

uint64_t gemm_pack_size(const gk_gemm_pack &pack, const features &cpu, const char **reason) {
  const gemm_kernel *kernel = packing_kernel(pack, cpu, reason);
  return kernel == nullptr ? 0 : packed_bytes(*kernel, pack);
}

void gemm_pack_into(const gk_gemm_pack &pack, const void *b, const void *b2, void *packed, context &ctx) {
  const char *reason;
  pack_weights(*packing_kernel(pack, ctx.cpu, &reason), pack, b, b2, packed, ctx);
}

}  // namespace gonka::cpu
