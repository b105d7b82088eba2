// The parameters of a transformer on a device, loaded from a checkpoint.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint.hpp"
#include "description.hpp"
#include "device.hpp"

namespace gonka {

// A constant operand B [n, k] of a gemm; with swiglu a pair (gate, up) of that shape.
struct weight_matrix {
  buffer data;
  bool packed = false;
  bool swiglu = false;
  uint32_t type = 0;           // gk_dtype of the elements
  uint64_t second_offset = 0;  // of `up` in data where it is not packed
  int64_t n = 0, k = 0;
};

// silu(gate x) * (up x), then down.
struct mlp_weights {
  weight_matrix gate_up, down;
};

// A vector of the model's type; empty where the model has none.
struct layer_weights {
  buffer input_norm, post_attention_norm;  // [hidden]
  weight_matrix q, k, v, o;
  buffer q_bias, k_bias, v_bias, o_bias;
  buffer q_norm, k_norm;  // [head_dim]
  mlp_weights dense;      // of a layer without experts
  weight_matrix router;   // [experts, hidden]
  std::vector<mlp_weights> experts;
};

struct transformer_weights {
  std::vector<layer_weights> layers;
  buffer final_norm;
  uint64_t bytes = 0;  // of all parameters used, as they are multiplied
  bool packed = true;  // every matrix is
};

struct load_options {
  std::function<void(double fraction, const char *step)> progress;  // from the calling thread
  const std::atomic<bool> *cancel = nullptr;                        // ends loading with GK_CANCELLED
};

// Loads what the forward pass uses: neither the embedding nor the output matrix. Values are rounded to the model's type
// where the file holds a wider one; block-scaled F8 is multiplied out in F32 and rounded once. Each tensor's pages are
// released after it is on the device, so that peak memory is the parameters once.
//   activation_type  a_type of the gemms that will use the matrices: F32, F16 or BF16.
// Throws status_error: names, shapes and types are checked, and no parameter may be left that the description does not
// ask for (a file that holds more than its configuration says computes something else).
transformer_weights load_transformer(stream &on, const model_description &model, const checkpoint &files,
                                     uint32_t activation_type, const load_options &options);

}  // namespace gonka
