// Fills the backend table: devices, streams, buffers, packed operands; dispatch.cu and recording.cu have the rest.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "backend.hpp"
#include "backend_state.hpp"
#include "nvml.hpp"
#include "packed_gemm.hpp"

namespace gonka::cuda {
namespace {

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

gk_status buffer_write(gk_stream *stream, gk_buffer *buffer, uint64_t offset, const void *from, uint64_t size,
                       gk_error *err) {
  stream_state &s = state(stream);
  return guard(&s.device, err, [&] {
    if (s.ctx.records()) return refuse_recording(err);
    if (const gk_status status = check_range("cuda", "write", offset, size, state(buffer).memory.size(), err);
        status != GK_OK)
      return status;
    if (size != 0) runtime::copy_to_device(s.ctx.stream(), at(buffer, offset), from, size);
    return GK_OK;
  });
}

gk_status buffer_read(gk_stream *stream, const gk_buffer *buffer, uint64_t offset, void *to, uint64_t size,
                      gk_error *err) {
  stream_state &s = state(stream);
  return guard(&s.device, err, [&] {
    if (s.ctx.records()) return refuse_recording(err);
    if (const gk_status status = check_range("cuda", "read", offset, size, state(buffer).memory.size(), err);
        status != GK_OK)
      return status;
    if (size != 0) runtime::copy_to_host(s.ctx.stream(), to, at(buffer, offset), size);
    return GK_OK;
  });
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
      if (sources[i]->buffer == nullptr) continue;
      const uint64_t size = state(sources[i]->buffer).memory.size();
      if (const gk_status status = check_range("cuda", "gemm_pack", sources[i]->offset, extent, size, err);
          status != GK_OK)
        return status;
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
