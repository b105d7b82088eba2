// The graphs that the cuDNN peer describes, evaluated by a stand-in for that library, against the attention reference:
// each version gets the form it knows, and what it is told means what gk_attention means.
#include <cmath>
#include <cstdio>

#include "attention/attention.hpp"
#include "check.hpp"
#include "cuda/peers/cudnn_attention.hpp"
#include "fake_cudnn.hpp"

using namespace gonka;
using namespace gonka::cuda::cudnn;
namespace fake = gonka::test::fake_cudnn;

namespace {

std::vector<uint16_t> random_halves(uint32_t dtype, int64_t count, seeded_values &random) {
  std::vector<uint16_t> out(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) write_element(dtype, out.data(), uint64_t(i), random.normal());
  return out;
}

// "" where no form is accepted.
std::string check_version(size_t version, uint32_t dtype, bool causal) {
  constexpr int64_t batch = 2, heads = 4, heads_kv = 2, tokens = 9, head_dim = 16;
  fake::version = version;
  fake::complaint.clear();
  seeded_values random(version + dtype + causal);
  const int64_t q_token = heads * head_dim + 8, kv_token = heads_kv * head_dim;
  const auto q = random_halves(dtype, batch * tokens * q_token, random);
  const auto k = random_halves(dtype, batch * tokens * kv_token, random);
  const auto v = random_halves(dtype, batch * tokens * kv_token, random);
  std::vector<uint16_t> o(size_t(batch * tokens * heads * head_dim), 0x7e7e), want = o;
  attention_shape shape = {.batch = batch,
                           .heads = heads,
                           .heads_kv = heads_kv,
                           .seqlen_q = tokens,
                           .seqlen_k = tokens,
                           .head_dim = head_dim,
                           .type = dtype == GK_F16 ? k_half : k_bfloat16,
                           .causal = causal,
                           .q = {tokens * q_token, head_dim, q_token},
                           .k = {tokens * kv_token, head_dim, kv_token},
                           .v = {tokens * kv_token, head_dim, kv_token},
                           .o = {tokens * heads * head_dim, head_dim, heads * head_dim}};
  const api a = fake::table();
  std::string form;
  try {
    handle h = nullptr;
    a.create(&h);
    const attention_plan plan(a, h, shape);
    CHECK_EQ(plan.workspace_bytes(), 64);
    char workspace[64];
    const auto at = [](const std::vector<uint16_t> &data) { return const_cast<uint16_t *>(data.data()); };
    plan.run({at(q), at(k), at(v), at(o)}, 0.3f, workspace);
    form = plan.form();
  } catch (const error &e) {
    CHECK_EQ(fake::alive, 0);
    CHECK(std::string(e.what()).find("unified: ") != std::string::npos);
    CHECK(std::string(e.what()).find("composite: ") != std::string::npos);
    return "";
  }
  CHECK_EQ(fake::complaint, "");
  CHECK_EQ(fake::alive, 0);
  CHECK_EQ(fake::executed_operations, form == "unified" ? (causal ? 2 : 1) : (causal ? 12 : 8));

  const int64_t cu[] = {0, tokens, 2 * tokens};
  gk_attention p{};
  p.struct_size = sizeof p;
  p.qkv_type = p.o_type = dtype;
  p.causal = causal;
  p.batch = batch;
  p.num_heads = heads, p.num_heads_kv = heads_kv, p.head_dim = head_dim;
  p.softmax_scale = 0.3f;
  p.cu_seqlens_q = p.cu_seqlens_k = cu;
  p.q_token_stride = q_token, p.k_token_stride = p.v_token_stride = kv_token, p.o_token_stride = heads * head_dim;
  p.q_head_stride = p.k_head_stride = p.v_head_stride = p.o_head_stride = head_dim;
  void *const pointers[] = {const_cast<uint16_t *>(q.data()), const_cast<uint16_t *>(k.data()),
                            const_cast<uint16_t *>(v.data()), want.data(), nullptr};
  attention_reference(&p, pointers);
  double worst = 0;
  for (size_t i = 0; i < o.size(); ++i)
    worst = std::max(worst, std::abs(read_element(dtype, o.data(), i) - read_element(dtype, want.data(), i)));
  std::printf("cuDNN %zu %s%s: %s, largest error %.2g\n", version, dtype_name(dtype), causal ? " causal" : "",
              form.c_str(), worst);
  CHECK(worst <= (dtype == GK_F16 ? 4e-3 : 3e-2));
  return form;
}

}  // namespace

int main() {
  for (const uint32_t dtype : {uint32_t(GK_F16), uint32_t(GK_BF16)}) {
    CHECK_EQ(check_version(90100, dtype, false), "composite");
    CHECK_EQ(check_version(90100, dtype, true), "composite");
    CHECK_EQ(check_version(91400, dtype, false), "unified");
    CHECK_EQ(check_version(91400, dtype, true), "composite");
    CHECK_EQ(check_version(92100, dtype, false), "unified");
    CHECK_EQ(check_version(92600, dtype, true), "unified");
  }
  // Neither form: a version whose composite engines are gone, were it to lack the single operation.
  fake::version = 92600;
  const api whole = fake::table();
  api without = whole;
  without.create_descriptor = [](int type, raw_descriptor *out) {
    return type == k_operation_sdpa_forward ? fake::k_not_supported : fake::create_descriptor(type, out);
  };
  const attention_shape tiny = {1, 1, 1, 8, 8, 8, k_half, false, {64, 8, 8}, {64, 8, 8}, {64, 8, 8}, {64, 8, 8}};
  bool refused = false;
  try {
    const attention_plan plan(without, &fake::version, tiny);
  } catch (const error &e) {
    refused = true;
    CHECK_EQ(e.status, fake::k_not_supported);
    CHECK_EQ(fake::alive, 0);
    CHECK(std::string(e.what()).find("cuDNN 92600 has no engine for this attention (unified: ") == 0);
    CHECK(std::string(e.what()).find("; composite: ") != std::string::npos);
  }
  CHECK(refused);

  const api found = load();
  CHECK(found.missing.empty() || found.missing.find("libcudnn") == 0);
  return check_summary();
}
