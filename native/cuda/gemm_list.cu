// gemm: which kernel runs what, best first, and how tiles are chosen.
#include "device/gemm_mma.cuh"
#include "gemm_tiles.hpp"

namespace gonka::cuda {

void run_gemm_simt(void *problem, places at, context &ctx);
void run_gemm_wgmma(void *problem, places at, context &ctx);
void run_gemm_wgmma_f8(void *problem, places at, context &ctx);
void run_gemm_tcgen05(void *problem, places at, context &ctx);

gemm_args make_gemm_args(const gk_gemm &p, places at) {
  const auto vectors = [](const void *base, int64_t ld, uint64_t bytes) {
    return aligned_16(base) && uint64_t(ld) * bytes % 16 == 0;
  };
  gemm_args a{};
  a.m = p.m, a.n = p.n, a.k = p.k, a.lda = p.lda, a.ldb = p.ldb, a.ldc = p.ldc, a.ldd = p.ldd;
  a.alpha = p.alpha, a.beta = p.beta;
  a.a_type = p.a_type, a.b_type = p.b_type, a.d_type = p.d_type;
  a.pair = p.epilogue == GK_EPILOGUE_SWIGLU;
  a.vector_a = vectors(at[k_gemm_a], p.lda, dtype_size(p.a_type));
  a.vector_b = vectors(at[k_gemm_b], p.ldb, dtype_size(p.b_type)) && (!a.pair || aligned_16(at[k_gemm_b2]));
  const auto fours = [&](const void *base, int64_t ld) {
    return reinterpret_cast<uintptr_t>(base) % (4 * dtype_size(p.d_type)) == 0 && ld % 4 == 0;
  };
  a.vector_d = fours(at[k_gemm_d], p.ldd) && (p.beta == 0 || fours(at[k_gemm_c], p.ldc));
  a.splits = 1;
  a.split_k = p.k;
  a.has_a_scale = at[k_gemm_a_scale] != nullptr;
  a.has_b_scale = at[k_gemm_b_scale] != nullptr;
  a.has_b2_scale = at[k_gemm_b2_scale] != nullptr;
  const bool scales = a.has_a_scale || a.has_b_scale || a.has_b2_scale;
  a.scale_block_n = p.scale_block_n;
  a.scale_block_k = p.scale_block_k;
  a.scale_blocks = scales ? ceil_div(p.k, p.scale_block_k) : 0;
  a.a = runtime::address<const uint8_t>(at[k_gemm_a]);
  a.b = runtime::address<const uint8_t>(at[k_gemm_b]);
  a.b2 = runtime::address<const uint8_t>(at[k_gemm_b2]);
  a.c = runtime::address<const uint8_t>(at[k_gemm_c]);
  a.d = runtime::address<uint8_t>(at[k_gemm_d]);
  a.a_scale = runtime::address<const float>(at[k_gemm_a_scale]);
  a.b_scale = runtime::address<const float>(at[k_gemm_b_scale]);
  a.b2_scale = runtime::address<const float>(at[k_gemm_b2_scale]);
  return a;
}

namespace {

// Too few tiles for the blocks that the device runs at once: cut k until they do, as long as a part keeps 8 stages,
// enough to fill the pipeline, and the workspace is read back from L2.
uint32_t plan_splits(int64_t blocks, int64_t tiles, int64_t stages, int64_t m, int64_t n, const capability &can) {
  const int64_t wanted = tiles == 0 ? 1 : blocks / tiles;
  int64_t splits = wanted < stages / 8 ? wanted : stages / 8;
  if (splits > 16) splits = 16;
  while (splits > 1 && uint64_t(m) * uint64_t(n) * uint64_t(splits) * 4 > can.l2_bytes) --splits;
  return splits < 1 ? 1 : uint32_t(splits);
}

}  // namespace

gemm_plan plan_gemm(int64_t m, int64_t n, int64_t k, uint32_t element_bytes, const capability &can) {
  const auto blocks = [&](const gemm_tile &t) { return ceil_div(m, t.block_m) * ceil_div(n, t.block_n); };
  const int64_t sms = can.multiprocessors;
  gemm_plan plan{1, 1};
  if (m <= 16)
    plan.tile = 2;
  else if (blocks(mma_large::tile) >= sms)  // one full wave of large tiles: nothing beats their reuse
    plan.tile = 0;
  const int64_t have = plan.tile == 0   ? blocks(mma_large::tile)
                       : plan.tile == 1 ? blocks(mma_medium::tile)
                                        : blocks(mma_narrow::tile);
  plan.splits = plan_splits(2 * sms, have, ceil_div(k * element_bytes, k_stage_row_bytes), m, n, can);
  return plan;
}

uint32_t plan_simt_splits(int64_t m, int64_t n, int64_t k, const capability &can) {
  // Blocks of two warps wait for memory most of the time: sixteen on an SM hide it.
  return plan_splits(16 * int64_t(can.multiprocessors),
                     ceil_div(m, k_simt_small_block) * ceil_div(n, k_simt_small_block),
                     ceil_div(k, k_simt_small_block_k), m, n, can);
}

tcgen05_plan plan_tcgen05(int64_t m, int64_t n, int64_t k, uint32_t element_bytes, const capability &can) {
  const auto blocks = [&](const tcgen05_tile &t) { return ceil_div(m, k_tcgen05_block_m) * ceil_div(n, t.block_n); };
  const bool wide = blocks(tcgen05_wide::tile) >= can.multiprocessors;  // a wave of them: nothing beats their reuse
  const int64_t tiles = wide ? blocks(tcgen05_wide::tile) : blocks(tcgen05_square::tile);
  const int64_t stages = ceil_div(k * element_bytes, k_tcgen05_row_bytes);
  return {wide, plan_splits(can.multiprocessors, tiles, stages, m, n, can)};  // one block an SM
}

namespace {

const gk_gemm &view(const void *problem) {
  return *static_cast<const gk_gemm *>(problem);
}

const char *reject_common(const gk_gemm &p) {
  if (ceil_div(p.m, 16) * ceil_div(p.n, 32) > 0x7fffffff) return "more than 2^31 - 1 tiles";
  return nullptr;
}

const char *reject_mma(const void *problem, const capability &can) {
  const gk_gemm &p = view(problem);
  if (const char *reason = reject_common(p)) return reason;
  if (can.compute_capability < 80) return "mma.sync of these types needs compute capability 8.0";
  if (p.a_type != p.b_type || p.a_type == GK_F32) return "tensor cores take two operands of one short type";
  if (p.k == 0) return "k is 0";
  const bool f8 = p.a_type == GK_F8_E4M3 || p.a_type == GK_F8_E5M2;
  if (f8 && p.scale_block_k % k_stage_row_bytes != 0) return "scale_block_k is not a multiple of 64";
  return nullptr;
}

void run_mma(void *problem, places at, context &ctx) {
  const gk_gemm &p = view(problem);
  if (p.m == 0 || p.n == 0) return;
  gemm_args a = make_gemm_args(p, at);
  switch (p.a_type) {
    case GK_F16:
      return launch_gemm_mma_f16(a, ctx);
    case GK_BF16:
      return launch_gemm_mma_bf16(a, ctx);
    case GK_I8:
      return launch_gemm_mma_i8(a, ctx);
    case GK_F8_E4M3:
      return launch_gemm_mma_e4m3(a, ctx);
    default:
      return launch_gemm_mma_e5m2(a, ctx);
  }
}

// What bulk tensor copies ask of the operands.
const char *reject_bulk(const gk_gemm &p) {
  const int64_t bytes = dtype_size(p.a_type);
  if (p.lda * bytes % 16 != 0 || p.ldb * bytes % 16 != 0) return "bulk copies need rows 16 bytes aligned";
  constexpr int64_t limit = int64_t(1) << 31;  // coordinates are 32-bit
  if (p.m >= limit || p.n >= limit || p.k >= limit) return "an extent of 2^31 or more";
  if (p.lda * bytes >= int64_t(1) << 40 || p.ldb * bytes >= int64_t(1) << 40)
    return "a row stride of 2^40 bytes or more";
  return nullptr;
}

const char *reject_wgmma(const void *problem, const capability &can) {
  const gk_gemm &p = view(problem);
  if (const char *reason = reject_common(p)) return reason;
  if (can.compute_capability != 90) return "wgmma exists on compute capability 9.0 only";
  if (p.a_type != p.b_type || (p.a_type != GK_F16 && p.a_type != GK_BF16 && p.a_type != GK_I8))
    return "wgmma takes two operands of F16, BF16 or I8 here";
  if (p.k == 0) return "k is 0";
  return reject_bulk(p);
}

constexpr const char *k_asks_for_f32 = "the F8 units add up in 14 bits; accumulation asks for F32";

bool is_f8_type(uint32_t type) {
  return type == GK_F8_E4M3 || type == GK_F8_E5M2;
}

const char *reject_wgmma_f8(const void *problem, const capability &can) {
  const gk_gemm &p = view(problem);
  if (const char *reason = reject_common(p)) return reason;
  if (can.compute_capability != 90) return "wgmma exists on compute capability 9.0 only";
  if (!is_f8_type(p.a_type) || p.a_type != p.b_type) return "takes two operands of one F8 type";
  if (p.accumulation != GK_ACCUMULATE_SHORT) return k_asks_for_f32;
  if (p.k == 0) return "k is 0";
  if (p.scale_block_k % 128 != 0) return "scale_block_k is not a multiple of 128";
  if (p.scale_block_n % 8 != 0) return "scale_block_n is not a multiple of 8";
  return reject_bulk(p);
}

const char *reject_mma_f8(const void *problem, const capability &can) {
  const gk_gemm &p = view(problem);
  if (!is_f8_type(p.a_type)) return "takes two operands of one F8 type";
  if (can.compute_capability < 89) return "mma.sync of F8 needs compute capability 8.9";
  if (p.accumulation != GK_ACCUMULATE_SHORT) return k_asks_for_f32;
  return reject_mma(problem, can);
}

void run_mma_f8(void *problem, places at, context &ctx) {
  const gk_gemm &p = view(problem);
  if (p.m == 0 || p.n == 0) return;
  gemm_args a = make_gemm_args(p, at);
  return p.a_type == GK_F8_E4M3 ? launch_gemm_mma_e4m3_units(a, ctx) : launch_gemm_mma_e5m2_units(a, ctx);
}

const char *reject_tcgen05(const void *problem, const capability &can) {
  const gk_gemm &p = view(problem);
  if (const char *reason = reject_common(p)) return reason;
  // Code for sm_100a runs on no other architecture, a newer one of the family included.
  if (can.compute_capability != 100) return "tcgen05 is built for compute capability 10.0";
  if (p.a_type != p.b_type || p.a_type == GK_F32) return "tensor cores take two operands of one short type";
  if (p.k == 0) return "k is 0";
  if (p.scale_block_k % k_tcgen05_row_bytes != 0) return "scale_block_k is not a multiple of 128";
  if (p.scale_block_n % 16 != 0) return "scale_block_n is not a multiple of 16";
  if (ceil_div(p.m, k_tcgen05_block_m) * ceil_div(p.n, 64) * 16 > 0x7fffffff) return "more than 2^31 - 1 items";
  return reject_bulk(p);
}

const char *reject_bulk_places(const void *, places at) {
  const bool whole = aligned_16(at[k_gemm_a]) && aligned_16(at[k_gemm_b]) && aligned_16(at[k_gemm_b2]);
  return whole ? nullptr : "bulk copies need operands 16 bytes aligned";
}

// Tiles of 128 x 128 that do not fill half the device lose to mma.sync with k split.
const char *wgmma_is_slower(const void *problem, const capability &can) {
  const gk_gemm &p = view(problem);
  const int64_t tiles = ceil_div(p.m, 128) * ceil_div(p.epilogue == GK_EPILOGUE_SWIGLU ? 2 * p.n : p.n, 128);
  return tiles * 2 < can.multiprocessors ? "too few tiles" : nullptr;
}

// Square, wide, and wide in clusters: the order of additions is that of k in all of them.
uint32_t wgmma_variants(const void *problem, const capability &) {
  return view(problem).m > k_wgmma_block_m ? 4 : 3;
}

// Large, medium and narrow tiles, with k split as the plan says: where k is cut does not depend on the tile.
uint32_t mma_variants(const void *, const capability &) {
  return 4;
}

// Heights up to the next power of two go together: a last batch that is not full needs no measurement of its own.
std::string shape_class(const void *problem) {
  const gk_gemm &p = view(problem);
  int64_t m = 1;
  while (m < p.m) m *= 2;
  std::string name = std::string(dtype_name(p.a_type)) + " " + dtype_name(p.d_type);
  if (p.epilogue == GK_EPILOGUE_SWIGLU) name += " pair";
  if (p.beta != 0) name += " add";
  return name + " " + std::to_string(m) + " " + std::to_string(p.n) + " " + std::to_string(p.k);
}

constexpr implementation k_list[] = {
    {"sm100_tcgen05", reject_tcgen05, reject_bulk_places, run_gemm_tcgen05},
    {"sm90_wgmma", reject_wgmma, reject_bulk_places, run_gemm_wgmma, wgmma_is_slower, wgmma_variants, shape_class},
    {"sm90_wgmma_f8", reject_wgmma_f8, reject_bulk_places, run_gemm_wgmma_f8, wgmma_is_slower},
    {"sm89_mma_f8", reject_mma_f8, nullptr, run_mma_f8},
    {"sm80_mma", reject_mma, nullptr, run_mma, nullptr, mma_variants, shape_class},
    {"simt", [](const void *problem, const capability &) { return reject_common(view(problem)); }, nullptr,
     run_gemm_simt},
};

}  // namespace

std::span<const implementation> gemm_list() noexcept {
  return k_list;
}

}  // namespace gonka::cuda
