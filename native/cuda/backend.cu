// Fills the backend table; the only place where exceptions of this backend stop. A device whose context the driver has
// given up is marked lost, and every later call on it fails at once.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "backend.hpp"
#include "implementation.hpp"
#include "newer_fields.hpp"
#include "nvml.hpp"
#include "packed_gemm.hpp"
#include "tuning.hpp"

namespace gonka::cuda {
namespace {

// What the opaque handles of the ABI point to. Names differ from the ABI's, which other backends define for themselves.
struct device_state {
  uint32_t index;
  device_description description;
  std::atomic<bool> lost{false};
  tuning tuned;
};

struct recording_state {
  device_state &device;
  recorded_memory memory;
  runtime::recording *steps = nullptr;
  ~recording_state() { runtime::release(steps); }
};

struct stream_state {
  stream_state(device_state &d) : device(d), ctx(d.index, d.description.can) {}
  device_state &device;
  context ctx;
  std::unique_ptr<recording_state> recording;  // while recording
  gk_status recording_failed = GK_OK;          // first failure of an op since it began
};

struct buffer_state {
  device_state &device;
  device_memory memory;
};

device_state &state(gk_device *d) {
  return *reinterpret_cast<device_state *>(d);
}
stream_state &state(gk_stream *s) {
  return *reinterpret_cast<stream_state *>(s);
}
buffer_state &state(const gk_buffer *b) {
  return *reinterpret_cast<buffer_state *>(const_cast<gk_buffer *>(b));
}

recording_state &state(gk_recording *r) {
  return *reinterpret_cast<recording_state *>(r);
}

template <class F>
gk_status guard(device_state *device, gk_error *err, F &&body) noexcept {
  try {
    if (device != nullptr && device->lost)
      return fail(err, GK_DEVICE_LOST,
                  "cuda: device %u was lost by an earlier error; close it, and restart the process if it does not open "
                  "anew",
                  device->index);
    return body();
  } catch (const device_error &e) {
    if (e.status == GK_DEVICE_LOST && device != nullptr) device->lost = true;
    fail(err, e.status, "cuda: %s", e.what());
    if (err != nullptr && GK_HAS(err, gk_error, native_code)) err->native_code = e.native_code;
    return e.status;
  } catch (const std::bad_alloc &) {
    return fail(err, GK_OUT_OF_MEMORY, "cuda: out of host memory");
  } catch (const std::exception &e) {
    return fail(err, GK_INTERNAL, "cuda: %s", e.what());
  } catch (...) {
    return fail(err, GK_INTERNAL, "cuda: unknown exception");
  }
}

// 0 devices is an answer, not an error; err then says why.
gk_status device_count(uint32_t *count, gk_error *err) {
  *count = 0;
  return guard(nullptr, err, [&] {
    std::string why;
    *count = runtime::device_count(&why);
    if (*count == 0) fail(err, GK_OK, "cuda: %s", why.c_str());
    return GK_OK;
  });
}

gk_status device_open(uint32_t index, const gk_device_options *, gk_device **out, gk_error *err) {
  return guard(nullptr, err, [&] {
    std::string why;
    const uint32_t count = runtime::device_count(&why);
    if (count == 0) return fail(err, GK_DEVICE_ERROR, "cuda: %s", why.c_str());
    if (index >= count)
      return fail(err, GK_INVALID_ARGUMENT, "cuda: device %u does not exist; there %s %u", index,
                  count == 1 ? "is only" : "are", count);
    auto device = std::make_unique<device_state>();
    device->index = index;
    device->description = runtime::describe(index);
    *out = reinterpret_cast<gk_device *>(device.release());
    return GK_OK;
  });
}

void device_close(gk_device *device) {
  delete reinterpret_cast<device_state *>(device);
}

gk_status device_info(gk_device *device, gk_device_info *info, gk_error *err) {
  device_state &d = state(device);
  return guard(&d, err, [&] {
    const device_description now = runtime::describe(d.index);
    gk_device_info full{};
    full.struct_size = info->struct_size;
    std::snprintf(full.name, sizeof full.name, "%s", now.name.c_str());
    std::snprintf(full.arch, sizeof full.arch, "sm_%u", now.can.compute_capability);
    std::snprintf(full.driver, sizeof full.driver, "%s", now.driver.c_str());
    std::snprintf(full.unique_id, sizeof full.unique_id, "%s", now.unique_id.c_str());
    full.memory_bytes = now.memory_bytes;
    full.memory_free_bytes = now.memory_free_bytes;
    full.compute_units = now.can.multiprocessors;
    // F8 operands are widened to F16, exactly, and multiplied there: 24 bits where the F8 units would keep 14.
    const gk_format formats[] = {{GK_F32, 24}, {GK_F16, 24},     {GK_BF16, 24},
                                 {GK_I8, 32},  {GK_F8_E4M3, 24}, {GK_F8_E5M2, 24}};
    full.format_count = sizeof formats / sizeof *formats;
    std::memcpy(full.formats, formats, sizeof formats);
    std::memcpy(info, &full, info->struct_size < sizeof full ? info->struct_size : sizeof full);
    return GK_OK;
  });
}

gk_status stream_open(gk_device *device, gk_stream **out, gk_error *err) {
  device_state &d = state(device);
  return guard(&d, err, [&] {
    *out = reinterpret_cast<gk_stream *>(new stream_state(d));
    return GK_OK;
  });
}

void stream_close(gk_stream *stream) {
  delete reinterpret_cast<stream_state *>(stream);
}

gk_status refuse_recording(gk_error *err) {
  return fail(err, GK_INVALID_ARGUMENT, "cuda: the stream records ops; only run and record_end may be called");
}

gk_status synchronize(gk_stream *stream, gk_error *err) {
  stream_state &s = state(stream);
  return guard(&s.device, err, [&] {
    if (s.ctx.records()) return refuse_recording(err);
    runtime::synchronize(s.ctx.stream());
    return GK_OK;
  });
}

gk_status buffer_alloc(gk_device *device, uint64_t size, gk_buffer **out, gk_error *err) {
  device_state &d = state(device);
  return guard(&d, err, [&] {
    if (size == 0 || size > uint64_t(1) << 46)
      return fail(err, GK_INVALID_ARGUMENT, "cuda: buffer of %llu bytes", static_cast<unsigned long long>(size));
    *out = reinterpret_cast<gk_buffer *>(new buffer_state{d, device_memory(d.index, size)});
    return GK_OK;
  });
}

void buffer_free(gk_buffer *buffer) {
  delete reinterpret_cast<buffer_state *>(buffer);
}

bool inside(const gk_buffer *buffer, uint64_t offset, uint64_t size) {
  const uint64_t have = state(buffer).memory.size();
  return offset <= have && size <= have - offset;
}

gk_status out_of_range(const gk_buffer *buffer, const char *what, uint64_t offset, uint64_t size, gk_error *err) {
  return fail(err, GK_INVALID_ARGUMENT, "cuda: %s needs bytes [%llu, %llu) of a buffer of %llu", what,
              static_cast<unsigned long long>(offset), static_cast<unsigned long long>(offset + size),
              static_cast<unsigned long long>(state(buffer).memory.size()));
}

char *at(const gk_buffer *buffer, uint64_t offset) {
  return static_cast<char *>(state(buffer).memory.data()) + offset;
}

gk_status buffer_write(gk_stream *stream, gk_buffer *buffer, uint64_t offset, const void *from, uint64_t size,
                       gk_error *err) {
  stream_state &s = state(stream);
  return guard(&s.device, err, [&] {
    if (s.ctx.records()) return refuse_recording(err);
    if (!inside(buffer, offset, size)) return out_of_range(buffer, "write", offset, size, err);
    if (size != 0) runtime::copy_to_device(s.ctx.stream(), at(buffer, offset), from, size);
    return GK_OK;
  });
}

gk_status buffer_read(gk_stream *stream, const gk_buffer *buffer, uint64_t offset, void *to, uint64_t size,
                      gk_error *err) {
  stream_state &s = state(stream);
  return guard(&s.device, err, [&] {
    if (s.ctx.records()) return refuse_recording(err);
    if (!inside(buffer, offset, size)) return out_of_range(buffer, "read", offset, size, err);
    if (size != 0) runtime::copy_to_host(s.ctx.stream(), to, at(buffer, offset), size);
    return GK_OK;
  });
}

// Every op struct begins so.
struct problem_header {
  uint32_t struct_size;
  uint32_t implementation;
};

// Why not, or null. operands is null in a dry run.
const char *refusal(const implementation &candidate, const void *problem, const capability &can,
                    const std::vector<void *> *operands) {
  if (const char *reason = candidate.reject(problem, can)) return reason;
  if (operands == nullptr || candidate.reject_places == nullptr) return nullptr;
  return candidate.reject_places(problem, *operands);
}

const implementation *pick(const op_spec &spec, const void *problem, const capability &can,
                           const std::vector<void *> *operands, gk_error *err) {
  const auto list = implementations(spec.op);
  const uint32_t wanted = static_cast<const problem_header *>(problem)->implementation;
  if (wanted > list.size()) {
    fail(err, GK_UNSUPPORTED, "%s: the cuda backend has no implementation %u", spec.name, wanted);
    return nullptr;
  }
  const char *reason = "no implementation";
  const implementation *capable = nullptr;
  for (size_t i = wanted == 0 ? 0 : wanted - 1; i < (wanted == 0 ? list.size() : wanted); ++i) {
    reason = refusal(list[i], problem, can, operands);
    if (reason == nullptr) {
      if (capable == nullptr) capable = &list[i];
      if (wanted != 0 || list[i].slower == nullptr || list[i].slower(problem, can) == nullptr) return &list[i];
      continue;
    }
    if (capable != nullptr) continue;
    fail(err, GK_UNSUPPORTED, "%s: %s: %s", spec.name, list[i].name, reason);
  }
  if (capable != nullptr) return capable;
  if (list.empty()) fail(err, GK_UNSUPPORTED, "%s: %s", spec.name, reason);
  return nullptr;
}

gk_status resolve(const op_spec &spec, const std::vector<operand> &operands, std::vector<void *> &pointers,
                  gk_error *err) {
  for (const operand &o : operands) {
    const uint64_t extent = o.extent_bytes();
    if (o.ref->buffer == nullptr) {
      if (o.required && extent != 0)
        return fail(err, GK_INVALID_ARGUMENT, "%s: operand %s is absent; expected a buffer", spec.name, o.name);
      pointers.push_back(nullptr);
      continue;
    }
    if (!inside(o.ref->buffer, o.ref->offset, extent)) {
      char what[96];
      std::snprintf(what, sizeof what, "%s: operand %s", spec.name, o.name);
      return out_of_range(o.ref->buffer, what, o.ref->offset, extent, err);
    }
    const uint32_t size = dtype_size(o.dtype);
    if (size != 0 && o.ref->offset % size != 0)
      return fail(err, GK_INVALID_ARGUMENT, "%s: operand %s at offset %llu is not aligned to its element size %u",
                  spec.name, o.name, static_cast<unsigned long long>(o.ref->offset), size);
    pointers.push_back(at(o.ref->buffer, o.ref->offset));
  }
  return GK_OK;
}

bool placed(const std::vector<operand> &operands) {
  return std::all_of(operands.begin(), operands.end(),
                     [](const operand &o) { return o.ref->buffer != nullptr || !o.required || o.extent_bytes() == 0; });
}

gk_status run(gk_stream *stream, uint32_t op, void *problem, int dry_run, gk_error *err) {
  stream_state &s = state(stream);
  return guard(&s.device, err, [&]() -> gk_status {
    const op_spec *spec = find_op(op);
    if (spec == nullptr) return fail(err, GK_UNSUPPORTED, "cuda: unknown op %u", op);
    if (!knows_all_fields(*spec, problem))
      return fail(err, GK_UNSUPPORTED, "%s: unknown fields of a newer host are set", spec->name);
    if (const gk_status status = spec->validate(problem, err); status != GK_OK) return status;
    const capability &can = s.device.description.can;
    gk_gemm plain;
    if (op == GK_OP_GEMM && static_cast<const gk_gemm *>(problem)->b_packed != 0) {
      if (!unpacked(*static_cast<const gk_gemm *>(problem), &plain))
        return fail(err, GK_INVALID_ARGUMENT, "gemm: b is packed, and no pack of that size exists");
      problem = &plain;
    }
    const std::vector<operand> operands = spec->operands(problem);
    // A dry run may come without operands; where they are there, their alignment is part of the answer.
    if (dry_run != 0 && !placed(operands)) {
      return pick(*spec, problem, can, nullptr, err) == nullptr ? GK_UNSUPPORTED : GK_OK;
    }
    std::vector<void *> pointers;
    if (const gk_status status = resolve(*spec, operands, pointers, err); status != GK_OK) return status;
    const implementation *chosen = pick(*spec, problem, can, &pointers, err);
    if (chosen == nullptr) return GK_UNSUPPORTED;
    if (dry_run != 0) return GK_OK;
    try {
      runtime::make_current(s.ctx.stream());
      s.ctx.take_variant(s.device.tuned.variant_for(*spec, *chosen, problem, pointers, s.ctx));
      chosen->run(problem, pointers, s.ctx);
    } catch (const device_error &e) {
      // Part of the op may be recorded.
      if (s.ctx.records()) s.recording_failed = e.status;
      throw;
    }
    return GK_OK;
  });
}

uint32_t choice(gk_stream *stream, uint32_t op, void *problem) {
  stream_state &s = state(stream);
  uint32_t index = 0;
  guard(&s.device, nullptr, [&]() -> gk_status {
    const op_spec *spec = find_op(op);
    if (spec == nullptr || spec->validate(problem, nullptr) != GK_OK) return GK_UNSUPPORTED;
    gk_gemm plain;
    if (op == GK_OP_GEMM && static_cast<const gk_gemm *>(problem)->b_packed != 0) {
      if (!unpacked(*static_cast<const gk_gemm *>(problem), &plain)) return GK_UNSUPPORTED;
      problem = &plain;
    }
    const std::vector<operand> operands = spec->operands(problem);
    std::vector<void *> pointers;
    const bool there = placed(operands) && resolve(*spec, operands, pointers, nullptr) == GK_OK;
    const capability &can = s.device.description.can;
    const implementation *chosen = pick(*spec, problem, can, there ? &pointers : nullptr, nullptr);
    if (chosen != nullptr) index = uint32_t(chosen - implementations(op).data()) + 1;
    return GK_OK;
  });
  return index;
}

gk_status gemm_pack(gk_stream *stream, const gk_gemm_pack *pack, gk_buffer **out, gk_error *err) {
  stream_state &s = state(stream);
  return guard(&s.device, err, [&]() -> gk_status {
    if (s.ctx.records()) return refuse_recording(err);
    if (const gk_status status = gemm_pack_validate(*pack, err); status != GK_OK) return status;
    const bool pair = pack->epilogue == GK_EPILOGUE_SWIGLU;
    const packed_layout layout = layout_of_pack(pack->n, pack->k, pack->b_type, pair);
    const uint64_t from_stride = uint64_t(pack->ldb) * dtype_size(pack->b_type);
    if (layout.too_large || std::max(from_stride, layout.stride_bytes) > runtime::k_largest_row_stride)
      return fail(err, GK_UNSUPPORTED, "gemm_pack: %lld x %lld is too large", static_cast<long long>(pack->n),
                  static_cast<long long>(pack->k));
    const uint64_t extent = layout.size == 0 ? 0 : uint64_t(pack->n - 1) * from_stride + layout.row_bytes;
    const gk_ref *const sources[] = {&pack->b, &pack->b2};
    for (int i = 0; i <= int(pair); ++i) {
      if (extent != 0 && sources[i]->buffer == nullptr)
        return fail(err, GK_INVALID_ARGUMENT, "gemm_pack: operand %s is absent; expected a buffer",
                    i == 0 ? "b" : "b2");
      if (sources[i]->buffer != nullptr && !inside(sources[i]->buffer, sources[i]->offset, extent))
        return out_of_range(sources[i]->buffer, "gemm_pack", sources[i]->offset, extent, err);
    }
    auto made = std::make_unique<buffer_state>(
        buffer_state{s.device, device_memory(s.device.index, std::max<uint64_t>(layout.size, 1))});
    for (int i = 0; extent != 0 && i <= int(pair); ++i)
      runtime::copy_rows(s.ctx.stream(), static_cast<char *>(made->memory.data()) + uint64_t(i) * layout.matrix_bytes,
                         layout.stride_bytes, at(sources[i]->buffer, sources[i]->offset), from_stride, layout.row_bytes,
                         uint64_t(pack->n));
    *out = reinterpret_cast<gk_buffer *>(made.release());
    return GK_OK;
  });
}

gk_status record_begin(gk_stream *stream, gk_error *err) {
  stream_state &s = state(stream);
  return guard(&s.device, err, [&] {
    if (s.ctx.records()) return refuse_recording(err);
    auto made = std::make_unique<recording_state>(s.device);
    runtime::record_begin(s.ctx.stream());
    s.recording = std::move(made);
    s.recording_failed = GK_OK;
    s.ctx.record_into(&s.recording->memory);
    return GK_OK;
  });
}

gk_status record_end(gk_stream *stream, gk_recording **out, gk_error *err) {
  stream_state &s = state(stream);
  *out = nullptr;
  const auto stop = [&] {
    s.ctx.record_into(nullptr);
    return std::move(s.recording);
  };
  const gk_status status = guard(&s.device, err, [&] {
    if (!s.ctx.records()) return fail(err, GK_INVALID_ARGUMENT, "cuda: the stream does not record");
    auto made = stop();
    if (s.recording_failed != GK_OK) {
      runtime::record_cancel(s.ctx.stream());
      return fail(err, s.recording_failed, "cuda: an op could not be recorded");
    }
    made->steps = runtime::record_end(s.ctx.stream());
    *out = reinterpret_cast<gk_recording *>(made.release());
    return GK_OK;
  });
  if (s.ctx.records()) {  // the device was lost in between
    runtime::record_cancel(s.ctx.stream());
    stop();
  }
  return status;
}

gk_status replay(gk_stream *stream, gk_recording *recording, gk_error *err) {
  stream_state &s = state(stream);
  return guard(&s.device, err, [&] {
    if (s.ctx.records()) return refuse_recording(err);
    runtime::replay(s.ctx.stream(), state(recording).steps);
    return GK_OK;
  });
}

gk_status tuning_export(gk_device *device, char *text, uint64_t room, uint64_t *size, gk_error *err) {
  return guard(nullptr, err, [&] {
    const std::string all = state(device).tuned.text();
    *size = all.size();
    std::memcpy(text, all.data(), size_t(std::min<uint64_t>(room, all.size())));
    return GK_OK;
  });
}

gk_status tuning_import(gk_device *device, const char *text, uint64_t size, gk_error *err) {
  return guard(nullptr, err, [&] {
    if (state(device).tuned.take(std::string_view(text, size_t(size)))) return GK_OK;
    return fail(err, GK_INVALID_ARGUMENT, "cuda: not the text that tuning_export gives");
  });
}

void recording_free(gk_recording *recording) {
  delete reinterpret_cast<recording_state *>(recording);
}

// Not guarded by the device's being lost: what the driver says then is what one wants to know.
gk_status device_telemetry(gk_device *device, gk_telemetry *out, gk_error *err) {
  return guard(nullptr, err, [&] {
    gk_telemetry full{};
    read_telemetry(state(device).description, full);
    full.struct_size = out->struct_size;
    std::memcpy(out, &full, out->struct_size < sizeof full ? out->struct_size : sizeof full);
    return GK_OK;
  });
}

const char *implementation_name(gk_device *, uint32_t op, uint32_t index) {
  const auto list = implementations(op);
  return index < list.size() ? list[index].name : nullptr;
}

}  // namespace

void *context::scratch(uint32_t slot, uint64_t bytes) {
  if (recording_ != nullptr) {
    // The next recorded op that asks for the slot runs after this one: they share.
    for (const recorded_memory::block &known : recording_->scratch)
      if (known.slot == slot &&
          (runtime::k_exact_scratch ? known.memory.size() == bytes : known.memory.size() >= bytes))
        return known.memory.data();
    recording_->scratch.push_back({slot, device_memory(device_, bytes)});
    return recording_->scratch.back().memory.data();
  }
  if (slots_.size() <= slot) slots_.resize(slot + 1);
  device_memory &memory = slots_[slot];
  if (runtime::k_exact_scratch ? memory.size() != bytes : memory.size() < bytes) {
    runtime::synchronize(stream_);  // queued work may still use the old one
    memory = device_memory();
    memory = device_memory(device_, bytes);
  }
  return memory.data();
}

void context::free_scratch(uint32_t first) {
  if (slots_.size() <= first) return;
  runtime::synchronize(stream_);
  slots_.resize(first);
}

void *context::upload(uint32_t slot, const void *from, uint64_t bytes) {
  if (recording_ != nullptr) {
    recording_->constants.emplace_back(device_, bytes);
    void *const constant = recording_->constants.back().data();
    runtime::copy_to_device_now(device_, constant, from, bytes);
    return constant;
  }
  void *to = scratch(slot, bytes);
  runtime::copy_to_device(stream_, to, from, bytes);
  return to;
}

std::span<const implementation> implementations(uint32_t op) noexcept {
  switch (op) {
    case GK_OP_GEMM:
      return gemm_list();
    case GK_OP_ATTENTION:
      return attention_list();
    case GK_OP_MATMUL_POW:
      return matmul_pow_list();
    case GK_OP_SHA256_SEARCH:
      return sha256_search_list();
    case GK_OP_NORMAL_FILL:
      return normal_fill_list();
    case GK_OP_RMS_NORM:
      return rms_norm_list();
    case GK_OP_ROPE:
      return rope_list();
    case GK_OP_SILU_MUL:
      return silu_mul_list();
    case GK_OP_HOUSEHOLDER:
      return householder_list();
    case GK_OP_GATHER:
      return gather_list();
    case GK_OP_L2_NORMALIZE:
      return l2_normalize_list();
    case GK_OP_PERMUTED_DISTANCE:
      return permuted_distance_list();
    default:
      return {};
  }
}

const gk_backend &backend() {
  static const gk_backend table = {
      .struct_size = sizeof(gk_backend),
      .abi_major = GK_ABI_MAJOR,
      .abi_minor = GK_ABI_MINOR,
      .reserved = 0,
#if defined(GONKA_CUDA_PEER)
      .name = GONKA_CUDA_PEER,
#elif defined(__CUDACC__)
      .name = "cuda",
#else
      .name = "cuda-emulated",
#endif
      .version = "0.1.0",
      .device_count = device_count,
      .device_open = device_open,
      .device_close = device_close,
      .device_info = device_info,
      .stream_open = stream_open,
      .stream_close = stream_close,
      .synchronize = synchronize,
      .buffer_alloc = buffer_alloc,
      .buffer_free = buffer_free,
      .buffer_write = buffer_write,
      .buffer_read = buffer_read,
      .run = run,
      .implementation = implementation_name,
      .buffer_pointer = nullptr,
      .gemm_pack = gemm_pack,
      .device_telemetry = device_telemetry,
      .record_begin = record_begin,
      .record_end = record_end,
      .replay = replay,
      .recording_free = recording_free,
      .tuning_export = tuning_export,
      .tuning_import = tuning_import,
      .choice = choice,
  };
  return table;
}

}  // namespace gonka::cuda

#if defined(__CUDACC__)
extern "C" __attribute__((visibility("default"))) const gk_backend *gk_backend_entry(uint32_t host_abi_major) {
  return host_abi_major == GK_ABI_MAJOR ? &gonka::cuda::backend() : nullptr;
}
#endif
