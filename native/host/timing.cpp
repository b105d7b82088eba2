#include "timing.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "number.hpp"

namespace gonka {
namespace {

// xorshift: the values do not matter, the time to make gigabytes of them does.
struct fast_random {
  uint64_t state;
  uint64_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  }
  float uniform() { return float(int32_t(next() >> 32)) * 0x1p-31f; }
};

template <class T, class F>
void fill_with(std::vector<std::byte> &out, F &&value) {
  T *at = reinterpret_cast<T *>(out.data());
  for (size_t i = 0; i < out.size() / sizeof(T); ++i) at[i] = value();
}

std::vector<std::byte> random_operand(uint32_t dtype, uint64_t bytes, fast_random &random) {
  std::vector<std::byte> out(bytes);
  switch (dtype) {
    case GK_F32:
      fill_with<float>(out, [&] { return random.uniform(); });
      break;
    case GK_F64:
      fill_with<double>(out, [&] { return double(random.uniform()); });
      break;
    case GK_F16:
      fill_with<uint16_t>(out, [&] { return f32_to_f16(random.uniform()); });
      break;
    case GK_BF16:
      fill_with<uint16_t>(out, [&] { return f32_to_bf16(random.uniform()); });
      break;
    case GK_I32:  // positions and indices: 0 is inside every table
      break;
    case GK_F8_E4M3:
    case GK_F8_E5M2:  // exponents below the middle: finite and of moderate size
      fill_with<uint8_t>(out, [&] { return uint8_t(random.next() & 0xbf); });
      break;
    default:
      fill_with<uint8_t>(out, [&] { return uint8_t(random.next()); });
  }
  return out;
}

// Index for the op struct's implementation field; 0 for the device's choice.
uint32_t implementation_index(const device &d, gk_op op, const std::string &name) {
  if (name.empty()) return 0;
  const gk_backend &table = *d.library().table;
  std::string known;
  for (uint32_t i = 0; table.implementation != nullptr; ++i) {
    const char *candidate = table.implementation(d.handle(), op, i);
    if (candidate == nullptr) break;
    if (name == candidate) return i + 1;
    known += (known.empty() ? "" : ", ") + std::string(candidate);
  }
  throw status_error(GK_INVALID_ARGUMENT, d.id() + " has no " + find_op(op)->name + " implementation '" + name +
                                              "'; it has " + (known.empty() ? "none by name" : known));
}

// Name of the implementation that a run of this problem takes.
std::string chosen_name(device &d, stream &s, gk_op op, void *problem, uint32_t forced) {
  const gk_backend &table = *d.library().table;
  if (table.implementation == nullptr) return "default";
  if (forced != 0) return table.implementation(d.handle(), op, forced - 1);
  const auto known = d.implementations(op);
  auto *header = static_cast<uint32_t *>(problem) + 1;
  std::string name = "cpu:fallback";
  for (uint32_t i = 0; i < known.size() && name == "cpu:fallback"; ++i) {
    if (known[i].disabled) continue;
    *header = i + 1;
    if (table.run(s.handle(), op, problem, 1, nullptr) == GK_OK) name = known[i].name;
  }
  *header = 0;
  return name;
}

}  // namespace

timing_result time_op(const std::shared_ptr<device> &device, const timing_request &request,
                      const std::atomic<bool> &cancelled) {
  const op_spec *spec = find_op(request.op);
  if (spec == nullptr) throw status_error(GK_INVALID_ARGUMENT, "unknown op");
  gk_error err{};
  err.struct_size = sizeof err;
  if (const gk_status status = spec->validate(request.problem, &err); status != GK_OK)
    throw status_error(status, err.message);

  device->ensure_tested(request.op);
  stream s(device);
  const uint32_t forced = implementation_index(*device, request.op, request.implementation);
  static_cast<uint32_t *>(request.problem)[1] = forced;

  fast_random random{0x9e3779b97f4a7c15};
  std::vector<buffer> buffers;
  for (const operand &o : spec->operands(request.problem)) {
    const bool optional = !o.required;
    const uint64_t extent = o.extent_bytes();
    if (optional || extent == 0) continue;
    buffer b(*device, extent);
    if (o.mode != access::out) {
      const auto data = random_operand(o.dtype, extent, random);
      s.write(b, 0, data.data(), extent);
    }
    *o.ref = b.at();
    buffers.push_back(std::move(b));
    if (cancelled.load(std::memory_order_relaxed)) throw status_error(GK_CANCELLED, "cancelled");
  }
  if (request.pack_b && request.op == GK_OP_GEMM) {
    gk_gemm &gemm = *static_cast<gk_gemm *>(request.problem);
    gk_gemm_pack pack{};
    pack.struct_size = sizeof pack;
    pack.implementation = forced;
    pack.a_type = gemm.a_type;
    pack.b_type = gemm.b_type;
    pack.epilogue = gemm.epilogue;
    pack.n = gemm.n;
    pack.k = gemm.k;
    pack.ldb = gemm.ldb;
    pack.b = gemm.b;
    pack.b2 = gemm.b2;
    if (buffer packed = s.pack(pack)) {
      gemm.b = packed.at();
      gemm.b2 = {};
      gemm.b_packed = 1;
      buffers.push_back(std::move(packed));
    }
  }

  timing_result out;
  out.one_call = spec->count(request.problem);
  out.implementation = chosen_name(*device, s, request.op, request.problem, forced);
  using clock = std::chrono::steady_clock;
  const auto one = [&] {
    const auto begin = clock::now();
    s.run(request.op, request.problem);
    s.synchronize();
    return std::chrono::duration<double, std::nano>(clock::now() - begin).count();
  };
  // Warm-up: first touch of outputs, clocks and caches; two calls, more for short ops.
  const auto start = clock::now();
  for (int i = 0; i < 2 || (i < 100 && clock::now() - start < std::chrono::milliseconds(50)); ++i) one();
  const auto begin = clock::now();
  while (out.samples_ns.size() < std::max(request.samples, 3u)) {
    if (cancelled.load(std::memory_order_relaxed)) throw status_error(GK_CANCELLED, "cancelled");
    out.samples_ns.push_back(one());
    const double elapsed = std::chrono::duration<double>(clock::now() - begin).count();
    if (out.samples_ns.size() >= 3 && elapsed > request.seconds) break;
  }
  return out;
}

}  // namespace gonka
