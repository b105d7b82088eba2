#include "host_cpu.hpp"

#include <cstddef>
#include <vector>

#include "registry.hpp"
#include "status.hpp"

namespace gonka {
namespace {

// Puts a problem's refs back as they were.
class saved_refs {
 public:
  explicit saved_refs(const std::vector<operand> &operands) : operands_(operands) {
    for (const operand &o : operands) refs.push_back(*o.ref);
  }
  ~saved_refs() {
    for (size_t i = 0; i < refs.size(); ++i) *operands_[i].ref = refs[i];
  }
  saved_refs(const saved_refs &) = delete;
  saved_refs &operator=(const saved_refs &) = delete;

  std::vector<gk_ref> refs;

 private:
  const std::vector<operand> &operands_;
};

// Neighbouring runs that touch become one, so that a dense operand is one copy.
template <class F>
void for_each_joined_run(const operand &o, F &&f) {
  uint64_t begin = 0, end = 0;
  o.for_each_run([&](uint64_t at, uint64_t bytes) {
    if (at == end) {
      end += bytes;
      return;
    }
    if (end != begin) f(begin, end - begin);
    begin = at;
    end = at + bytes;
  });
  if (end != begin) f(begin, end - begin);
}

}  // namespace

// One CPU device serves all devices that need it and goes with the last of them.
std::shared_ptr<device> host_cpu::open() {
  static std::mutex shared_mutex;
  static std::weak_ptr<device> shared;
  const std::lock_guard lock(mutex_);
  if (cpu_ != nullptr) return cpu_;
  const std::lock_guard shared_lock(shared_mutex);
  cpu_ = shared.lock();
  if (cpu_ == nullptr) shared = cpu_ = device::open(cpu_library(), 0, {});
  return cpu_;
}

void host_cpu::run(const gk_backend &table, gk_stream *stream_handle, const std::string &device_id, const op_spec &spec,
                   void *problem) {
  const std::shared_ptr<device> cpu = open();
  stream cpu_stream(cpu);
  error_report err;
  const std::vector<operand> operands = spec.operands(problem);
  const saved_refs device_refs(operands);
  std::vector<buffer> copies(operands.size());
  std::vector<std::byte *> addresses(operands.size(), nullptr);
  for (size_t i = 0; i < operands.size(); ++i) {
    const operand &o = operands[i];
    const gk_ref from = device_refs.refs[i];
    if (from.buffer == nullptr) continue;
    const uint64_t extent = o.extent_bytes();
    // Operands in the same place on the device share their copy, so that in-place problems stay in place.
    size_t home = 0;
    while (home < i && !(device_refs.refs[home].buffer == from.buffer && device_refs.refs[home].offset == from.offset &&
                         operands[home].extent_bytes() == extent))
      ++home;
    if (home < i) {
      addresses[i] = addresses[home];
      *o.ref = *operands[home].ref;
      continue;
    }
    copies[i] = buffer(*cpu, extent);
    addresses[i] = static_cast<std::byte *>(copies[i].pointer());
    if (extent != 0)
      check(table.buffer_read(stream_handle, from.buffer, from.offset, addresses[i], extent, &err), err,
            device_id + ": copying operand " + o.name + " of " + spec.name + " to the host");
    *o.ref = copies[i].at();
  }
  cpu_stream.run(spec.op, problem);
  cpu_stream.synchronize();
  for (size_t i = 0; i < operands.size(); ++i) {
    const operand &o = operands[i];
    const gk_ref to = device_refs.refs[i];
    if (to.buffer == nullptr || o.mode == access::in) continue;
    // Only what the op writes: another stream may be writing the gaps.
    for_each_joined_run(o, [&](uint64_t at, uint64_t bytes) {
      check(table.buffer_write(stream_handle, to.buffer, to.offset + at, addresses[i] + at, bytes, &err), err,
            device_id + ": copying operand " + o.name + " of " + spec.name + " back");
    });
  }
}

}  // namespace gonka
