// Runs a case through the CPU backend's boundary and reports everything that is wrong with the outcome: status, error
// bounds, bytes outside the operands, changed inputs and gaps. Operands lie between guard zones at unaligned offsets,
// outputs are poisoned beforehand.
#pragma once

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "backend.hpp"
#include "cases.hpp"
#include "features.hpp"
#include "implementation.hpp"

namespace gonka::test {

// A device with one stream, closed on destruction.
struct cpu_stream {
  explicit cpu_stream(uint32_t threads) {
    const gk_device_options options{sizeof options, threads};
    cpu::backend().device_open(0, &options, &device, nullptr);
    cpu::backend().stream_open(device, &stream, nullptr);
  }
  ~cpu_stream() {
    cpu::backend().stream_close(stream);
    cpu::backend().device_close(device);
  }
  cpu_stream(const cpu_stream &) = delete;
  cpu_stream &operator=(const cpu_stream &) = delete;
  gk_device *device = nullptr;
  gk_stream *stream = nullptr;
};

constexpr uint64_t k_guard = 192;

// Puts every operand into a buffer of its own, `shift` elements past a 64-byte boundary, with k_guard bytes around it.
struct placed_case {
  placed_case(const built_case &built, gk_device *device, uint64_t shift) : built(built), buffers(built.data.size()) {
    for (size_t i = 0; i < built.data.size(); ++i) {
      if (!built.present[i]) continue;
      const int same = built.same_place.empty() ? -1 : built.same_place[i];
      if (same >= 0) {
        *built.operands[i].ref = *built.operands[size_t(same)].ref;
        continue;
      }
      const uint64_t offset = k_guard + shift * dtype_size(built.operands[i].dtype), size = built.data[i].size();
      cpu::backend().buffer_alloc(device, offset + size + k_guard, &buffers[i], nullptr);
      std::byte *memory = bytes(i);
      std::memset(memory, 0x5c, offset + size + k_guard);
      if (size > 0) std::memcpy(memory + offset, built.data[i].data(), size);
      *built.operands[i].ref = {buffers[i], offset};
    }
  }
  ~placed_case() {
    for (size_t i = 0; i < buffers.size(); ++i) {
      cpu::backend().buffer_free(buffers[i]);
      *built.operands[i].ref = {};
    }
  }
  placed_case(const placed_case &) = delete;
  placed_case &operator=(const placed_case &) = delete;

  std::byte *bytes(size_t i) const { return static_cast<std::byte *>(cpu::backend().buffer_pointer(buffers[i])); }

  // Every operand's bytes now.
  std::vector<std::vector<std::byte>> read() const {
    std::vector<std::vector<std::byte>> all;
    for (size_t i = 0; i < buffers.size(); ++i) {
      all.emplace_back(built.data[i].size());
      const gk_ref &ref = *built.operands[i].ref;
      if (ref.buffer == nullptr || all[i].empty()) continue;
      const auto *memory = static_cast<const std::byte *>(cpu::backend().buffer_pointer(ref.buffer));
      std::memcpy(all[i].data(), memory + ref.offset, all[i].size());
    }
    return all;
  }

  // Empty, or what was written that must not be: guard zones, gaps between rows, inputs.
  std::string damage() const {
    for (size_t i = 0; i < buffers.size(); ++i) {
      if (buffers[i] == nullptr) continue;
      std::vector<bool> writable(built.data[i].size());
      for (size_t j = i; j < buffers.size(); ++j) {
        const bool here = j == i || (!built.same_place.empty() && built.same_place[j] == int(i));
        if (!here || built.operands[j].mode == access::in || !built.present[j]) continue;
        built.operands[j].for_each_run(
            [&](uint64_t offset, uint64_t size) { std::fill_n(writable.begin() + int64_t(offset), size, true); });
      }
      const uint64_t offset = built.operands[i].ref->offset, size = built.data[i].size();
      for (uint64_t b = 0; b < offset + size + k_guard; ++b) {
        const bool inside = b >= offset && b < offset + size;
        if (inside && writable[b - offset]) continue;
        if (bytes(i)[b] != (inside ? built.data[i][b - offset] : std::byte{0x5c}))
          return std::string(built.operands[i].name) + (inside ? ": changed byte " : ": wrote outside, byte ") +
                 std::to_string(int64_t(b) - int64_t(offset)) + " of " + std::to_string(size);
      }
    }
    return "";
  }

  const built_case &built;
  std::vector<gk_buffer *> buffers;
};

// What the reference makes of the case.
inline std::vector<std::vector<std::byte>> reference_result(const op_spec &spec, const built_case &built) {
  auto data = built.data;
  std::vector<void *> pointers;
  for (size_t i = 0; i < data.size(); ++i) {
    const int same = built.same_place.empty() ? -1 : built.same_place[i];
    pointers.push_back(!built.present[i] ? nullptr : same >= 0 ? pointers[size_t(same)] : data[i].data());
  }
  spec.reference(built.problem.get(), pointers);
  for (size_t i = 0; i < data.size(); ++i)
    if (!built.same_place.empty() && built.same_place[i] >= 0) data[i] = data[size_t(built.same_place[i])];
  return data;
}

struct tally {
  int run = 0, rejected = 0, failed = 0;
};

// Runs the case with implementation `index` (from 1). want: reference_result. Prints what fails.
inline void run_case(const op_spec &spec, const op_case &c, const built_case &built,
                     const std::vector<std::vector<std::byte>> &want, uint32_t index, cpu_stream &on, uint64_t shift,
                     tally &count, std::vector<std::vector<std::byte>> *result = nullptr) {
  const char *implementation = cpu::backend().implementation(on.device, spec.op, index - 1);
  const auto report = [&](const std::string &what) {
    ++count.failed;
    std::printf("FAIL %s [%s] %s (seed %llu, shift %llu): %s\n", spec.name, implementation, c.name.c_str(),
                static_cast<unsigned long long>(c.seed), static_cast<unsigned long long>(shift), what.c_str());
  };
  struct header {
    uint32_t struct_size, implementation;
  };
  static_cast<header *>(built.problem.get())->implementation = index;
  const placed_case placed(built, on.device, shift);
  gk_error err{};
  err.struct_size = sizeof err;
  const gk_status dry = cpu::backend().run(on.stream, spec.op, built.problem.get(), 1, &err);
  const gk_status status = cpu::backend().run(on.stream, spec.op, built.problem.get(), 0, &err);
  if (dry != status) return report("dry run said " + std::to_string(dry) + ", run " + std::to_string(status));
  if (status == GK_UNSUPPORTED) {
    ++count.rejected;
    return;
  }
  ++count.run;
  if (status != GK_OK) return report("status " + std::to_string(status) + ": " + err.message);
  if (const std::string damage = placed.damage(); !damage.empty()) return report(damage);
  const auto got = placed.read();
  const comparison outcome = c.compare(c, built, got, want);
  if (!outcome.passed()) {
    char text[256];
    std::snprintf(text, sizeof text, "%s[%lld] = %.9g, expected %.9g, %.3g of its bound; aggregate %.3g of %.3g",
                  outcome.operand, static_cast<long long>(outcome.worst_index), outcome.got, outcome.want,
                  outcome.worst, outcome.aggregate, outcome.aggregate_limit);
    report(text);
  }
  if (result != nullptr) *result = got;
}

// Every case with any of `uses`, by every implementation, at offsets 0 and 1, on one and on three threads; the two
// thread counts must give the same bits. Returns the number of failures; prints a line per implementation.
inline int run_cases(gk_op op, uint32_t uses = use_selftest | use_conformance) {
  const op_spec &spec = *find_op(op);
  cpu_stream one(1), three(3);
  std::vector<tally> counts(cpu::implementations(op).size());
  for (const op_case &c : cases_of(op)) {
    if ((c.uses & uses) == 0) continue;
    const built_case built = c.build(c);
    const auto want = reference_result(spec, built);
    for (uint32_t i = 1; i <= counts.size(); ++i) {
      std::vector<std::vector<std::byte>> single, several;
      run_case(spec, c, built, want, i, one, 0, counts[i - 1], &single);
      run_case(spec, c, built, want, i, three, 1, counts[i - 1], &several);
      if (single != several && !single.empty() && !several.empty()) {
        ++counts[i - 1].failed;
        std::printf("FAIL %s [%s] %s: three threads or another offset give other bits\n", spec.name,
                    cpu::implementations(op)[i - 1].name, c.name.c_str());
      }
    }
  }
  int failed = 0, run = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    std::printf("%s [%s]: %d run, %d not supported, %d failed\n", spec.name, cpu::implementations(op)[i].name,
                counts[i].run, counts[i].rejected, counts[i].failed);
    failed += counts[i].failed;
    run += counts[i].run;
  }
  if (run == 0) {
    std::printf("FAIL %s: no case was run\n", spec.name);
    ++failed;
  }
  return failed;
}

}  // namespace gonka::test
