#include "case_data.hpp"
#include "rope.hpp"

namespace gonka {

extern const op_spec rope_op;

namespace {

struct parameters {
  uint32_t type, layout;
  int64_t tokens;
  int32_t heads, head_dim, rotary_dim;
  int64_t pad;        // after each head, and again after each token
  bool heads_outer;   // [heads, tokens, head_dim] instead of [tokens, heads, head_dim]
  int64_t positions;  // rows of the table
  double scale;
};

built_case build(const op_case &self) {
  const auto &q = *static_cast<const parameters *>(self.parameters.get());
  auto p = std::make_shared<gk_rope>();
  const int64_t inner = q.head_dim + q.pad;
  const int64_t outer = inner * (q.heads_outer ? q.tokens : q.heads) + q.pad;
  *p = {.struct_size = sizeof *p,
        .implementation = 0,
        .type = q.type,
        .layout = q.layout,
        .tokens = q.tokens,
        .token_stride = q.heads_outer ? inner : outer,
        .head_stride = q.heads_outer ? outer : inner,
        .heads = q.heads,
        .head_dim = q.head_dim,
        .rotary_dim = q.rotary_dim,
        .reserved = 0,
        .table_positions = q.positions,
        .x = {},
        .table = {},
        .positions = {}};
  built_case built = start_case(rope_op, p);
  seeded_values values(self.seed);
  fill_operand(built, k_rope_x, [&](int64_t) { return q.scale * values.normal(); });
  // Angles as in the paper: position * 10000^(-2i / rotary_dim).
  fill_operand(built, k_rope_table, [&](int64_t i) {
    const int64_t pair = i / 2 % (q.rotary_dim / 2), position = i / q.rotary_dim;
    const double angle = double(position) * std::pow(10000.0, -2.0 * double(pair) / q.rotary_dim);
    return i % 2 == 0 ? std::cos(angle) : std::sin(angle);
  });
  // First and last row of the table, repeats, any order.
  fill_operand(built, k_rope_positions, [&](int64_t i) {
    return double(i == 0 ? q.positions - 1 : i == 1 ? 0 : values.below(q.positions));
  });
  return built;
}

comparison compare(const op_case &self, const built_case &problem, const std::vector<std::vector<std::byte>> &got,
                   const std::vector<std::vector<std::byte>> &want) {
  const auto &q = *static_cast<const parameters *>(self.parameters.get());
  std::vector<double> before;
  const auto &x = problem.data[k_rope_x];
  for_each_pair(problem.operands[k_rope_x], x, x,
                [&](int64_t, double value, double) { before.push_back(std::abs(value)); });
  return compare_operand(problem, k_rope_x, got, want,
                         rounded_aggregate(q.type, 3 * k_eps32, q.tokens * q.heads * q.rotary_dim),
                         [&](int64_t i, double value) {
                           const int64_t d = i % q.rotary_dim, head = i - d, half = q.rotary_dim / 2;
                           const int64_t partner = q.layout == GK_ROPE_ADJACENT ? (d ^ 1) : (d + half) % q.rotary_dim;
                           return 3 * k_eps32 * (before[i] + before[head + partner]) +
                                  2 * rounding_bound(q.type, value) + smallest_step(GK_F32);
                         });
}

}  // namespace

std::vector<op_case> rope_cases() {
  std::vector<op_case> list;
  const auto add = [&](uint32_t uses, parameters q) {
    std::string name = std::string(dtype_name(q.type)) + (q.layout == GK_ROPE_ADJACENT ? " adjacent" : " half") +
                       " tokens=" + std::to_string(q.tokens) + " heads=" + std::to_string(q.heads) +
                       " head_dim=" + std::to_string(q.head_dim) + " rotary_dim=" + std::to_string(q.rotary_dim) +
                       " ld+" + std::to_string(q.pad) + (q.heads_outer ? " heads outer" : "");
    if (q.scale != 1) name += q.scale > 1 ? " large" : " tiny";
    list.push_back({name, uses, 5000 + list.size(), build, std::make_shared<parameters>(q), compare});
  };
  for (const uint32_t type : {GK_F32, GK_F16, GK_BF16})
    for (const uint32_t layout : {GK_ROPE_ADJACENT, GK_ROPE_HALF}) {
      add(use_selftest | use_conformance, {type, layout, 3, 2, 40, 38, 1, false, 7, 1});
      for (const int32_t rotary : {0, 2, 14, 16, 18, 30, 32, 34, 66, 96, 128, 250})
        add(use_conformance, {type, layout, 3, 3, rotary + rotary % 3, rotary, rotary % 4, rotary % 8 == 2, 17, 1});
      for (const int64_t tokens : {0, 1, 2, 131})
        add(use_conformance, {type, layout, tokens, 2, 64, 64, 0, false, 300, 1});
      add(use_conformance, {type, layout, 5, 0, 64, 64, 0, false, 3, 1});
      add(use_conformance, {type, layout, 9, 5, 80, 80, 3, true, 9, 1});
      add(use_conformance, {type, layout, 4, 2, 48, 48, 0, false, 9, type == GK_F16 ? 5e3 : 1e30});
      add(use_conformance, {type, layout, 4, 2, 48, 48, 0, false, 9, type == GK_F16 ? 1e-6 : 1e-39});
      add(use_full | use_bench, {type, layout, 512, 32, 128, 128, 0, false, 4096, 1});
    }
  return list;
}

}  // namespace gonka
