// gemm's meaning: validation, the reference against small results worked out by hand, and that the comparison notices
// single wrong elements.
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "cases.hpp"
#include "check.hpp"
#include "gemm/gemm.hpp"

using namespace gonka;

namespace {

const op_spec &gemm() {
  return *find_op(GK_OP_GEMM);
}

gk_gemm square(uint32_t type, uint32_t d_type, int64_t size) {
  gk_gemm p{};
  p.struct_size = sizeof p;
  p.a_type = p.b_type = type;
  p.d_type = d_type;
  p.m = p.n = p.k = p.lda = p.ldb = p.ldc = p.ldd = size;
  p.alpha = 1;
  return p;
}

void rejects(const char *what, gk_gemm p, gk_status status, const char *part) {
  gk_error err{};
  err.struct_size = sizeof err;
  const gk_status got = gemm().validate(&p, &err);
  if (!check_report(got == status, __FILE__, __LINE__, std::string(what) + ": status " + std::to_string(got))) return;
  check_report(std::strstr(err.message, part) != nullptr, __FILE__, __LINE__,
               std::string(what) + ": message '" + err.message + "' lacks '" + part + "'");
}

void validation() {
  gk_gemm p = square(GK_F32, GK_F32, 4);
  CHECK_EQ(gemm().validate(&p, nullptr), GK_OK);
  const auto changed = [](auto change, uint32_t type = GK_F32, uint32_t d_type = GK_F32) {
    gk_gemm q = square(type, d_type, 4);
    change(q);
    return q;
  };
  rejects("short struct", changed([](gk_gemm &q) { q.struct_size = 8; }), GK_INVALID_ARGUMENT, "struct_size=8");
  rejects("negative m", changed([](gk_gemm &q) { q.m = -1; }), GK_INVALID_ARGUMENT, "m=-1");
  rejects("huge n", changed([](gk_gemm &q) { q.n = std::numeric_limits<int64_t>::max(); }), GK_INVALID_ARGUMENT, "n=");
  rejects("lda", changed([](gk_gemm &q) { q.lda = 3; }), GK_INVALID_ARGUMENT, "lda=3 is smaller than k=4");
  rejects("ldb", changed([](gk_gemm &q) { q.ldb = 3; }), GK_INVALID_ARGUMENT, "ldb=3");
  rejects("ldd", changed([](gk_gemm &q) { q.ldd = 3; }), GK_INVALID_ARGUMENT, "ldd=3");
  rejects("negative ldd", changed([](gk_gemm &q) { q.ldd = -4; }), GK_INVALID_ARGUMENT, "ldd=-4");
  rejects("ldc", changed([](gk_gemm &q) { q.ldc = 3, q.beta = 1; }), GK_INVALID_ARGUMENT, "ldc=3");
  rejects("overflow", changed([](gk_gemm &q) { q.m = q.lda = int64_t(1) << 40; }), GK_INVALID_ARGUMENT, "exceed");
  rejects("unknown type", changed([](gk_gemm &q) { q.a_type = 77; }), GK_UNSUPPORTED, "77");
  rejects("i8 x f32", changed([](gk_gemm &q) { q.a_type = GK_I8; }), GK_UNSUPPORTED, "i8");
  rejects("f64", changed([](gk_gemm &) {}, GK_F64, GK_F64), GK_UNSUPPORTED, "f64");
  rejects("i8 -> f32", changed([](gk_gemm &) {}, GK_I8, GK_F32), GK_UNSUPPORTED, "i8");
  rejects("i8 alpha", changed([](gk_gemm &q) { q.alpha = 2; }, GK_I8, GK_I32), GK_INVALID_ARGUMENT, "alpha=2");
  rejects("i8 beta", changed([](gk_gemm &q) { q.beta = 2; }, GK_I8, GK_I32), GK_INVALID_ARGUMENT, "beta=2");
  rejects("epilogue", changed([](gk_gemm &q) { q.epilogue = 9; }), GK_UNSUPPORTED, "epilogue 9");
  rejects("accumulation", changed([](gk_gemm &q) { q.accumulation = 2; }), GK_UNSUPPORTED, "accumulation 2");
  rejects("swiglu beta", changed([](gk_gemm &q) { q.epilogue = GK_EPILOGUE_SWIGLU, q.beta = 1; }), GK_INVALID_ARGUMENT,
          "swiglu");
  rejects("i8 swiglu", changed([](gk_gemm &q) { q.epilogue = GK_EPILOGUE_SWIGLU; }, GK_I8, GK_I32), GK_INVALID_ARGUMENT,
          "epilogue");
  rejects("packed offset", changed([](gk_gemm &q) { q.b_packed = 1, q.b.offset = 64; }), GK_INVALID_ARGUMENT, "64");
  rejects("scale block", changed([](gk_gemm &q) { q.scale_block_k = -1; }), GK_INVALID_ARGUMENT, "scale_block_k=-1");
}

void by_hand() {
  // [1 2; 3 4] [5 6; 7 8]^T = [17 23; 39 53]; alpha 2, beta -1, C = [1 2; 3 4], strides wider than rows.
  float a[] = {1, 2, -9, 3, 4}, b[] = {5, 6, 7, 8}, c[] = {1, 2, 3, 4}, d[] = {0, 0, 99, 0, 0};
  gk_gemm p = square(GK_F32, GK_F32, 2);
  p.lda = p.ldd = 3, p.alpha = 2, p.beta = -1;
  const std::array<void *, 8> pointers = {a, b, c, d};
  gemm().reference(&p, pointers);
  CHECK_EQ(d[0], 33.f);
  CHECK_EQ(d[1], 44.f);
  CHECK_EQ(d[2], 99.f);
  CHECK_EQ(d[3], 75.f);
  CHECK_EQ(d[4], 102.f);

  int8_t ia[] = {-128, -128}, ib[] = {-128, 127};
  int32_t ic[] = {std::numeric_limits<int32_t>::max()}, id[] = {0};
  gk_gemm q = square(GK_I8, GK_I32, 2);
  q.m = q.n = 1, q.beta = 1;
  const std::array<void *, 8> integers = {ia, ib, ic, id};
  gemm().reference(&q, integers);
  CHECK_EQ(id[0], std::numeric_limits<int32_t>::min() + 127);  // 2^31 - 1 + 16384 - 16256, wrapped

  // silu(2) * 3 with A = [1], B = [2], B2 = [3].
  float one[] = {1}, two[] = {2}, three[] = {3}, out[] = {0};
  gk_gemm r = square(GK_F32, GK_F32, 1);
  r.epilogue = GK_EPILOGUE_SWIGLU;
  const std::array<void *, 8> gated = {one, two, nullptr, out, three};
  gemm().reference(&r, gated);
  CHECK_EQ(out[0], float(2 / (1 + std::exp(-2.0)) * 3));

  // e4m3 2.0 = 0x40, 0.5 = 0x30; scales per block of one.
  uint8_t fa[] = {0x40, 0x40}, fb[] = {0x30, 0x40};
  float sa[] = {1, 10}, sb[] = {3, 5}, sd[] = {0};
  gk_gemm s = square(GK_F8_E4M3, GK_F32, 2);
  s.m = s.n = 1, s.scale_block_n = s.scale_block_k = 1;
  const std::array<void *, 8> scaled = {fa, fb, nullptr, sd, nullptr, sa, sb};
  gemm().reference(&s, scaled);
  CHECK_EQ(sd[0], 203.f);  // 2*1 * 0.5*3 + 2*10 * 2*5
}

// Every case: the reference passes against its own result, and any one wrong element is caught.
void comparisons() {
  int selftests = 0;
  for (const op_case &c : cases_of(GK_OP_GEMM)) {
    if ((c.uses & use_selftest) == 0) continue;
    ++selftests;
    built_case built = c.build(c);
    auto data = built.data;
    if (!built.same_place.empty()) data[k_gemm_c].clear();
    std::vector<void *> pointers;
    for (size_t i = 0; i < data.size(); ++i)
      pointers.push_back(built.present[i] && !data[i].empty() ? data[i].data() : nullptr);
    if (!built.same_place.empty()) pointers[k_gemm_c] = pointers[k_gemm_d];
    CHECK_EQ(gemm().validate(built.problem.get(), nullptr), GK_OK);
    gemm().reference(built.problem.get(), pointers);
    const comparison same = c.compare(c, built, data, data);
    if (!check_report(same.passed() && same.worst == 0, __FILE__, __LINE__, c.name + ": reference against itself"))
      continue;
    const auto &p = *static_cast<const gk_gemm *>(built.problem.get());
    const size_t size = dtype_size(p.d_type);
    for (const int64_t index : {int64_t(0), p.m / 2 * p.n + p.n / 2, p.m * p.n - 1}) {
      auto wrong = data;
      std::byte *at = wrong[k_gemm_d].data() + size_t(index / p.n * p.ldd + index % p.n) * size;
      at[p.d_type == GK_I32 ? 0 : size - 1] ^= p.d_type == GK_I32 ? std::byte{1} : std::byte{0x80};
      const comparison seen = c.compare(c, built, wrong, data);
      check_report(!seen.passed() && seen.worst_index == index, __FILE__, __LINE__,
                   c.name + ": a wrong element " + std::to_string(index) + " passes");
    }
  }
  CHECK(selftests >= 20);
}

}  // namespace

int main() {
  validation();
  by_hand();
  comparisons();
  return check_summary();
}
