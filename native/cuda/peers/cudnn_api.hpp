// What is used of cuDNN's graph interface, found at run time: no header of it is needed. Names and numbers are those of
// cudnn_graph.h of cuDNN 9, without their CUDNN_ prefixes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

namespace gonka::cuda::cudnn {

using handle = void *;
using raw_descriptor = void *;

enum descriptor_type : int {
  k_engine_config = 3,
  k_engine_heuristics = 4,
  k_execution_plan = 5,
  k_operation_pointwise = 13,
  k_operation_graph = 15,
  k_variant_pack = 16,
  k_tensor = 17,
  k_matmul = 18,
  k_operation_matmul = 19,
  k_reduction = 21,
  k_operation_reduction = 22,
  k_pointwise = 0,
  k_operation_sdpa_forward = 41,        // since 9.13
  k_operation_diagonal_band_mask = 44,  // since 9.20
};

enum attribute : int {
  k_pointwise_mode = 0,
  k_pointwise_math_precision = 1,
  k_pointwise_axis = 9,
  k_heuristics_mode = 200,
  k_heuristics_graph = 201,
  k_heuristics_results = 202,
  k_plan_handle = 400,
  k_plan_engine_config = 401,
  k_plan_workspace_size = 402,
  k_operation_pointwise_pointwise = 750,
  k_operation_pointwise_x = 751,
  k_operation_pointwise_b = 752,
  k_operation_pointwise_y = 753,
  k_operation_pointwise_t = 758,
  k_graph_handle = 800,
  k_graph_operations = 801,
  k_tensor_byte_alignment = 900,
  k_tensor_data_type = 901,
  k_tensor_dimensions = 902,
  k_tensor_strides = 903,
  k_tensor_unique_id = 906,
  k_tensor_is_virtual = 907,
  k_tensor_is_by_value = 908,
  k_pack_unique_ids = 1000,
  k_pack_pointers = 1001,
  k_pack_workspace = 1003,
  k_matmul_precision = 1500,
  k_operation_matmul_a = 1520,
  k_operation_matmul_b = 1521,
  k_operation_matmul_c = 1522,
  k_operation_matmul_matmul = 1523,
  k_reduction_operator = 1600,
  k_reduction_precision = 1601,
  k_operation_reduction_x = 1610,
  k_operation_reduction_y = 1611,
  k_operation_reduction_reduction = 1612,
  k_sdpa_q = 2800,
  k_sdpa_k = 2801,
  k_sdpa_v = 2802,
  k_sdpa_o = 2803,
  k_sdpa_scale = 2805,
  k_sdpa_subgraph = 2811,  // since 9.21, as the next two
  k_sdpa_subgraph_input = 2812,
  k_sdpa_subgraph_output = 2813,
  k_band_mask_x = 3000,
  k_band_mask_fill = 3005,
  k_band_mask_y = 3006,
  k_band_mask_comparison = 3007,
};

enum attribute_type : int {
  k_type_handle = 0,
  k_type_data_type = 1,
  k_type_boolean = 2,
  k_type_int64 = 3,
  k_type_void_pointer = 6,
  k_type_heuristics_mode = 8,
  k_type_pointwise_mode = 14,
  k_type_descriptor = 15,
  k_type_reduction_operator = 18,
};

enum data_type : int { k_float = 0, k_half = 2, k_int32 = 4, k_bfloat16 = 9, k_boolean = 11 };
enum pointwise_mode : int {
  k_mul = 1,
  k_div = 6,
  k_sub = 9,
  k_exp = 13,
  k_compare_ge = 303,
  k_generate_index = 501,
  k_binary_select = 601
};
enum reduction_operator : int { k_reduce_add = 0, k_reduce_max = 3 };
enum heuristics_mode : int { k_heuristics_fallback = 2, k_heuristics_a = 3 };

struct api {
  size_t (*get_version)() = nullptr;  // 91300: 9.13.0
  int (*create)(handle *) = nullptr;
  int (*destroy)(handle) = nullptr;
  int (*set_stream)(handle, void *stream) = nullptr;
  int (*create_descriptor)(int type, raw_descriptor *) = nullptr;
  int (*destroy_descriptor)(raw_descriptor) = nullptr;
  int (*set_attribute)(raw_descriptor, int name, int type, int64_t count, const void *values) = nullptr;
  int (*get_attribute)(raw_descriptor, int name, int type, int64_t room, int64_t *count, void *values) = nullptr;
  int (*finalize)(raw_descriptor) = nullptr;
  int (*execute)(handle, raw_descriptor plan, raw_descriptor pack) = nullptr;
  std::string missing;  // why there is none; empty if all of the above are there
};

// The libcudnn.so.9 that the dynamic linker finds.
api load();

class error : public std::runtime_error {
 public:
  error(int status, const std::string &what) : std::runtime_error(what), status(status) {}
  const int status;  // cudnnStatus_t
};

// Throws error.
void check(int status, const char *what);

// Owns one; everything throws error.
class descriptor {
 public:
  descriptor(const api &a, descriptor_type type) : api_(&a) {
    check(a.create_descriptor(type, &raw_), "cudnnBackendCreateDescriptor");
  }
  ~descriptor() {
    if (raw_ != nullptr) api_->destroy_descriptor(raw_);
  }
  descriptor(descriptor &&other) noexcept : api_(other.api_), raw_(other.raw_) { other.raw_ = nullptr; }
  descriptor &operator=(descriptor &&) = delete;

  raw_descriptor raw() const { return raw_; }
  template <class T>
  descriptor &set(attribute name, attribute_type type, std::span<const T> values) {
    check(api_->set_attribute(raw_, name, type, int64_t(values.size()), values.data()), "cudnnBackendSetAttribute");
    return *this;
  }
  template <class T>
  descriptor &set(attribute name, attribute_type type, const T &value) {
    return set(name, type, std::span<const T>(&value, 1));
  }
  descriptor &set(attribute name, const descriptor &value) { return set(name, k_type_descriptor, value.raw_); }
  descriptor &finalize(const char *what) {
    check(api_->finalize(raw_), what);
    return *this;
  }

 private:
  const api *api_;
  raw_descriptor raw_ = nullptr;
};

}  // namespace gonka::cuda::cudnn
