// NVIDIA's own attention as a backend called "cudnn", as cublas_list.cu has their gemm. Sequences of one length only.
#include <map>
#include <memory>
#include <string>

#include "attention/attention.hpp"
#include "cudnn_attention.hpp"
#include "device/dispatch.hpp"
#include "device/runtime_cuda.hpp"
#include "implementation.hpp"

namespace gonka::cuda {
namespace {

const cudnn::api &api() {
  static const cudnn::api &once = *new cudnn::api(cudnn::load());
  return once;
}

[[noreturn]] void rethrow(const cudnn::error &e) {
  constexpr int k_not_supported = 3000;  // and the statuses of its kind, to 3999
  throw device_error(e.status / 1000 == k_not_supported / 1000 ? GK_UNSUPPORTED : GK_DEVICE_ERROR, e.status, e.what());
}

// Of one thread and device: a handle serves one thread at a time.
struct session {
  cudnn::handle handle = nullptr;
  std::unique_ptr<cudnn::attention_plan> plan;  // of the last shape
};

session &session_of(uint32_t device) {
  thread_local std::map<uint32_t, session> sessions;
  session &s = sessions[device];
  if (s.handle == nullptr) cudnn::check(api().create(&s.handle), "cudnnCreate");
  return s;
}

// Length of all sequences that end at cu[1 .. batch]; -1 if they differ.
int64_t common_length(const int64_t *cu, uint32_t batch) {
  for (uint32_t b = 1; b < batch; ++b)
    if (cu[b + 1] - cu[b] != cu[1]) return -1;
  return cu[1];
}

const char *reject(const void *problem, const capability &) {
  const gk_attention &p = *static_cast<const gk_attention *>(problem);
  if (!api().missing.empty()) return api().missing.c_str();
  if (p.qkv_type == GK_F32 || p.o_type != p.qkv_type) return "F16 or BF16 throughout only";
  if (p.lse.buffer != nullptr) return "without the logarithm of the sum only";
  if (p.head_dim % 8 != 0) return "head_dim is not a multiple of 8";
  if (p.batch == 0) return "no sequence";
  const int64_t q = common_length(p.cu_seqlens_q, p.batch), k = common_length(p.cu_seqlens_k, p.batch);
  if (q <= 0 || k <= 0) return "sequences of one length only";
  if (p.causal != 0 && q != k) return "a causal mask wants as many keys as queries";
  for (const int64_t stride : {p.q_token_stride, p.q_head_stride, p.k_token_stride, p.k_head_stride, p.v_token_stride,
                               p.v_head_stride, p.o_token_stride, p.o_head_stride})
    if (stride % 8 != 0) return "strides are not multiples of 16 bytes";
  return nullptr;
}

const char *reject_places(const void *, places at) {
  for (const int i : {k_attention_q, k_attention_k, k_attention_v, k_attention_o})
    if (!aligned_16(at[i])) return "operands are not 16 bytes aligned";
  return nullptr;
}

void run(void *problem, places at, context &ctx) {
  const gk_attention &p = *static_cast<const gk_attention *>(problem);
  const int64_t q = p.cu_seqlens_q[1], k = p.cu_seqlens_k[1];
  const auto by = [](int64_t tokens, int64_t head, int64_t token) {
    return cudnn::strides{tokens * token, head, token};
  };
  const cudnn::attention_shape shape = {.batch = p.batch,
                                        .heads = p.num_heads,
                                        .heads_kv = p.num_heads_kv,
                                        .seqlen_q = q,
                                        .seqlen_k = k,
                                        .head_dim = p.head_dim,
                                        .type = p.qkv_type == GK_F16 ? cudnn::k_half : cudnn::k_bfloat16,
                                        .causal = p.causal != 0,
                                        .q = by(q, p.q_head_stride, p.q_token_stride),
                                        .k = by(k, p.k_head_stride, p.k_token_stride),
                                        .v = by(k, p.v_head_stride, p.v_token_stride),
                                        .o = by(q, p.o_head_stride, p.o_token_stride)};
  runtime::make_current(ctx.stream());
  try {
    session &s = session_of(ctx.device());
    if (s.plan == nullptr || !(s.plan->shape() == shape))
      s.plan = std::make_unique<cudnn::attention_plan>(api(), s.handle, shape);
    cudnn::check(api().set_stream(s.handle, runtime::native_handle(ctx.stream())), "cudnnSetStream");
    const int64_t bytes = s.plan->workspace_bytes();
    void *const workspace = bytes > 0 ? ctx.scratch(0, uint64_t(bytes)) : nullptr;
    s.plan->run({at[k_attention_q], at[k_attention_k], at[k_attention_v], at[k_attention_o]}, p.softmax_scale,
                workspace);
  } catch (const cudnn::error &e) {
    rethrow(e);
  }
}

constexpr implementation k_list[] = {{"cudnn", reject, reject_places, run}};

}  // namespace

std::span<const implementation> attention_list() noexcept {
  return k_list;
}

}  // namespace gonka::cuda
