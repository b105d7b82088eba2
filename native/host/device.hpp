// Devices as the rest of the project uses them: RAII over the C boundary, the self-test gate, choice of implementation
// and fallback to the host CPU.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gonka_backend.h"
#include "op.hpp"

namespace gonka {

// What host, model and poc throw; the addon turns it into a JS error whose code is derived from status.
class status_error : public std::runtime_error {
 public:
  status_error(gk_status status, const std::string &message) : std::runtime_error(message), status(status) {}
  const gk_status status;
};

// A loaded backend library, or the CPU backend. Lives until the last device of it is closed.
struct backend_library {
  const gk_backend *table = nullptr;
  std::string path;              // empty for the linked-in CPU backend
  std::shared_ptr<void> handle;  // keeps the library loaded

  // SHA-256 of the library file (for the CPU backend of the file that holds this code: the addon), hex; empty if it
  // cannot be read. Computed at the first call; thread-safe.
  const std::string &sha256() const;

 private:
  mutable std::once_flag hashed_;
  mutable std::string sha256_;
};

class device;

class buffer {
 public:
  buffer() = default;
  // size may be 0. Throws status_error.
  buffer(device &owner, uint64_t size);
  // Takes ownership of a buffer the backend made (gemm_pack).
  buffer(std::shared_ptr<device> owner, gk_buffer *handle, uint64_t size);
  ~buffer();
  buffer(buffer &&other) noexcept { swap(other); }
  buffer &operator=(buffer &&other) noexcept {
    swap(other);
    return *this;
  }
  explicit operator bool() const { return handle_ != nullptr; }
  gk_ref at(uint64_t offset = 0) const { return {handle_, offset}; }
  gk_buffer *handle() const { return handle_; }
  uint64_t size() const { return size_; }  // 0 for a packed operand, whose size only the backend knows
  // Address if the memory is the host's, else nullptr.
  void *pointer() const;

 private:
  void swap(buffer &other) noexcept {
    std::swap(owner_, other.owner_);
    std::swap(handle_, other.handle_);
    std::swap(size_, other.size_);
  }
  std::shared_ptr<device> owner_;
  gk_buffer *handle_ = nullptr;
  uint64_t size_ = 0;
};

// Ops recorded on a stream, to be queued again with one call. Goes before its stream and the buffers of its ops.
class recording {
 public:
  recording() = default;
  recording(std::shared_ptr<device> owner, gk_recording *handle) : owner_(std::move(owner)), handle_(handle) {}
  ~recording();
  recording(recording &&other) noexcept { swap(other); }
  recording &operator=(recording &&other) noexcept {
    swap(other);
    return *this;
  }
  explicit operator bool() const { return handle_ != nullptr; }
  gk_recording *handle() const { return handle_; }

 private:
  void swap(recording &other) noexcept {
    std::swap(owner_, other.owner_);
    std::swap(handle_, other.handle_);
  }
  std::shared_ptr<device> owner_;
  gk_recording *handle_ = nullptr;
};

// One thread at a time.
class stream {
 public:
  explicit stream(std::shared_ptr<device> owner);
  ~stream();
  stream(const stream &) = delete;
  stream &operator=(const stream &) = delete;

  // Runs one op: the first implementation that is not disabled on this device and accepts the problem; if the backend
  // has none, the host CPU through copies (counted in device::fallbacks), or for matmul_pow the device's own gemm I8
  // and the host for the rest (counted as well). If only disabled ones would accept it: GK_SELFTEST_FAILED. A problem
  // whose `implementation` is not 0 runs on exactly that one or fails. Throws status_error.
  void run(gk_op op, void *problem);
  // Whether run() would not turn to the host CPU: an implementation accepts the problem, even if it is disabled and
  // run() will say so. Asked by dry runs, refs may be empty.
  bool runs_itself(gk_op op, void *problem);
  void write(const buffer &to, uint64_t offset, const void *from, uint64_t size);
  void read(const buffer &from, uint64_t offset, void *to, uint64_t size);
  void synchronize();
  // As synchronize, whatever comes of it: before buffers are freed whose work may have been abandoned under way.
  void settle() noexcept;
  // Packs a constant gemm operand, or returns an empty buffer if the backend cannot (then pass B as it is).
  buffer pack(const gk_gemm_pack &request);

  // Records the ops that work() runs on this stream instead of computing them. Empty, with the reason in *why, where
  // the backend records nothing, or an op that cannot be recorded or would run on the host. What work() throws is
  // passed on.
  recording record(const std::function<void()> &work, std::string *why);
  void replay(const recording &r);

  gk_stream *handle() const { return handle_; }
  device &owner() const { return *owner_; }

 private:
  std::shared_ptr<device> owner_;
  gk_stream *handle_ = nullptr;
  bool records_ = false;
};

// The last member of who owns a stream and buffers: waits for queued work before the buffers go, also when a
// constructor fails.
class settles_at_end {
 public:
  explicit settles_at_end(const std::unique_ptr<stream> &owned) : owned_(owned) {}
  ~settles_at_end() {
    if (owned_) owned_->settle();
  }
  settles_at_end(const settles_at_end &) = delete;
  settles_at_end &operator=(const settles_at_end &) = delete;

 private:
  const std::unique_ptr<stream> &owned_;
};

// How each implementation of an op stands on a device.
struct implementation_status {
  std::string name;
  uint32_t index = 0;          // for the op struct's field `implementation`
  uint32_t known_answers = 0;  // self-test cases it reproduced; 0: it accepted none of them
  bool accepted = false;       // would run the op's representative problem
  std::string reason;          // why not: the backend's words, or the self-test case that failed
  bool disabled = false;       // by the self-test gate
};

class device : public std::enable_shared_from_this<device> {
 public:
  struct options {
    uint32_t threads = 0;  // CPU: 0 = all this process may use
  };
  // Throws status_error: never a silent CPU device in place of the one asked for.
  static std::shared_ptr<device> open(std::shared_ptr<const backend_library> library, uint32_t index, options options);
  ~device();

  const std::string &id() const { return id_; }  // "cpu:0", "cuda:1"
  const backend_library &library() const { return *library_; }
  gk_device *handle() const { return handle_; }
  const gk_device_info &info() const { return info_; }  // as of open()
  gk_device_info current_info() const;                  // asks the device now: free memory changes

  // What the device's sensors say now; may run beside work on the device. Throws status_error, GK_UNSUPPORTED with the
  // cause where nothing can be read.
  gk_telemetry telemetry() const;

  // The self-test gate: every implementation of op that accepts a known-answer case runs it; one that errs or is wrong
  // is disabled and reported. Done at the first use of the op on this device; thread-safe; later calls are free.
  // Throws status_error for what says nothing about an implementation: out of memory, device lost.
  void ensure_tested(gk_op op);
  std::vector<implementation_status> implementations(gk_op op);
  // Ops that ran on the host CPU instead, with how often.
  std::vector<std::pair<gk_op, uint64_t>> fallbacks() const;
  // Called (from any thread) with a sentence when an implementation is disabled or an op first falls back. Without a
  // sink the sentence goes to stderr. After on_notice returns the former sink is not called any more; a sink must not
  // call on_notice.
  void on_notice(std::function<void(const std::string &)> sink);

 private:
  device() = default;
  void check_operands(const op_spec &spec, void *problem) const;
  void load_tuning();
  void keep_tuning() noexcept;
  friend class buffer;
  friend class stream;
  struct state;
  std::shared_ptr<const backend_library> library_;
  gk_device *handle_ = nullptr;
  uint32_t index_ = 0;
  gk_device_info info_{};
  std::string id_;
  std::unique_ptr<state> state_;
};

}  // namespace gonka
