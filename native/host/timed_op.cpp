#include "timed_op.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "choice.hpp"
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

constexpr uint64_t k_device_scratch = uint64_t(256) << 20;

// Twice the last-level cache, but 64 MiB where the system does not tell or tells less, and no more than 256 MiB:
// virtual machines are told of caches that they share.
size_t host_scratch_bytes() {
  long cache = 0;
#ifdef _SC_LEVEL3_CACHE_SIZE
  cache = std::max(cache, sysconf(_SC_LEVEL3_CACHE_SIZE));
#endif
  return std::clamp<size_t>(2 * size_t(std::max(cache, 0L)), size_t(64) << 20, size_t(256) << 20);
}

}  // namespace

timed_op::timed_op(std::shared_ptr<device> device, const timed_request &request, const std::atomic<bool> &cancelled)
    : device_(std::move(device)), stream_(device_), op_(request.op) {
  const op_spec *spec = find_op(request.op);
  if (spec == nullptr) throw status_error(GK_INVALID_ARGUMENT, "unknown op");
  gk_error err{};
  err.struct_size = sizeof err;
  if (const gk_status status = spec->validate(request.problem, &err); status != GK_OK)
    throw status_error(status, err.message);
  const size_t size = spec->problem_size;
  problem_.reset(new std::max_align_t[(size + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t)]);
  void *problem = problem_.get();
  std::memcpy(problem, request.problem, size);

  device_->ensure_tested(op_);
  const uint32_t forced = implementation_index(*device_, op_, request.implementation);
  static_cast<uint32_t *>(problem)[1] = forced;

  fast_random random{0x9e3779b97f4a7c15};
  for (const operand &o : spec->operands(problem)) {
    const bool optional = !o.required;
    const uint64_t extent = o.extent_bytes();
    if (optional || extent == 0) continue;
    buffer b(*device_, extent);
    if (o.mode != access::out) {
      const auto data = random_operand(o.dtype, extent, random);
      stream_.write(b, 0, data.data(), extent);
    }
    *o.ref = b.at();
    host_memory_ = b.pointer() != nullptr;
    operand_bytes_ += extent;
    buffers_.push_back(std::move(b));
    if (cancelled.load(std::memory_order_relaxed)) throw status_error(GK_CANCELLED, "cancelled");
  }
  if (buffers_.empty()) host_memory_ = true;
  if (request.pack_b && op_ == GK_OP_GEMM) {
    gk_gemm &gemm = *static_cast<gk_gemm *>(problem);
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
    if (buffer packed = stream_.pack(pack)) {
      gemm.b = packed.at();
      gemm.b2 = {};
      gemm.b_packed = 1;
      buffers_.push_back(std::move(packed));
    }
  }
  one_call_ = spec->count(problem);
  implementation_ = forced != 0 ? request.implementation : chosen_name(stream_, op_, problem);
}

double timed_op::call() {
  using clock = std::chrono::steady_clock;
  const auto begin = clock::now();
  stream_.run(op_, problem_.get());
  stream_.synchronize();
  return std::chrono::duration<double, std::nano>(clock::now() - begin).count();
}

void timed_op::evict() {
  if (host_memory_) {
    if (scratch_.empty()) scratch_.resize(host_scratch_bytes());
    for (size_t i = 0; i < scratch_.size(); i += 64) scratch_[i] = std::byte(uint8_t(scratch_[i]) + 1);
    return;
  }
  if (scratch_.empty()) {
    scratch_.resize(k_device_scratch);
    device_scratch_ = buffer(*device_, k_device_scratch);
  }
  stream_.write(device_scratch_, 0, scratch_.data(), scratch_.size());
  stream_.synchronize();
}

uint32_t timed_op::threads() const {
  return device_->info().threads;
}

}  // namespace gonka
