// Ops on a device: checked, run by what the self-test left of its implementations, or by the host.
#include "backend.hpp"
#include "composed_matmul_pow.hpp"
#include "device_state.hpp"
#include "status.hpp"

namespace gonka {
namespace {

bool is_cpu(const backend_library &library) {
  return library.table == &cpu::backend();
}

void check_range(const device &d, const buffer &b, uint64_t offset, uint64_t size, const char *what) {
  if (b.handle() == nullptr) throw status_error(GK_INVALID_ARGUMENT, d.id() + ": " + what + " of an empty buffer");
  if (offset > b.size() || size > b.size() - offset)
    throw status_error(GK_INVALID_ARGUMENT, d.id() + ": " + what + " of " + std::to_string(size) + " bytes at offset " +
                                                std::to_string(offset) + " of a buffer of " + std::to_string(b.size()));
}

}  // namespace

stream::stream(std::shared_ptr<device> owner) : owner_(std::move(owner)) {
  error_report err;
  check(owner_->library().table->stream_open(owner_->handle(), &handle_, &err), err, owner_->id() + ": stream_open");
  check_made(handle_, *owner_->library().table, "stream_open");
}

stream::~stream() {
  owner_->library().table->stream_close(handle_);
}

void stream::write(const buffer &to, uint64_t offset, const void *from, uint64_t size) {
  check_range(*owner_, to, offset, size, "write");
  if (size == 0) return;
  error_report err;
  check(owner_->library().table->buffer_write(handle_, to.handle(), offset, from, size, &err), err,
        owner_->id() + ": write");
}

void stream::read(const buffer &from, uint64_t offset, void *to, uint64_t size) {
  check_range(*owner_, from, offset, size, "read");
  if (size == 0) return;
  error_report err;
  check(owner_->library().table->buffer_read(handle_, from.handle(), offset, to, size, &err), err,
        owner_->id() + ": read");
}

void stream::synchronize() {
  error_report err;
  check(owner_->library().table->synchronize(handle_, &err), err, owner_->id() + ": synchronize");
}

void stream::settle() noexcept {
  owner_->library().table->synchronize(handle_, nullptr);
}

void stream::run(gk_op op, void *problem) {
  device &d = *owner_;
  const op_spec *spec = find_op(op);
  if (spec == nullptr) throw status_error(GK_INVALID_ARGUMENT, d.id() + ": unknown op " + std::to_string(int(op)));
  error_report err;
  check(spec->validate(problem, &err), err, d.id());
  // A vendor's library is not trusted to notice an operand that is absent or leaves its buffer; the CPU backend does.
  if (!is_cpu(d.library())) d.check_operands(*spec, problem);
  d.ensure_tested(op);
  const op_state &state = d.state_->of(*spec);
  const gk_backend &table = *d.library().table;
  const uint32_t wanted = static_cast<problem_header *>(problem)->implementation;

  gk_status status = GK_UNSUPPORTED;
  if (wanted != 0) {
    for (const tested_implementation &t : state.implementations)
      if (t.index == wanted && t.disabled)
        throw status_error(GK_SELFTEST_FAILED, d.id() + ": " + spec->name + " " + t.name + " is disabled: " + t.reason);
    return check(table.run(handle_, op, problem, 0, &err), err, d.id());
  }
  if (!state.any_disabled) {
    status = table.run(handle_, op, problem, 0, &err);
  } else {
    for (const tested_implementation &t : state.implementations) {
      if (t.disabled) continue;
      const chosen_implementation choice(problem, t.index);
      status = table.run(handle_, op, problem, 0, &err);
      if (status != GK_UNSUPPORTED) break;
    }
  }
  if (status != GK_UNSUPPORTED) return check(status, err, d.id());

  // A device that claims the problem but computes it wrongly must not look slow: it is broken.
  for (const tested_implementation &t : state.implementations) {
    const chosen_implementation choice(problem, t.index);
    if (t.disabled && table.run(handle_, op, problem, 1, nullptr) == GK_OK)
      throw status_error(GK_SELFTEST_FAILED, d.id() + ": " + spec->name +
                                                 ": no implementation is left for this problem: " + t.name +
                                                 " is disabled: " + t.reason);
  }
  const std::string reason = err.text(GK_UNSUPPORTED);
  if (records_) throw status_error(GK_UNSUPPORTED, d.id() + ": " + reason);
  if (is_cpu(d.library())) throw status_error(GK_UNSUPPORTED, d.id() + ": " + reason);
  if (op == GK_OP_GEMM && static_cast<const gk_gemm *>(problem)->b_packed != 0)
    throw status_error(GK_UNSUPPORTED,
                       d.id() + ": " + reason + "; B is packed for this device, so the host CPU cannot run it either");
  const bool first = d.state_->of(*spec).fallbacks.fetch_add(1) == 0;
  if (op == GK_OP_MATMUL_POW && run_composed_matmul_pow(*this, *static_cast<gk_matmul_pow *>(problem))) {
    if (first)
      d.state_->notice(d.id() + " does not run matmul_pow (" + reason +
                       "); its gemm computes the products, the host the rest");
    return;
  }
  if (first)
    d.state_->notice(d.id() + " does not run " + spec->name + " (" + reason +
                     "); it runs on the host CPU through copies");
  d.state_->fallback.run(table, handle_, d.id(), *spec, problem);
}

recording::~recording() {
  if (handle_ != nullptr) owner_->library().table->recording_free(handle_);
}

recording stream::record(const std::function<void()> &work, std::string *why) {
  const gk_backend &table = *owner_->library().table;
  if (table.record_begin == nullptr) {
    *why = owner_->id() + ": the backend " + table.name + " records nothing";
    return {};
  }
  error_report err;
  check(table.record_begin(handle_, &err), err, owner_->id() + ": record");
  records_ = true;
  gk_recording *made = nullptr;
  const auto end = [&](gk_error *e) {
    records_ = false;
    return table.record_end(handle_, &made, e);
  };
  try {
    work();
  } catch (const status_error &e) {
    end(nullptr);
    const recording unfinished(owner_, made);
    if (e.status != GK_UNSUPPORTED) throw;
    *why = e.what();
    return {};
  } catch (...) {
    end(nullptr);
    const recording unfinished(owner_, made);
    throw;
  }
  const gk_status status = end(&err);
  if (status == GK_UNSUPPORTED) {
    *why = owner_->id() + ": " + err.text(status);
    return {};
  }
  check(status, err, owner_->id() + ": record");
  return recording(owner_, made);
}

void stream::replay(const recording &r) {
  error_report err;
  check(owner_->library().table->replay(handle_, r.handle(), &err), err, owner_->id() + ": replay");
}

bool stream::runs_itself(gk_op op, void *problem) {
  device &d = *owner_;
  const op_spec *spec = find_op(op);
  if (spec == nullptr || spec->validate(problem, nullptr) != GK_OK) return false;
  d.ensure_tested(op);
  for (const tested_implementation &t : d.state_->of(*spec).implementations) {
    const chosen_implementation choice(problem, t.index);
    if (d.library().table->run(handle_, op, problem, 1, nullptr) == GK_OK) return true;
  }
  return false;
}

buffer stream::pack(const gk_gemm_pack &request) {
  device &d = *owner_;
  const gk_backend &table = *d.library().table;
  if (table.gemm_pack == nullptr) return {};
  d.ensure_tested(GK_OP_GEMM);
  const op_state &state = d.state_->of(*find_op(GK_OP_GEMM));
  error_report err;
  const auto try_pack = [&](uint32_t index) -> gk_buffer * {
    gk_gemm_pack copy = request;
    copy.implementation = index;
    gk_buffer *packed = nullptr;
    const gk_status status = table.gemm_pack(handle_, &copy, &packed, &err);
    if (status == GK_UNSUPPORTED) return nullptr;
    check(status, err, d.id() + ": gemm_pack");
    return packed;
  };
  if (request.implementation != 0 || !state.any_disabled) return buffer(owner_, try_pack(request.implementation), 0);
  for (const tested_implementation &t : state.implementations)
    if (!t.disabled)
      if (gk_buffer *packed = try_pack(t.index)) return buffer(owner_, packed, 0);
  return {};
}

}  // namespace gonka
