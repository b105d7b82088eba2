#include "rope.hpp"

#include "check.hpp"

namespace gonka {
namespace {

// Heads and tokens must not overlap, as x is written: one stride spans all runs of the other.
bool disjoint(const gk_rope &p) {
  if (p.tokens == 0 || p.heads == 0) return true;
  const __int128 heads_span = __int128(p.heads - 1) * p.head_stride + p.head_dim;
  const __int128 tokens_span = __int128(p.tokens - 1) * p.token_stride + p.head_dim;
  const bool heads_apart = p.heads == 1 || p.head_stride >= p.head_dim;
  const bool tokens_apart = p.tokens == 1 || p.token_stride >= p.head_dim;
  return heads_apart && tokens_apart &&
         (p.tokens == 1 || p.heads == 1 || p.token_stride >= heads_span || p.head_stride >= tokens_span);
}

gk_status validate(const void *problem, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_rope *>(problem);
  gk_status s = check_struct("rope", p.struct_size, sizeof p, err);
  if (s == GK_OK) s = check_float("rope", "type", p.type, err);
  if (s != GK_OK) return s;
  if (p.layout != GK_ROPE_ADJACENT && p.layout != GK_ROPE_HALF)
    return fail(err, GK_UNSUPPORTED, "rope: layout=%u; expected 1 (adjacent) or 2 (half)", p.layout);
  if (p.tokens < 0 || p.heads < 0 || p.head_dim < 0 || p.rotary_dim < 0 || p.table_positions < 0)
    return fail(err, GK_INVALID_ARGUMENT,
                "rope: tokens=%lld, heads=%d, head_dim=%d, rotary_dim=%d, table_positions=%lld; expected all >= 0",
                static_cast<long long>(p.tokens), p.heads, p.head_dim, p.rotary_dim,
                static_cast<long long>(p.table_positions));
  if (p.rotary_dim % 2 != 0 || p.rotary_dim > p.head_dim)
    return fail(err, GK_INVALID_ARGUMENT, "rope: rotary_dim=%d; expected an even number <= head_dim=%d", p.rotary_dim,
                p.head_dim);
  if (p.table_positions > (int64_t(1) << 31))
    return fail(err, GK_INVALID_ARGUMENT, "rope: table_positions=%lld; expected at most 2^31",
                static_cast<long long>(p.table_positions));
  if (p.token_stride < 0 || p.head_stride < 0 || !disjoint(p))
    return fail(err, GK_INVALID_ARGUMENT,
                "rope: token_stride=%lld and head_stride=%lld make heads of head_dim=%d overlap",
                static_cast<long long>(p.token_stride), static_cast<long long>(p.head_stride), p.head_dim);
  if (!extent_fits(p.heads, p.head_stride, p.tokens, p.token_stride, p.rotary_dim, p.type) ||
      !extent_fits(1, 0, p.table_positions, p.rotary_dim, p.rotary_dim, GK_F32) ||
      !extent_fits(1, 0, 1, 0, p.tokens, GK_I32))
    return fail(err, GK_INVALID_ARGUMENT,
                "rope: tokens=%lld with token_stride=%lld, head_stride=%lld exceed 2^62 bytes",
                static_cast<long long>(p.tokens), static_cast<long long>(p.token_stride),
                static_cast<long long>(p.head_stride));
  return GK_OK;
}

std::vector<operand> operands(void *problem) {
  auto &p = *static_cast<gk_rope *>(problem);
  const bool empty = p.tokens == 0 || p.heads == 0;
  const uint64_t size = dtype_size(p.type);
  return {
      {"x", &p.x, access::inout, p.type, uint64_t(p.tokens), uint64_t(p.rotary_dim) * size,
       uint64_t(p.token_stride) * size, true, uint64_t(p.heads), uint64_t(p.head_stride) * size},
      matrix_operand("table", p.table, access::in, GK_F32, empty ? 0 : p.table_positions, p.rotary_dim, p.rotary_dim),
      matrix_operand("positions", p.positions, access::in, GK_I32, 1, p.heads == 0 || p.rotary_dim == 0 ? 0 : p.tokens,
                     p.tokens),
  };
}

work count(const void *problem) {
  const auto &p = *static_cast<const gk_rope *>(problem);
  const double values = double(p.tokens) * p.heads * p.rotary_dim;
  return {values, 2 * values * dtype_size(p.type) + double(p.tokens) * (p.rotary_dim + 1) * 4};
}

gk_status check_operands(const void *problem, operand_pointers pointers, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_rope *>(problem);
  if (p.heads == 0 || p.rotary_dim == 0) return GK_OK;
  const auto *positions = static_cast<const int32_t *>(pointers[k_rope_positions]);
  for (int64_t t = 0; t < p.tokens; ++t)
    if (positions[t] < 0 || positions[t] >= p.table_positions)
      return fail(err, GK_INVALID_ARGUMENT, "rope: position %d of token %lld; expected 0 <= position < %lld",
                  positions[t], static_cast<long long>(t), static_cast<long long>(p.table_positions));
  return GK_OK;
}

}  // namespace

extern const op_spec rope_op;
const op_spec rope_op = {
    .op = GK_OP_ROPE,
    .name = "rope",
    .operation_unit = "value",
    .problem_size = sizeof(gk_rope),
    .exact = false,
    .validate = validate,
    .operands = operands,
    .count = count,
    .reference = rope_reference,
    .check_operands = check_operands,
};

}  // namespace gonka
