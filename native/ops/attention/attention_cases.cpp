// Cases of attention. How results are judged is in attention_compare.cpp.
#include <numeric>

#include "attention.hpp"
#include "attention_compare.hpp"
#include "case_data.hpp"

namespace gonka {

extern const op_spec attention_op;

namespace {

enum class kind { normal, large, tiny };

struct parameters {
  uint32_t qkv_type, o_type;
  bool causal;
  int32_t num_heads, num_heads_kv, head_dim;
  std::vector<int64_t> seqlens_q, seqlens_k;
  int64_t pad = 0;           // elements after each head, and again after the inner axis
  bool heads_outer = false;  // [heads, tokens, head_dim] instead of [tokens, heads, head_dim]
  bool lse = true;
  kind values = kind::normal;
};

struct offsets {
  std::vector<int64_t> q{0}, k{0};
};

built_case build(const op_case &self) {
  const auto &c = *static_cast<const parameters *>(self.parameters.get());
  auto p = std::make_shared<gk_attention>();
  auto cu = std::make_shared<offsets>();
  for (const int64_t length : c.seqlens_q) cu->q.push_back(cu->q.back() + length);
  for (const int64_t length : c.seqlens_k) cu->k.push_back(cu->k.back() + length);
  const int64_t inner = c.head_dim + c.pad;
  const auto outer = [&](int64_t tokens, int64_t heads) { return inner * (c.heads_outer ? tokens : heads) + c.pad; };
  const int64_t q_outer = outer(cu->q.back(), c.num_heads), k_outer = outer(cu->k.back(), c.num_heads_kv);
  *p = {.struct_size = sizeof *p,
        .implementation = 0,
        .qkv_type = c.qkv_type,
        .o_type = c.o_type,
        .causal = c.causal,
        .batch = uint32_t(c.seqlens_q.size()),
        .num_heads = c.num_heads,
        .num_heads_kv = c.num_heads_kv,
        .head_dim = c.head_dim,
        .softmax_scale = float(1 / std::sqrt(double(c.head_dim))),
        .cu_seqlens_q = cu->q.data(),
        .cu_seqlens_k = cu->k.data(),
        .q_token_stride = c.heads_outer ? inner : q_outer,
        .q_head_stride = c.heads_outer ? q_outer : inner,
        .k_token_stride = c.heads_outer ? inner : k_outer,
        .k_head_stride = c.heads_outer ? k_outer : inner,
        .v_token_stride = c.heads_outer ? inner : k_outer,
        .v_head_stride = c.heads_outer ? k_outer : inner,
        .o_token_stride = c.heads_outer ? inner : q_outer,
        .o_head_stride = c.heads_outer ? q_outer : inner,
        .q = {},
        .k = {},
        .v = {},
        .o = {},
        .lse = {}};
  built_case built = start_case(attention_op, p, c.lse ? 0 : 1u << k_attention_lse);
  built.owned = cu;
  seeded_values values(self.seed);
  // Large: scores around +-100, where softmax is nearly one-hot. Tiny: subnormal values in F32 and F16; BF16 stays
  // normal, since processors' BF16 products take subnormals for zero.
  const double scale = c.values == kind::large ? 10 : 1;
  const double tiny = c.qkv_type == GK_F16 ? 1e-6 : c.qkv_type == GK_F32 ? 1e-39 : 1e-30;
  fill_operand(built, k_attention_q, [&](int64_t) { return scale * values.normal(); });
  fill_operand(built, k_attention_k,
               [&](int64_t) { return (c.values == kind::tiny ? tiny : scale) * values.normal(); });
  fill_operand(built, k_attention_v, [&](int64_t) { return (c.values == kind::tiny ? tiny : 1) * values.normal(); });
  return built;
}

comparison compare(const op_case &, const built_case &problem, const std::vector<std::vector<std::byte>> &got,
                   const std::vector<std::vector<std::byte>> &want) {
  return compare_attention(problem, got, want);
}

std::string lengths(const std::vector<int64_t> &list) {
  const bool same =
      list.size() > 4 && std::accumulate(list.begin(), list.end(), int64_t(0)) == list.front() * int64_t(list.size());
  if (same) return std::to_string(list.size()) + "*" + std::to_string(list.front());
  std::string text;
  for (const int64_t length : list) text.append(text.empty() ? "" : ",").append(std::to_string(length));
  return text;
}

}  // namespace

std::vector<op_case> attention_cases() {
  std::vector<op_case> list;
  const auto add = [&](uint32_t uses, parameters c) {
    static constexpr const char *k_kinds[] = {"", " large", " tiny"};
    const std::string name =
        std::string(dtype_name(c.qkv_type)) + " o=" + dtype_name(c.o_type) + " q=" + lengths(c.seqlens_q) +
        " k=" + lengths(c.seqlens_k) + " heads=" + std::to_string(c.num_heads) + "/" + std::to_string(c.num_heads_kv) +
        " head_dim=" + std::to_string(c.head_dim) + (c.causal ? " causal" : "") + " ld+" + std::to_string(c.pad) +
        (c.heads_outer ? " heads outer" : "") + (c.lse ? "" : " no lse") + k_kinds[int(c.values)];
    list.push_back({name, uses, 7000 + list.size(), build, std::make_shared<parameters>(c), compare});
  };
  for (const uint32_t type : {GK_F32, GK_F16, GK_BF16}) {
    add(use_selftest | use_conformance, {type, type, true, 2, 1, 40, {3, 17}, {5, 17}, 1});
    add(use_selftest | use_conformance, {type, GK_F32, false, 1, 1, 64, {9}, {70}});
    for (const int32_t head_dim : {1, 2, 8, 15, 16, 17, 31, 32, 33, 40, 64, 72, 80, 96, 128, 160, 192, 255, 256})
      add(use_conformance, {type,
                            head_dim % 3 == 0 ? uint32_t(GK_F32) : type,
                            head_dim % 2 == 0,
                            2,
                            2,
                            head_dim,
                            {19},
                            {37},
                            head_dim % 5});
    for (const int64_t seqlen_k : {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 257, 521})
      for (const bool causal : {false, true})
        add(use_conformance, {type, type, causal, 1, 1, 32, {causal ? 11 : 3}, {seqlen_k}, 0, false, causal});
    for (const int64_t seqlen_q : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65, 130})
      add(use_conformance, {type, type, true, 2, 1, 64, {seqlen_q}, {seqlen_q + seqlen_q % 3}});
    // More queries than keys: the first rows see nothing.
    add(use_conformance, {type, type, true, 2, 2, 48, {40}, {23}, 3});
    add(use_conformance, {type, type, true, 1, 1, 16, {70}, {1}});
    // Ragged, with sequences that have no queries, no keys or neither.
    for (const bool causal : {false, true}) {
      add(use_conformance, {type, type, causal, 6, 2, 80, {3, 0, 17, 1, 0, 5}, {5, 4, 0, 33, 0, 5}, 2});
      add(use_conformance, {type, GK_F32, causal, 3, 3, 40, {20, 1, 35}, {20, 64, 35}, 5, true});
    }
    add(use_conformance, {type, type, false, 2, 1, 32, {}, {}});
    add(use_conformance, {type, type, false, 2, 1, 32, {0, 0}, {7, 0}});
    add(use_conformance, {type, type, false, 2, 1, 32, {3}, {0}});
    // Grouped heads, one kv head for all, decoding.
    add(use_conformance, {type, type, true, 12, 4, 64, {21}, {21}});
    add(use_conformance, {type, type, true, 8, 1, 128, {18, 9}, {18, 40}, 1, true});
    add(use_conformance, {type, type, true, 7, 1, 128, {1, 1}, {300, 77}});
    add(use_conformance, {type, type, true, 16, 16, 128, {16, 16, 16}, {16, 16, 16}, 0, false, false});
    for (const kind values : {kind::large, kind::tiny})
      for (const bool causal : {false, true})
        add(use_conformance, {type, type, causal, 2, 1, 64, {35}, {150}, 0, false, true, values});
    // Long heads whose rows bulk copies take, over several tiles of keys, the last one not full.
    for (const int32_t head_dim : {136, 192, 248, 256})
      add(use_conformance, {type, type, head_dim % 16 == 0, 2, 1, head_dim, {90, 3}, {150, 64}, 8});

    add(use_full, {type, type, true, 2, 1, 128, {512}, {512}});
    add(use_full, {type, type, false, 1, 1, 64, {200}, {2048}});
    for (const int32_t head_dim : {64, 128})
      for (const int64_t seqlen : {512, 1024, 4096})
        for (const bool causal : {false, true})
          if (seqlen != 512 || !causal)
            add(use_bench, {type, type, causal, 4, 2, head_dim, {seqlen}, {seqlen}, 0, false, false});
    add(use_bench,
        {type, type, true, 16, 16, 128, std::vector<int64_t>(64, 16), std::vector<int64_t>(64, 16), 0, false, false});
    add(use_bench,
        {type, type, true, 32, 8, 128, std::vector<int64_t>(8, 1), std::vector<int64_t>(8, 1024), 0, false, false});
  }
  return list;
}

}  // namespace gonka
