#include "placed_case.hpp"

#include <algorithm>
#include <cstring>

#include "status.hpp"

namespace gonka {

raw_buffer allocate(const gk_backend &table, gk_device *device, uint64_t size) {
  gk_buffer *buffer = nullptr;
  error_report err;
  check(table.buffer_alloc(device, size, &buffer, &err), err,
        std::string(table.name) + ": buffer of " + std::to_string(size) + " bytes");
  check_made(buffer, table, "buffer_alloc");
  return raw_buffer(buffer, {table.buffer_free});
}

raw_stream open_stream(const gk_backend &table, gk_device *device) {
  gk_stream *stream = nullptr;
  error_report err;
  check(table.stream_open(device, &stream, &err), err, std::string(table.name) + ": stream_open");
  check_made(stream, table, "stream_open");
  return raw_stream(stream, {table.stream_close});
}

namespace {

// The operand in whose place operand i lies: itself, unless the case is in place.
size_t home_of(const built_case &problem, size_t i) {
  return problem.same_place.empty() || problem.same_place[i] < 0 ? i : size_t(problem.same_place[i]);
}

}  // namespace

placed_case::placed_case(const gk_backend &table, gk_device *device, gk_stream *stream, built_case &problem,
                         placement where)
    : table_(table), stream_(stream), problem_(problem), where_(where) {
  for (size_t i = 0; i < problem.operands.size(); ++i) {
    gk_ref &ref = *problem.operands[i].ref;
    if (const size_t home = home_of(problem, i); home != i) {
      buffers_.push_back(raw_buffer(nullptr, {table.buffer_free}));
      ref = *problem.operands[home].ref;
      continue;
    }
    if (!problem.present[i]) {
      buffers_.push_back(raw_buffer(nullptr, {table.buffer_free}));
      ref = {};
      continue;
    }
    const uint64_t size = lead_bytes(i) + problem.data[i].size() + where.trail_bytes;
    buffers_.push_back(allocate(table, device, std::max<uint64_t>(size, 1)));
    ref = {buffers_.back().get(), lead_bytes(i)};
  }
}

uint64_t placed_case::lead_bytes(size_t index) const {
  return where_.lead_elements * std::max(1u, dtype_size(problem_.operands[index].dtype));
}

void placed_case::upload(const operand_bytes &data) {
  error_report err;
  for (size_t i = 0; i < buffers_.size(); ++i) {
    if (buffers_[i] == nullptr) continue;
    const uint64_t lead = lead_bytes(i);
    std::vector<std::byte> all(lead + data[i].size() + where_.trail_bytes, k_guard_byte);
    if (all.empty()) continue;
    std::copy(data[i].begin(), data[i].end(), all.begin() + int64_t(lead));
    check(table_.buffer_write(stream_, buffers_[i].get(), 0, all.data(), all.size(), &err), err,
          std::string(table_.name) + ": buffer_write");
  }
}

gk_status placed_case::run(gk_op op, uint32_t implementation, bool dry_run, gk_error *err) {
  auto *header = static_cast<problem_header *>(problem_.problem.get());
  const uint32_t before = header->implementation;
  header->implementation = implementation;
  gk_status status = table_.run(stream_, op, problem_.problem.get(), dry_run ? 1 : 0, err);
  if (status == GK_OK && !dry_run) status = table_.synchronize(stream_, err);
  header->implementation = before;
  return status;
}

const char *placed_case::download(operand_bytes &data) {
  const char *damaged = nullptr;
  error_report err;
  data.assign(buffers_.size(), {});
  for (size_t i = 0; i < buffers_.size(); ++i) {
    if (buffers_[i] == nullptr) continue;
    const uint64_t lead = lead_bytes(i), extent = problem_.data[i].size();
    std::vector<std::byte> all(lead + extent + where_.trail_bytes);
    if (all.empty()) continue;
    check(table_.buffer_read(stream_, buffers_[i].get(), 0, all.data(), all.size(), &err), err,
          std::string(table_.name) + ": buffer_read");
    for (uint64_t at = 0; at < all.size(); ++at)
      if ((at < lead || at >= lead + extent) && all[at] != k_guard_byte && damaged == nullptr)
        damaged = problem_.operands[i].name;
    data[i].resize(extent);
    if (extent != 0) std::memcpy(data[i].data(), all.data() + lead, extent);
  }
  for (size_t i = 0; i < data.size(); ++i)
    if (const size_t home = home_of(problem_, i); home != i) data[i] = data[home];
  return damaged;
}

operand_bytes reference_result(const op_spec &spec, built_case &problem, const operand_bytes &data) {
  operand_bytes result = data;
  // An empty operand that is present still has an address.
  static std::byte nothing[8];
  std::vector<void *> pointers;
  for (size_t i = 0; i < result.size(); ++i) {
    std::vector<std::byte> &place = result[home_of(problem, i)];
    pointers.push_back(!problem.present[i] ? nullptr : place.empty() ? nothing : place.data());
  }
  spec.reference(problem.problem.get(), pointers);
  for (size_t i = 0; i < result.size(); ++i)
    if (const size_t home = home_of(problem, i); home != i) result[i] = result[home];
  return result;
}

operand_bytes poisoned(const built_case &problem, poison_bytes poison) {
  operand_bytes data = problem.data;
  std::vector<bool> read(data.size(), false);
  for (size_t i = 0; i < data.size(); ++i)
    if (problem.operands[i].mode != access::out) read[home_of(problem, i)] = true;
  for (size_t i = 0; i < data.size(); ++i) {
    const operand &o = problem.operands[i];
    if (!problem.present[i] || data[i].empty() || read[home_of(problem, i)]) continue;
    const bool integer = o.dtype == GK_I8 || o.dtype == GK_I32;
    o.for_each_run([&](uint64_t at, uint64_t bytes) {
      std::memset(data[i].data() + at, integer ? poison.integers : poison.floats, bytes);
    });
  }
  return data;
}

int first_illegal_write(const built_case &problem, const operand_bytes &before, const operand_bytes &after,
                        uint64_t *at) {
  for (size_t i = 0; i < before.size(); ++i) {
    if (!problem.present[i] || before[i] == after[i]) continue;
    std::vector<bool> writable(before[i].size(), false);
    for (size_t j = 0; j < before.size(); ++j)
      if (home_of(problem, j) == home_of(problem, i) && problem.operands[j].mode != access::in)
        problem.operands[j].for_each_run(
            [&](uint64_t from, uint64_t bytes) { std::fill_n(writable.begin() + int64_t(from), bytes, true); });
    for (uint64_t byte = 0; byte < before[i].size(); ++byte)
      if (!writable[byte] && before[i][byte] != after[i][byte]) {
        *at = byte;
        return int(i);
      }
  }
  return -1;
}

}  // namespace gonka
