#include "device.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <mutex>
#include <utility>

#include "cases.hpp"
#include "device_state.hpp"
#include "placed_case.hpp"
#include "registry.hpp"
#include "status.hpp"
#include "tuning_store.hpp"

namespace gonka {
namespace {

// A problem to ask implementations about, never run: the op's first known answer. Built once; callers work on a copy of
// the op's struct.
const built_case *representative_case(gk_op op) {
  static std::mutex mutex;
  static std::map<gk_op, built_case> built;
  const std::lock_guard lock(mutex);
  if (const auto found = built.find(op); found != built.end()) return &found->second;
  for (const op_case &test : cases_of(op))
    if ((test.uses & use_selftest) != 0) return &built.emplace(op, test.build(test)).first->second;
  return nullptr;
}

// Outcomes of the self-test in this process, so that opening a device again does not ask again. They belong to a loaded
// library, not to the address of its table: once a library is gone, that address may be another one's, which must not
// inherit its verdict. A weak_ptr keeps the identity, not the library.
class tested_devices {
 public:
  std::vector<tested_implementation> test(const std::shared_ptr<const backend_library> &library, gk_device *handle,
                                          uint32_t index, const op_spec &spec) {
    const std::pair k(index, spec.op);
    {
      const std::lock_guard lock(mutex_);
      const auto &known = outcomes_[library];
      if (const auto found = known.find(k); found != known.end()) return found->second;
    }
    auto outcome = self_test(*library->table, handle, spec);
    const std::lock_guard lock(mutex_);
    std::erase_if(outcomes_, [](const auto &entry) { return entry.first.expired(); });
    return outcomes_[library].insert_or_assign(k, std::move(outcome)).first->second;
  }

 private:
  using identity = std::weak_ptr<const backend_library>;
  std::mutex mutex_;
  std::map<identity, std::map<std::pair<uint32_t, gk_op>, std::vector<tested_implementation>>,
           std::owner_less<identity>>
      outcomes_;
};

tested_devices &process_outcomes() {
  static tested_devices outcomes;
  return outcomes;
}

template <size_t N>
void terminate_string(char (&text)[N]) {
  text[N - 1] = '\0';
}

}  // namespace

std::shared_ptr<device> device::open(std::shared_ptr<const backend_library> library, uint32_t index, options options) {
  const gk_backend &table = *library->table;
  // The constructor is private: make_shared cannot reach it.
  std::shared_ptr<device> d(new device);
  d->state_ = std::make_unique<state>();
  d->library_ = std::move(library);
  d->index_ = index;
  d->id_ = std::string(table.name) + ":" + std::to_string(index);
  error_report err;
  gk_device_options request{};
  request.struct_size = sizeof request;
  request.threads = options.threads;
  check(table.device_open(index, &request, &d->handle_, &err), err, d->id_);
  check_made(d->handle_, table, "device_open");
  d->info_ = d->current_info();
  d->load_tuning();
  return d;
}

// What earlier processes found out. It only saves time, so nothing about it fails the device.
void device::load_tuning() {
  if (library_->table->tuning_import == nullptr) return;
  state_->tuning_file = tuning_path(*library_, info_);
  if (state_->tuning_file.empty()) return;
  std::string why;
  const std::string text = read_tuning(state_->tuning_file, &why);
  error_report err;
  if (!text.empty()) {
    const gk_status status = library_->table->tuning_import(handle_, text.data(), text.size(), &err);
    if (status == GK_OK)
      state_->tuning_kept = text;
    else
      why = state_->tuning_file + ": is ignored and made anew: " + err.text(status);
  }
  if (!why.empty()) state_->notice(id_ + ": " + why);
}

void device::keep_tuning() noexcept {
  try {
    if (state_->tuning_file.empty()) return;
    uint64_t size = 0;
    char none = 0;
    if (library_->table->tuning_export(handle_, &none, 0, &size, nullptr) != GK_OK || size == 0) return;
    constexpr uint64_t k_most = uint64_t(1) << 20;
    std::string text(size_t(std::min(size, k_most)), '\0');
    if (library_->table->tuning_export(handle_, text.data(), text.size(), &size, nullptr) != GK_OK) return;
    if (size != text.size() || text == state_->tuning_kept) return;
    if (!write_tuning(state_->tuning_file, text))
      state_->notice(id_ + ": " + state_->tuning_file + " cannot be written; the next process measures again");
  } catch (...) {  // out of memory while closing: the next process measures again
  }
}

device::~device() {
  if (handle_ != nullptr) keep_tuning();
  if (handle_ != nullptr) library_->table->device_close(handle_);
}

gk_device_info device::current_info() const {
  gk_device_info info{};
  info.struct_size = sizeof info;
  error_report err;
  check(library_->table->device_info(handle_, &info, &err), err, id_ + ": device_info");
  terminate_string(info.name);
  terminate_string(info.arch);
  terminate_string(info.driver);
  terminate_string(info.unique_id);
  info.format_count = std::min<uint32_t>(info.format_count, GK_MAX_FORMATS);
  return info;
}

gk_telemetry device::telemetry() const {
  if (library_->table->device_telemetry == nullptr)
    throw status_error(GK_UNSUPPORTED, id_ + ": the backend " + library_->table->name + " reads no sensors");
  gk_telemetry now{};
  now.struct_size = sizeof now;
  error_report err;
  check(library_->table->device_telemetry(handle_, &now, &err), err, id_ + ": telemetry");
  terminate_string(now.name);
  terminate_string(now.uuid);
  terminate_string(now.pci);
  terminate_string(now.driver);
  terminate_string(now.source);
  terminate_string(now.missing);
  return now;
}

void device::check_operands(const op_spec &spec, void *problem) const {
  for (const operand &o : spec.operands(problem)) {
    const uint64_t extent = o.extent_bytes();
    const std::string what = id_ + ": " + spec.name + ": operand " + o.name;
    if (o.ref->buffer == nullptr) {
      if (o.required && extent != 0) throw status_error(GK_INVALID_ARGUMENT, what + " is absent; expected a buffer");
      continue;
    }
    if (const uint32_t size = dtype_size(o.dtype); size != 0 && o.ref->offset % size != 0)
      throw status_error(GK_INVALID_ARGUMENT, what + " at offset " + std::to_string(o.ref->offset) +
                                                  " is not aligned to its element size " + std::to_string(size));
    const std::shared_lock lock(state_->sizes_mutex);
    const auto found = state_->sizes.find(o.ref->buffer);
    if (found == state_->sizes.end()) continue;  // packed by the backend, which alone knows the size
    if (o.ref->offset > found->second || extent > found->second - o.ref->offset)
      throw status_error(GK_INVALID_ARGUMENT, what + " needs bytes [" + std::to_string(o.ref->offset) + ", " +
                                                  std::to_string(o.ref->offset + extent) + ") of a buffer of " +
                                                  std::to_string(found->second));
  }
}

void device::ensure_tested(gk_op op) {
  const op_spec *spec = find_op(op);
  if (spec == nullptr) throw status_error(GK_INVALID_ARGUMENT, id_ + ": unknown op " + std::to_string(int(op)));
  op_state &s = state_->of(*spec);
  if (s.tested.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(s.testing);
  if (s.tested.load(std::memory_order_relaxed)) return;
  s.implementations = process_outcomes().test(library_, handle_, index_, *spec);
  for (const tested_implementation &t : s.implementations) {
    if (!t.disabled) continue;
    s.any_disabled = true;
    state_->notice(id_ + ": " + spec->name + " " + t.name + " failed its self-test and is disabled: " + t.reason);
  }
  s.tested.store(true, std::memory_order_release);
}

std::vector<implementation_status> device::implementations(gk_op op) {
  ensure_tested(op);
  const op_spec &spec = *find_op(op);
  std::vector<implementation_status> list;
  raw_stream stream = open_stream(*library_->table, handle_);
  for (const tested_implementation &t : state_->of(spec).implementations) {
    implementation_status status;
    status.name = t.name;
    status.index = t.index;
    status.known_answers = t.passed;
    status.disabled = t.disabled;
    if (t.disabled) status.reason = t.reason;
    if (const built_case *typical = representative_case(op); typical != nullptr && !t.disabled) {
      const auto *bytes = static_cast<const std::byte *>(typical->problem.get());
      std::vector<std::byte> problem(bytes, bytes + spec.problem_size);
      const chosen_implementation choice(problem.data(), t.index);
      error_report err;
      const gk_status answer = library_->table->run(stream.get(), op, problem.data(), 1, &err);
      status.accepted = answer == GK_OK;
      if (!status.accepted) status.reason = err.text(answer);
    }
    list.push_back(std::move(status));
  }
  return list;
}

std::vector<std::pair<gk_op, uint64_t>> device::fallbacks() const {
  std::vector<std::pair<gk_op, uint64_t>> counts;
  for (size_t i = 0; i < state_->ops.size(); ++i)
    if (const uint64_t n = state_->ops[i].fallbacks.load(); n != 0) counts.emplace_back(all_ops()[i]->op, n);
  return counts;
}

void device::on_notice(std::function<void(const std::string &)> sink) {
  const std::lock_guard lock(state_->notice_mutex);
  state_->notice_sink = std::move(sink);
}

}  // namespace gonka
