#include "cudnn_attention.hpp"

#include <array>
#include <limits>

namespace gonka::cuda::cudnn {
namespace {

enum unique_id : int64_t { k_q_id = 1, k_k_id, k_v_id, k_o_id, k_scale_id, k_fill_id, k_first_inner_id = 100 };

using extents = std::array<int64_t, 4>;

// Makes the descriptors of one graph and keeps them.
class graph_builder {
 public:
  graph_builder(const api &a, handle h, const attention_shape &s) : api_(a), handle_(h), shape_(s) {}

  // Both return the finished graph; kept() holds what it refers to.
  descriptor unified() {
    const size_t q = outer(k_q_id, shape_.heads, shape_.seqlen_q, shape_.q);
    const size_t k = outer(k_k_id, shape_.heads_kv, shape_.seqlen_k, shape_.k);
    const size_t v = outer(k_v_id, shape_.heads_kv, shape_.seqlen_k, shape_.v);
    const size_t o = outer(k_o_id, shape_.heads, shape_.seqlen_q, shape_.o), scale = scalar(k_scale_id);
    descriptor op(api_, k_operation_sdpa_forward);
    op.set(k_sdpa_q, kept_[q]).set(k_sdpa_k, kept_[k]).set(k_sdpa_v, kept_[v]).set(k_sdpa_o, kept_[o]);
    op.set(k_sdpa_scale, kept_[scale]);
    if (shape_.causal) {
      const int64_t from = next_id_, to = from + 1;
      const size_t x = scores(k_float), y = scores(k_float), fill = scalar(k_fill_id);
      descriptor mask(api_, k_operation_diagonal_band_mask);
      mask.set(k_band_mask_x, kept_[x]).set(k_band_mask_fill, kept_[fill]).set(k_band_mask_y, kept_[y]);
      mask.set(k_band_mask_comparison, k_type_pointwise_mode, int(k_compare_ge)).finalize("diagonal band mask");
      operations_.push_back(keep(std::move(mask)));
      kept_.push_back(graph());
      op.set(k_sdpa_subgraph, kept_.back());
      op.set(k_sdpa_subgraph_input, k_type_int64, from).set(k_sdpa_subgraph_output, k_type_int64, to);
      operations_.clear();
    }
    op.finalize("attention forward");
    operations_.push_back(keep(std::move(op)));
    return graph();
  }

  descriptor composite() {
    const size_t q = outer(k_q_id, shape_.heads, shape_.seqlen_q, shape_.q);
    // K read as [head_dim, seqlen_k], which is the transposed operand of the first product.
    const size_t k = tensor(k_k_id, shape_.type, {shape_.batch, shape_.heads_kv, shape_.head_dim, shape_.seqlen_k},
                            {shape_.k.batch, shape_.k.head, 1, shape_.k.token});
    const size_t v = outer(k_v_id, shape_.heads_kv, shape_.seqlen_k, shape_.v);
    const size_t o = outer(k_o_id, shape_.heads, shape_.seqlen_q, shape_.o);
    size_t s = scores(k_float);
    product(q, k, s);
    s = pointwise(k_mul, s, scalar(k_scale_id), scores(k_float));
    if (shape_.causal) {
      const size_t row = pointwise(k_generate_index, s, k_none, scores(k_int32), 2, k_int32);
      const size_t column = pointwise(k_generate_index, s, k_none, scores(k_int32), 3, k_int32);
      const size_t seen = pointwise(k_compare_ge, row, column, scores(k_boolean), -1, k_boolean);
      s = pointwise(k_binary_select, s, scalar(k_fill_id), scores(k_float), -1, k_float, seen);
    }
    const size_t most = reduce(k_reduce_max, s);
    const size_t power = pointwise(k_exp, pointwise(k_sub, s, most, scores(k_float)), k_none, scores(k_float));
    const size_t p = pointwise(k_div, power, reduce(k_reduce_add, power), scores(shape_.type));
    product(p, v, o);
    return graph();
  }

  std::vector<descriptor> &kept() { return kept_; }

 private:
  static constexpr size_t k_none = size_t(-1);

  size_t keep(descriptor &&d) {
    kept_.push_back(std::move(d));
    return kept_.size() - 1;
  }

  size_t tensor(int64_t id, data_type type, const extents &dimensions, const extents &stride, bool inner = false,
                bool by_value = false) {
    descriptor t(api_, k_tensor);
    t.set(k_tensor_unique_id, k_type_int64, id).set(k_tensor_data_type, k_type_data_type, int(type));
    t.set(k_tensor_byte_alignment, k_type_int64, int64_t(16));
    t.set(k_tensor_dimensions, k_type_int64, std::span<const int64_t>(dimensions));
    t.set(k_tensor_strides, k_type_int64, std::span<const int64_t>(stride));
    t.set(k_tensor_is_virtual, k_type_boolean, inner).set(k_tensor_is_by_value, k_type_boolean, by_value);
    t.finalize("tensor");
    return keep(std::move(t));
  }
  size_t outer(int64_t id, int64_t heads, int64_t tokens, const strides &by) {
    return tensor(id, shape_.type, {shape_.batch, heads, tokens, shape_.head_dim}, {by.batch, by.head, by.token, 1});
  }
  size_t scalar(int64_t id) { return tensor(id, k_float, {1, 1, 1, 1}, {1, 1, 1, 1}, false, true); }
  // One value per query and `columns` keys, inside the graph.
  size_t inner(data_type type, int64_t columns) {
    const int64_t head = shape_.seqlen_q * columns;
    return tensor(next_id_++, type, {shape_.batch, shape_.heads, shape_.seqlen_q, columns},
                  {shape_.heads * head, head, columns, 1}, true);
  }
  size_t scores(data_type type) { return inner(type, shape_.seqlen_k); }

  void product(size_t a, size_t b, size_t c) {
    descriptor how(api_, k_matmul);
    how.set(k_matmul_precision, k_type_data_type, int(k_float)).finalize("matmul");
    descriptor op(api_, k_operation_matmul);
    op.set(k_operation_matmul_matmul, how).set(k_operation_matmul_a, kept_[a]).set(k_operation_matmul_b, kept_[b]);
    op.set(k_operation_matmul_c, kept_[c]).finalize("matmul operation");
    keep(std::move(how));
    operations_.push_back(keep(std::move(op)));
  }
  size_t pointwise(pointwise_mode mode, size_t x, size_t b, size_t y, int64_t axis = -1, data_type precision = k_float,
                   size_t t = k_none) {
    descriptor how(api_, k_pointwise);
    how.set(k_pointwise_mode, k_type_pointwise_mode, int(mode));
    how.set(k_pointwise_math_precision, k_type_data_type, int(precision));
    if (axis >= 0) how.set(k_pointwise_axis, k_type_int64, axis);
    how.finalize("pointwise");
    descriptor op(api_, k_operation_pointwise);
    op.set(k_operation_pointwise_pointwise, how).set(k_operation_pointwise_x, kept_[x]);
    if (b != k_none) op.set(k_operation_pointwise_b, kept_[b]);
    if (t != k_none) op.set(k_operation_pointwise_t, kept_[t]);
    op.set(k_operation_pointwise_y, kept_[y]).finalize("pointwise operation");
    keep(std::move(how));
    operations_.push_back(keep(std::move(op)));
    return y;
  }
  size_t reduce(reduction_operator with, size_t x) {
    const size_t y = inner(k_float, 1);
    descriptor how(api_, k_reduction);
    how.set(k_reduction_operator, k_type_reduction_operator, int(with));
    how.set(k_reduction_precision, k_type_data_type, int(k_float)).finalize("reduction");
    descriptor op(api_, k_operation_reduction);
    op.set(k_operation_reduction_reduction, how).set(k_operation_reduction_x, kept_[x]);
    op.set(k_operation_reduction_y, kept_[y]).finalize("reduction operation");
    keep(std::move(how));
    operations_.push_back(keep(std::move(op)));
    return y;
  }
  // Of the operations so far.
  descriptor graph() {
    std::vector<raw_descriptor> list;
    for (const size_t op : operations_) list.push_back(kept_[op].raw());
    descriptor g(api_, k_operation_graph);
    g.set(k_graph_handle, k_type_handle, handle_);
    g.set(k_graph_operations, k_type_descriptor, std::span<const raw_descriptor>(list)).finalize("operation graph");
    return g;
  }

  const api &api_;
  handle handle_;
  const attention_shape &shape_;
  std::vector<descriptor> kept_;
  std::vector<size_t> operations_;  // in kept_
  int64_t next_id_ = k_first_inner_id;
};

constexpr float k_smallest = std::numeric_limits<float>::lowest();

}  // namespace

attention_plan::attention_plan(const api &a, handle h, const attention_shape &shape)
    : api_(a), handle_(h), shape_(shape) {
  std::string refusals;
  int status = 0;
  for (const char *form : {"unified", "composite"}) {
    try {
      graph_builder builder(a, h, shape_);
      descriptor graph = std::string(form) == "unified" ? builder.unified() : builder.composite();
      kept_ = std::move(builder.kept());
      kept_.push_back(std::move(graph));
      finish(kept_.back());
      form_ = form;
      return;
    } catch (const error &e) {
      refusals += (refusals.empty() ? "" : "; ") + std::string(form) + ": " + e.what();
      status = e.status;
      kept_.clear();
    }
  }
  throw error(status,
              "cuDNN " + std::to_string(a.get_version()) + " has no engine for this attention (" + refusals + ")");
}

void attention_plan::finish(const descriptor &graph) {
  int last = 0;
  for (const heuristics_mode mode : {k_heuristics_a, k_heuristics_fallback}) {
    descriptor heuristics(api_, k_engine_heuristics);
    heuristics.set(k_heuristics_graph, graph).set(k_heuristics_mode, k_type_heuristics_mode, int(mode));
    last = api_.finalize(heuristics.raw());
    if (last != 0) continue;
    int64_t count = 0;
    check(api_.get_attribute(heuristics.raw(), k_heuristics_results, k_type_descriptor, 0, &count, nullptr),
          "number of engine configurations");
    if (count < 0 || count > 1000) throw error(0, "unlikely number of engine configurations");
    std::vector<descriptor> configs;
    std::vector<raw_descriptor> raw;
    for (int64_t i = 0; i < count; ++i) raw.push_back(configs.emplace_back(api_, k_engine_config).raw());
    check(api_.get_attribute(heuristics.raw(), k_heuristics_results, k_type_descriptor, count, &count, raw.data()),
          "engine configurations");
    // Best first; some cannot be built for this device.
    for (int64_t i = 0; i < count && i < int64_t(configs.size()); ++i) {
      descriptor plan(api_, k_execution_plan);
      plan.set(k_plan_handle, k_type_handle, handle_).set(k_plan_engine_config, configs[size_t(i)]);
      last = api_.finalize(plan.raw());
      if (last != 0) continue;
      int64_t one = 0;
      check(api_.get_attribute(plan.raw(), k_plan_workspace_size, k_type_int64, 1, &one, &workspace_bytes_),
            "workspace size");
      kept_.push_back(std::move(configs[size_t(i)]));
      kept_.push_back(std::move(plan));
      return;
    }
  }
  throw error(last, "no engine: cuDNN status " + std::to_string(last));
}

void attention_plan::run(const attention_places &places, float scale, void *workspace) const {
  float fill = k_smallest;
  std::vector<int64_t> ids = {k_q_id, k_k_id, k_v_id, k_o_id, k_scale_id};
  std::vector<void *> pointers = {places.q, places.k, places.v, places.o, &scale};
  if (shape_.causal) {
    ids.push_back(k_fill_id);
    pointers.push_back(&fill);
  }
  descriptor pack(api_, k_variant_pack);
  pack.set(k_pack_unique_ids, k_type_int64, std::span<const int64_t>(ids));
  pack.set(k_pack_pointers, k_type_void_pointer, std::span<void *const>(pointers));
  pack.set(k_pack_workspace, k_type_void_pointer, workspace).finalize("variant pack");
  check(api_.execute(handle_, kept_.back().raw(), pack.raw()), "cudnnBackendExecute");
}

}  // namespace gonka::cuda::cudnn
