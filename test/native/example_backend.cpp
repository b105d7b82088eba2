// The example backend through the host: what it implements runs there, the rest falls back to the host CPU.
#include <atomic>
#include <cstdlib>
#include <vector>

#include "cases.hpp"
#include "check.hpp"
#include "device.hpp"
#include "plugin.hpp"
#include "registry.hpp"

using namespace gonka;

namespace {

const std::string k_example = GONKA_BINARY_DIR "/Release/examples/gonka_example_backend.so";
const std::string k_lying = GONKA_BINARY_DIR "/Release/examples/gonka_lying_backend.so";

// D = A B^T for 3x2 and 4x2 operands.
template <class T, class R>
std::vector<R> multiply(device &d, stream &s, uint32_t type, uint32_t result_type, const std::vector<T> &a,
                        const std::vector<T> &b) {
  std::vector<R> result(12);
  buffer a_memory(d, a.size() * sizeof(T)), b_memory(d, b.size() * sizeof(T)), d_memory(d, 12 * sizeof(R));
  s.write(a_memory, 0, a.data(), a_memory.size());
  s.write(b_memory, 0, b.data(), b_memory.size());
  gk_gemm p{};
  p.struct_size = sizeof p;
  p.a_type = p.b_type = type, p.d_type = result_type;
  p.m = 3, p.n = 4, p.k = 2, p.lda = 2, p.ldb = 2, p.ldd = 4;
  p.alpha = 1;
  p.a = a_memory.at(), p.b = b_memory.at(), p.d = d_memory.at();
  s.run(GK_OP_GEMM, &p);
  s.read(d_memory, 0, result.data(), d_memory.size());
  return result;
}

void native_and_fallback() {
  const auto d = device::open(load_plugin(k_example), 0, {});
  std::vector<std::string> notices;
  d->on_notice([&](const std::string &sentence) { notices.push_back(sentence); });
  stream s(d);
  const auto product = multiply<float, float>(*d, s, GK_F32, GK_F32, {1, 2, 3, 4, 5, 6}, {1, 0, 0, 1, 1, 1, 2, -1});
  CHECK((product == std::vector<float>{1, 2, 3, 0, 3, 4, 7, 2, 5, 6, 11, 4}));
  CHECK(d->fallbacks().empty() && notices.empty());
  const auto list = d->implementations(GK_OP_GEMM);
  CHECK(list.size() == 1 && list[0].known_answers > 0 && !list[0].disabled && list[0].accepted);

  // bf16 is not among the example's formats: 1, 2, 3, ... are 0x3f80, 0x4000, 0x4040, ...
  const std::vector<uint16_t> a = {0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0};
  const std::vector<uint16_t> b = {0x3f80, 0, 0, 0x3f80, 0x3f80, 0x3f80, 0x4000, 0xbf80};
  for (int repeat = 1; repeat <= 2; ++repeat) {
    CHECK((multiply<uint16_t, float>(*d, s, GK_BF16, GK_F32, a, b) == product));
    CHECK(d->fallbacks().size() == 1 && d->fallbacks()[0] == std::pair(GK_OP_GEMM, uint64_t(repeat)));
    CHECK(notices.size() == 1 && notices[0].starts_with("example:0 does not run gemm (") &&
          notices[0].ends_with("); it runs on the host CPU through copies"));
  }
}

}  // namespace

int main() {
  native_and_fallback();
  return check_summary();
}
