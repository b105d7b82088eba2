// A stand-in for cuDNN's graph interface that keeps what it is told and evaluates it on the CPU in F64, as strict as
// the documentation about what must be set and finalized. Of one version at a time; not for threads.
#pragma once

#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "case_data.hpp"
#include "cuda/peers/cudnn_api.hpp"

namespace gonka::test::fake_cudnn {

using namespace gonka::cuda::cudnn;

constexpr int k_not_supported = 3000, k_bad_parameter = 2000, k_not_initialized = 1001;

inline size_t version = 91300;
inline int64_t alive = 0;        // descriptors
inline std::string complaint;    // the first thing that was wrong with a call
inline int executed_operations;  // of the last execute

struct object {
  int type = 0;
  bool finalized = false;
  struct value {
    int type;
    int64_t count;
    std::vector<std::byte> bytes;
  };
  std::map<int, value> values;
  object *graph = nullptr;  // of an engine configuration or a plan
  bool fails = false;       // a configuration for which no plan can be built

  template <class T>
  T get(int name, T otherwise = {}) const {
    const auto found = values.find(name);
    if (found == values.end()) return otherwise;
    T out;
    std::memcpy(&out, found->second.bytes.data(), sizeof out);
    return out;
  }
  object *child(int name) const { return static_cast<object *>(get<void *>(name)); }
  template <class T>
  std::vector<T> list(int name) const {
    const auto found = values.find(name);
    if (found == values.end()) return {};
    std::vector<T> out(size_t(found->second.count));
    std::memcpy(out.data(), found->second.bytes.data(), out.size() * sizeof(T));
    return out;
  }
};

inline int complain(int status, const std::string &why) {
  if (complaint.empty()) complaint = why;
  return status;
}

inline object *of(void *raw) {
  return static_cast<object *>(raw);
}

// ------------------------------------------------------------------------------------------------------- evaluation

using index4 = std::array<int64_t, 4>;

class evaluation {
 public:
  explicit evaluation(const object &pack) {
    const auto ids = pack.list<int64_t>(k_pack_unique_ids);
    const auto pointers = pack.list<void *>(k_pack_pointers);
    for (size_t i = 0; i < ids.size(); ++i) places_[ids[i]] = pointers[i];
  }

  void run(const object &graph) {
    for (void *raw : graph.list<void *>(k_graph_operations)) {
      const object &op = *of(raw);
      ++executed_operations;
      if (op.type == k_operation_matmul) matmul(op);
      if (op.type == k_operation_pointwise) pointwise(op);
      if (op.type == k_operation_reduction) reduction(op);
      if (op.type == k_operation_sdpa_forward) attention(op);
      if (op.type == k_operation_diagonal_band_mask) {
        const object &x = *op.child(k_band_mask_x);
        for_each(*op.child(k_band_mask_y), [&](const index4 &at) {
          return at[2] >= at[3] ? read(x, at) : read(*op.child(k_band_mask_fill), at);
        });
      }
    }
  }

 private:
  static uint32_t dtype(const object &tensor) {
    switch (tensor.get<int>(k_tensor_data_type)) {
      case k_half:
        return GK_F16;
      case k_bfloat16:
        return GK_BF16;
      default:
        return GK_F32;
    }
  }
  static index4 extents(const object &tensor) {
    index4 out;
    const auto list = tensor.list<int64_t>(k_tensor_dimensions);
    std::copy_n(list.begin(), 4, out.begin());
    return out;
  }
  // Extents that are smaller than the index asks for stand for all of their group (1: for all).
  static int64_t offset(const object &tensor, index4 at, const index4 &heads_of) {
    const index4 size = extents(tensor);
    const auto strides = tensor.list<int64_t>(k_tensor_strides);
    int64_t out = 0;
    for (size_t i = 0; i < 4; ++i) {
      int64_t index = size[i] == 1 ? 0 : at[i];
      if (i == 1 && size[1] > 1 && heads_of[1] > size[1]) index = at[1] / (heads_of[1] / size[1]);
      if (index >= size[i]) complain(k_bad_parameter, "an index beyond a tensor's extents");
      out += index * strides[i];
    }
    return out;
  }
  double read(const object &tensor, const index4 &at, const index4 &heads_of = {1, 1, 1, 1}) {
    const int64_t id = tensor.get<int64_t>(k_tensor_unique_id), where = offset(tensor, at, heads_of);
    if (tensor.get<bool>(k_tensor_is_virtual)) {
      const auto &values = inner_[id];
      if (size_t(where) >= values.size()) complain(k_bad_parameter, "a virtual tensor is read before it is written");
      return size_t(where) < values.size() ? values[size_t(where)] : NAN;
    }
    if (places_[id] == nullptr) {
      complain(k_bad_parameter, "no pointer for tensor " + std::to_string(id));
      return NAN;
    }
    return read_element(dtype(tensor), places_[id], uint64_t(where));
  }
  void for_each(const object &tensor, const std::function<double(const index4 &)> &value) {
    const index4 size = extents(tensor);
    const int64_t id = tensor.get<int64_t>(k_tensor_unique_id);
    const bool inner = tensor.get<bool>(k_tensor_is_virtual);
    if (inner) inner_[id].assign(size_t(size[0] * size[1] * size[2] * size[3]), NAN);
    for (int64_t b = 0; b < size[0]; ++b)
      for (int64_t h = 0; h < size[1]; ++h)
        for (int64_t i = 0; i < size[2]; ++i)
          for (int64_t j = 0; j < size[3]; ++j) {
            const index4 at = {b, h, i, j};
            const double v = round_to(dtype(tensor), value(at));
            if (inner)
              inner_[id].at(size_t(offset(tensor, at, size))) = v;
            else
              write_element(dtype(tensor), places_[id], uint64_t(offset(tensor, at, size)), v);
          }
  }

  void matmul(const object &op) {
    const object &a = *op.child(k_operation_matmul_a), &b = *op.child(k_operation_matmul_b);
    const object &c = *op.child(k_operation_matmul_c);
    const index4 size = extents(c);
    const int64_t depth = extents(a)[3];
    if (extents(b)[2] != depth) complain(k_bad_parameter, "matmul: extents do not fit");
    for_each(c, [&](const index4 &at) {
      double sum = 0;
      for (int64_t k = 0; k < depth; ++k)
        sum += read(a, {at[0], at[1], at[2], k}, size) * read(b, {at[0], at[1], k, at[3]}, size);
      return sum;
    });
  }
  void pointwise(const object &op) {
    const object &how = *op.child(k_operation_pointwise_pointwise), &x = *op.child(k_operation_pointwise_x);
    const object *b = op.child(k_operation_pointwise_b), *t = op.child(k_operation_pointwise_t);
    const int mode = how.get<int>(k_pointwise_mode);
    const bool unary = mode == k_exp || mode == k_generate_index;
    if (unary != (b == nullptr) || (mode == k_binary_select) != (t != nullptr))
      complain(k_bad_parameter, "pointwise " + std::to_string(mode) + " has other operands");
    for_each(*op.child(k_operation_pointwise_y), [&](const index4 &at) {
      if (mode == k_generate_index) return double(at[size_t(how.get<int64_t>(k_pointwise_axis))]);
      const double u = read(x, at), v = b != nullptr ? read(*b, at) : 0;
      switch (mode) {
        case k_mul:
          return u * v;
        case k_sub:
          return u - v;
        case k_div:
          return u / v;
        case k_exp:
          return std::exp(u);
        case k_compare_ge:
          return double(u >= v);
        case k_binary_select:
          return read(*t, at) != 0 ? u : v;
      }
      complain(k_bad_parameter, "unknown pointwise mode");
      return double(NAN);
    });
  }
  void reduction(const object &op) {
    const object &how = *op.child(k_operation_reduction_reduction), &x = *op.child(k_operation_reduction_x);
    const bool most = how.get<int>(k_reduction_operator) == k_reduce_max;
    for_each(*op.child(k_operation_reduction_y), [&](const index4 &at) {
      double out = most ? -HUGE_VAL : 0;
      for (int64_t j = 0; j < extents(x)[3]; ++j) {
        const double v = read(x, {at[0], at[1], at[2], j});
        out = most ? std::max(out, v) : out + v;
      }
      return out;
    });
  }
  void attention(const object &op) {
    const object &q = *op.child(k_sdpa_q), &k = *op.child(k_sdpa_k), &v = *op.child(k_sdpa_v), &o = *op.child(k_sdpa_o);
    const index4 size = extents(q);
    const int64_t keys = extents(k)[2];
    const double scale = read(*op.child(k_sdpa_scale), {0, 0, 0, 0});
    std::vector<double> scores;
    for (int64_t b = 0; b < size[0]; ++b)
      for (int64_t h = 0; h < size[1]; ++h)
        for (int64_t i = 0; i < size[2]; ++i)
          for (int64_t j = 0; j < keys; ++j) {
            double sum = 0;
            for (int64_t d = 0; d < size[3]; ++d) sum += read(q, {b, h, i, d}) * read(k, {b, h, j, d}, size);
            scores.push_back(sum * scale);
          }
    if (const object *sub = op.child(k_sdpa_subgraph)) {
      inner_[op.get<int64_t>(k_sdpa_subgraph_input)] = scores;
      run(*sub);
      scores = inner_[op.get<int64_t>(k_sdpa_subgraph_output)];
    }
    for_each(o, [&](const index4 &at) {
      const double *row = scores.data() + ((at[0] * size[1] + at[1]) * size[2] + at[2]) * keys;
      double most = -HUGE_VAL, total = 0, sum = 0;
      for (int64_t j = 0; j < keys; ++j) most = std::max(most, row[j]);
      for (int64_t j = 0; j < keys; ++j) total += std::exp(row[j] - most);
      for (int64_t j = 0; j < keys; ++j)
        sum += std::exp(row[j] - most) / total * read(v, {at[0], at[1], j, at[3]}, size);
      return sum;
    });
  }

  std::map<int64_t, void *> places_;
  std::map<int64_t, std::vector<double>> inner_;
};

// -------------------------------------------------------------------------------------------------------- interface

inline int create_descriptor(int type, raw_descriptor *out) {
  if (type == k_operation_sdpa_forward && version < 91300) return k_not_supported;
  if (type == k_operation_diagonal_band_mask && version < 92000) return k_not_supported;
  *out = new object{type, false, {}, nullptr, false};
  ++alive;
  return 0;
}
inline int destroy_descriptor(raw_descriptor raw) {
  delete of(raw);
  --alive;
  return 0;
}
inline int set_attribute(raw_descriptor raw, int name, int type, int64_t count, const void *from) {
  if (of(raw)->finalized) return complain(k_bad_parameter, "an attribute is set after finalize");
  if (name >= k_sdpa_subgraph && name <= k_sdpa_subgraph_output && version < 92100) return k_not_supported;
  const size_t size =
      type == k_type_boolean                                                                                      ? 1
      : type == k_type_int64 || type == k_type_void_pointer || type == k_type_descriptor || type == k_type_handle ? 8
                                                                                                                  : 4;
  const auto *bytes = static_cast<const std::byte *>(from);
  of(raw)->values[name] = {type, count, std::vector<std::byte>(bytes, bytes + size_t(count) * size)};
  if (type == k_type_descriptor)
    for (void *child : of(raw)->list<void *>(name))
      if (!of(child)->finalized) return complain(k_bad_parameter, "a descriptor is used before finalize");
  return 0;
}
inline int finalize(raw_descriptor raw) {
  static const std::map<int, std::vector<int>> required = {
      {k_tensor,
       {k_tensor_unique_id, k_tensor_data_type, k_tensor_byte_alignment, k_tensor_dimensions, k_tensor_strides}},
      {k_matmul, {k_matmul_precision}},
      {k_operation_matmul,
       {k_operation_matmul_a, k_operation_matmul_b, k_operation_matmul_c, k_operation_matmul_matmul}},
      {k_pointwise, {k_pointwise_mode, k_pointwise_math_precision}},
      {k_operation_pointwise, {k_operation_pointwise_pointwise, k_operation_pointwise_x, k_operation_pointwise_y}},
      {k_reduction, {k_reduction_operator, k_reduction_precision}},
      {k_operation_reduction, {k_operation_reduction_reduction, k_operation_reduction_x, k_operation_reduction_y}},
      {k_operation_sdpa_forward, {k_sdpa_q, k_sdpa_k, k_sdpa_v, k_sdpa_o, k_sdpa_scale}},
      {k_operation_diagonal_band_mask, {k_band_mask_x, k_band_mask_fill, k_band_mask_y, k_band_mask_comparison}},
      {k_operation_graph, {k_graph_handle, k_graph_operations}},
      {k_engine_heuristics, {k_heuristics_graph, k_heuristics_mode}},
      {k_execution_plan, {k_plan_handle, k_plan_engine_config}},
      {k_variant_pack, {k_pack_unique_ids, k_pack_pointers, k_pack_workspace}},
  };
  object &o = *of(raw);
  for (const int name : required.at(o.type))
    if (o.values.count(name) == 0)
      return complain(k_bad_parameter, "type " + std::to_string(o.type) + " lacks attribute " + std::to_string(name));
  if (o.type == k_engine_heuristics) {
    // Engines for the composite form went with 9.26.
    const object &graph = *o.child(k_heuristics_graph);
    const bool whole = of(graph.list<void *>(k_graph_operations).front())->type == k_operation_sdpa_forward;
    if (!whole && version >= 92600) return k_not_supported;
  }
  if (o.type == k_execution_plan) {
    o.graph = o.child(k_plan_engine_config)->graph;
    if (o.child(k_plan_engine_config)->fails) return k_not_supported;
  }
  o.finalized = true;
  return 0;
}
inline int get_attribute(raw_descriptor raw, int name, int type, int64_t room, int64_t *count, void *values) {
  object &o = *of(raw);
  if (!o.finalized) return complain(k_bad_parameter, "an attribute is read before finalize");
  if (name == k_heuristics_results && type == k_type_descriptor) {
    *count = 2;
    for (int64_t i = 0; i < std::min<int64_t>(room, 2); ++i) {
      object &config = *of(static_cast<void **>(values)[i]);
      config.graph = o.child(k_heuristics_graph);
      config.finalized = true;
      config.fails = i == 0;
    }
    return 0;
  }
  if (name == k_plan_workspace_size && type == k_type_int64) {
    *static_cast<int64_t *>(values) = 64;
    *count = 1;
    return 0;
  }
  return complain(k_bad_parameter, "unknown attribute");
}
inline int execute(handle, raw_descriptor plan, raw_descriptor pack) {
  if (!of(plan)->finalized || !of(pack)->finalized) return complain(k_not_initialized, "not finalized");
  if (of(pack)->get<void *>(k_pack_workspace) == nullptr) return complain(k_bad_parameter, "no workspace");
  executed_operations = 0;
  evaluation(*of(pack)).run(*of(plan)->graph);
  return complaint.empty() ? 0 : k_bad_parameter;
}

inline api table() {
  api a;
  a.get_version = [] { return version; };
  a.create = [](handle *h) { return *h = &version, 0; };
  a.destroy = [](handle) { return 0; };
  a.set_stream = [](handle, void *) { return 0; };
  a.create_descriptor = create_descriptor;
  a.destroy_descriptor = destroy_descriptor;
  a.set_attribute = set_attribute;
  a.get_attribute = get_attribute;
  a.finalize = finalize;
  a.execute = execute;
  return a;
}

}  // namespace gonka::test::fake_cudnn
