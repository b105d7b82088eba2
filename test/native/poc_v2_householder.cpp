// The householder op against golden/v2/primitives.json: F32 within its bound of the F64 oracle, F16 and BF16 rounded as
// the half-precision reference rounds, on every implementation of the CPU backend.
#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "device.hpp"
#include "golden.hpp"
#include "number.hpp"
#include "registry.hpp"
#include "v2/seeded.hpp"

namespace {

using gonka::poc_v2::fill_normal;
using gonka::poc_v2::seed_from_string;

template <class T>
std::vector<T> bits_of(const json::value &list) {
  std::vector<T> out;
  for (const json::value &bits : list) out.push_back(T(bits.u64()));
  return out;
}

template <class T>
std::vector<T> reflected(gonka::device &device, uint32_t implementation, uint32_t type, const std::vector<T> &x,
                         const std::vector<T> &v) {
  gonka::stream stream(device.shared_from_this());
  gonka::buffer bx(device, x.size() * sizeof(T)), bv(device, v.size() * sizeof(T));
  stream.write(bx, 0, x.data(), x.size() * sizeof(T));
  stream.write(bv, 0, v.data(), v.size() * sizeof(T));
  gk_householder p{};
  p.struct_size = sizeof p;
  p.implementation = implementation;
  p.type = type;
  p.columns = p.ldx = int64_t(v.size());
  p.rows = int64_t(x.size() / v.size());
  p.x = bx.at();
  p.v = bv.at();
  stream.run(GK_OP_HOUSEHOLDER, &p);
  std::vector<T> out(x.size());
  stream.read(bx, 0, out.data(), out.size() * sizeof(T));
  return out;
}

// The sums of the half-precision reference are taken in another order: a value may fall on the other side of a rounding
// boundary, and what follows from it moves by a few units of the sum's last place.
double largest_half_difference(const std::vector<uint16_t> &got, const std::vector<uint16_t> &want, bool bf16) {
  double worst = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const float a = bf16 ? gonka::bf16_to_f32(got[i]) : gonka::f16_to_f32(got[i]);
    const float b = bf16 ? gonka::bf16_to_f32(want[i]) : gonka::f16_to_f32(want[i]);
    worst = std::max(worst, double(std::abs(a - b)));
    size = std::max(size, double(std::abs(b)));
  }
  return worst / size;
}

}  // namespace

int main() {
  const json::value golden = json::read_file(golden_path("v2/primitives.json"));
  const auto device = gonka::device::open(gonka::cpu_library(), 0, {.threads = 1});
  const auto implementations = device->implementations(GK_OP_HOUSEHOLDER);
  CHECK(!implementations.empty());
  for (const json::value &row : golden["apply_householder"]) {
    const auto x = bits_of<uint32_t>(row["x_f32_bits"]), v = bits_of<uint32_t>(row["v_f32_bits"]);
    std::vector<float> fx, fv;
    for (const uint32_t bits : x) fx.push_back(std::bit_cast<float>(bits));
    for (const uint32_t bits : v) fv.push_back(std::bit_cast<float>(bits));
    // The stored operands are what the rules beside them say.
    std::vector<float> drawn(fx.size());
    fill_normal(seed_from_string(row["x_seed_str"].str()), drawn);
    for (size_t i = 0; i < drawn.size(); ++i) CHECK(std::abs(3 * drawn[i] - fx[i]) <= 2e-6f);

    for (const gonka::implementation_status &which : implementations) {
      if (which.disabled || !which.accepted) continue;
      const auto out = reflected(*device, which.index, GK_F32, fx, fv);
      for (size_t i = 0; i < out.size(); ++i)
        CHECK(std::abs(out[i] - row["out_f64_oracle"][i].num()) <= 2e-6 * (1 + std::abs(out[i])));
      for (const bool bf16 : {false, true}) {
        const std::string type = bf16 ? "bf16" : "f16";
        const auto got =
            reflected(*device, which.index, bf16 ? GK_BF16 : GK_F16, bits_of<uint16_t>(row["x_" + type + "_bits"]),
                      bits_of<uint16_t>(row["v_" + type + "_bits"]));
        const double worst = largest_half_difference(got, bits_of<uint16_t>(row["out_" + type + "_bits"]), bf16);
        if (!CHECK(worst <= (bf16 ? 0x1p-6 : 0x1p-9)))
          std::printf("%s %s columns %zu: %.3g\n", which.name.c_str(), type.c_str(), fv.size(), worst);
      }
    }
  }
  return check_summary();
}
