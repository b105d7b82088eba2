// Vaswani et al., Attention Is All You Need, arXiv 1706.03762, equation 1, row by row in double.
#include <cmath>
#include <limits>

#include "attention.hpp"
#include "case_data.hpp"

namespace gonka {

void attention_reference(void *problem, operand_pointers pointers) {
  const auto &p = *static_cast<const gk_attention *>(problem);
  const int64_t total_q = p.batch > 0 ? p.cu_seqlens_q[p.batch] : 0;
  std::vector<double> weight, query(size_t(p.head_dim)), sum;
  for (uint32_t b = 0; b < p.batch; ++b) {
    const int64_t begin_k = p.cu_seqlens_k[b], begin_q = p.cu_seqlens_q[b];
    const int64_t seqlen_k = p.cu_seqlens_k[b + 1] - begin_k, seqlen_q = p.cu_seqlens_q[b + 1] - begin_q;
    for (int32_t h = 0; h < p.num_heads; ++h) {
      const int64_t head_kv = h / (p.num_heads / p.num_heads_kv);
      for (int64_t i = 0; i < seqlen_q; ++i) {
        const int64_t keys = visible_keys(p, i, seqlen_q, seqlen_k);
        const int64_t q = (begin_q + i) * p.q_token_stride + h * p.q_head_stride;
        const int64_t o = (begin_q + i) * p.o_token_stride + h * p.o_head_stride;
        for (int32_t d = 0; d < p.head_dim; ++d) query[d] = read_element(p.qkv_type, pointers[k_attention_q], q + d);

        weight.assign(size_t(keys), 0);
        double largest = -std::numeric_limits<double>::infinity();
        for (int64_t j = 0; j < keys; ++j) {
          const int64_t k = (begin_k + j) * p.k_token_stride + head_kv * p.k_head_stride;
          for (int32_t d = 0; d < p.head_dim; ++d)
            weight[j] += query[d] * read_element(p.qkv_type, pointers[k_attention_k], k + d);
          weight[j] *= double(p.softmax_scale);
          largest = std::fmax(largest, weight[j]);
        }
        double total = 0;
        sum.assign(size_t(p.head_dim), 0);
        for (int64_t j = 0; j < keys; ++j) {
          const int64_t v = (begin_k + j) * p.v_token_stride + head_kv * p.v_head_stride;
          const double e = std::exp(weight[j] - largest);
          total += e;
          for (int32_t d = 0; d < p.head_dim; ++d)
            sum[d] += e * read_element(p.qkv_type, pointers[k_attention_v], v + d);
        }
        for (int32_t d = 0; d < p.head_dim; ++d)
          write_element(p.o_type, pointers[k_attention_o], o + d, keys == 0 ? 0 : sum[d] / total);
        if (pointers[k_attention_lse] != nullptr)
          write_element(GK_F32, pointers[k_attention_lse], h * total_q + begin_q + i, largest + std::log(total));
      }
    }
  }
}

}  // namespace gonka
