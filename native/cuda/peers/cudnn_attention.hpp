// Attention as a graph of cuDNN: as one operation where the version has it, otherwise as the products, mask and softmax
// that its engines recognise and fuse. Host only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cudnn_api.hpp"

namespace gonka::cuda::cudnn {

// Of Q, K, V or O: elements between batches, heads and tokens; head_dim is contiguous.
struct strides {
  int64_t batch, head, token;
  bool operator==(const strides &) const = default;
};

struct attention_shape {
  int64_t batch, heads, heads_kv, seqlen_q, seqlen_k, head_dim;
  data_type type;  // k_half or k_bfloat16, of all four
  bool causal;     // query i sees keys up to i; with seqlen_q == seqlen_k
  strides q, k, v, o;
  bool operator==(const attention_shape &) const = default;
};

// Where the operands lie, on the device.
struct attention_places {
  void *q, *k, *v, *o;
};

class attention_plan {
 public:
  // Throws error with what every form of the graph was refused for.
  attention_plan(const api &a, handle h, const attention_shape &shape);

  const attention_shape &shape() const { return shape_; }
  int64_t workspace_bytes() const { return workspace_bytes_; }
  // "unified" or "composite".
  const std::string &form() const { return form_; }
  // Queues it on the handle's stream. workspace: device memory, 16 bytes aligned. Throws error.
  void run(const attention_places &places, float scale, void *workspace) const;

 private:
  // The first engine that can be built; it and its plan go to kept_. graph may lie in kept_.
  void finish(const descriptor &graph);

  const api &api_;
  handle handle_;
  attention_shape shape_;
  std::string form_;
  std::vector<descriptor> kept_;  // what the plan refers to, and last the plan
  int64_t workspace_bytes_ = 0;
};

}  // namespace gonka::cuda::cudnn
