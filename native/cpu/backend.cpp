// Fills the backend table; the only place where exceptions of the CPU backend stop. Streams run work at once, in the
// calling thread and the device's pool.
#include "backend.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <vector>

#include "features.hpp"
#include "gemm/gemm.hpp"
#include "implementation.hpp"
#include "memory.hpp"
#include "newer_fields.hpp"
#include "operand_places.hpp"
#include "thread_pool.hpp"

struct gk_device {
  explicit gk_device(uint32_t threads) : pool(threads) {}
  gonka::cpu::thread_pool pool;
};

struct gk_stream {
  gk_device *device;
};

struct gk_buffer {
  void *data;
  uint64_t size;
};

namespace gonka::cpu {
namespace {

constexpr uint64_t k_alignment = 64;
constexpr uint64_t k_huge_page = uint64_t(2) << 20;

template <class F>
gk_status guard(gk_error *err, F &&body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return fail(err, GK_OUT_OF_MEMORY, "cpu: out of memory");
  } catch (const std::exception &e) {
    return fail(err, GK_INTERNAL, "cpu: %s", e.what());
  } catch (...) {
    return fail(err, GK_INTERNAL, "cpu: unknown exception");
  }
}

gk_status device_count(uint32_t *count, gk_error *) {
  *count = 1;
  return GK_OK;
}

gk_status device_open(uint32_t index, const gk_device_options *options, gk_device **out, gk_error *err) {
  return guard(err, [&] {
    if (index != 0)
      return fail(err, GK_INVALID_ARGUMENT, "cpu: device %u does not exist; there is only device 0", index);
    const uint32_t threads = options != nullptr && GK_HAS(options, gk_device_options, threads) ? options->threads : 0;
    if (threads > 4096) return fail(err, GK_INVALID_ARGUMENT, "cpu: %u threads; expected at most 4096", threads);
    *out = new gk_device(threads);
    return GK_OK;
  });
}

void device_close(gk_device *device) {
  delete device;
}

gk_status device_info(gk_device *device, gk_device_info *info, gk_error *err) {
  return guard(err, [&] {
    gk_device_info full{};
    full.struct_size = info->struct_size;
    const features &f = this_cpu();
    std::snprintf(full.name, sizeof full.name, "%s", f.model.empty() ? "CPU" : f.model.c_str());
#if defined(__x86_64__)
    std::snprintf(full.arch, sizeof full.arch, "x86-64 %s", describe(f).c_str());
#elif defined(__aarch64__)
    std::snprintf(full.arch, sizeof full.arch, "aarch64 %s", describe(f).c_str());
#else
    std::snprintf(full.arch, sizeof full.arch, "%s", describe(f).c_str());
#endif
    const memory_limits memory = memory_now();
    full.memory_bytes = memory.total;
    full.memory_free_bytes = memory.available;
    full.compute_units = usable_cpus();
    full.threads = device->pool.size();
    const gk_format formats[] = {{GK_F32, 24}, {GK_F16, 24},     {GK_BF16, 24},
                                 {GK_I8, 32},  {GK_F8_E4M3, 24}, {GK_F8_E5M2, 24}};
    full.format_count = sizeof formats / sizeof *formats;
    std::memcpy(full.formats, formats, sizeof formats);
    std::memcpy(info, &full, info->struct_size < sizeof full ? info->struct_size : sizeof full);
    return GK_OK;
  });
}

gk_status stream_open(gk_device *device, gk_stream **out, gk_error *err) {
  return guard(err, [&] {
    *out = new gk_stream{device};
    return GK_OK;
  });
}

void stream_close(gk_stream *stream) {
  delete stream;
}

gk_status synchronize(gk_stream *, gk_error *) {
  return GK_OK;
}

gk_status allocate(uint64_t size, gk_buffer **out, gk_error *err) {
  if (size == 0 || size > (uint64_t(1) << 46))
    return fail(err, GK_INVALID_ARGUMENT, "cpu: buffer of %llu bytes", static_cast<unsigned long long>(size));
  // Large buffers on huge pages: packed weights are streamed, and a TLB miss every 4 kB costs more than the load.
  const uint64_t alignment = size >= k_huge_page ? k_huge_page : k_alignment;
  void *data = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (data == nullptr)
    return fail(err, GK_OUT_OF_MEMORY, "cpu: no memory for a buffer of %llu bytes",
                static_cast<unsigned long long>(size));
  if (alignment == k_huge_page) madvise(data, size, MADV_HUGEPAGE);
  gk_buffer *buffer = new (std::nothrow) gk_buffer{data, size};
  if (buffer == nullptr) {
    std::free(data);
    return fail(err, GK_OUT_OF_MEMORY, "cpu: out of memory");
  }
  *out = buffer;
  return GK_OK;
}

gk_status buffer_alloc(gk_device *, uint64_t size, gk_buffer **out, gk_error *err) {
  return allocate(size, out, err);
}

void buffer_free(gk_buffer *buffer) {
  if (buffer == nullptr) return;
  std::free(buffer->data);
  delete buffer;
}

buffer_memory memory_of(const gk_buffer *buffer) {
  return {buffer->data, buffer->size};
}

gk_status buffer_write(gk_stream *, gk_buffer *buffer, uint64_t offset, const void *from, uint64_t size,
                       gk_error *err) {
  if (const gk_status status = check_range("cpu", "write", offset, size, buffer->size, err); status != GK_OK)
    return status;
  std::memcpy(static_cast<char *>(buffer->data) + offset, from, size);
  return GK_OK;
}

gk_status buffer_read(gk_stream *, const gk_buffer *buffer, uint64_t offset, void *to, uint64_t size, gk_error *err) {
  if (const gk_status status = check_range("cpu", "read", offset, size, buffer->size, err); status != GK_OK)
    return status;
  std::memcpy(to, static_cast<const char *>(buffer->data) + offset, size);
  return GK_OK;
}

// Why this implementation cannot run the problem, or null. places is null in a dry run, where operands may be absent.
const char *refusal(const implementation &candidate, const void *problem, const operand_places *places) {
  if (const char *reason = candidate.reject(problem, this_cpu())) return reason;
  if (places == nullptr || candidate.reject_operands == nullptr) return nullptr;
  return candidate.reject_operands(problem, places->pointers, places->sizes);
}

// The implementation that will run the problem, or null with the reasons in *err.
const implementation *pick(const op_spec &spec, const void *problem, const operand_places *places, gk_error *err) {
  const auto list = implementations(spec.op);
  const uint32_t wanted = static_cast<const problem_header *>(problem)->implementation;
  if (wanted != 0) {
    if (wanted > list.size()) {
      fail(err, GK_UNSUPPORTED, "%s: the cpu backend has no implementation %u", spec.name, wanted);
      return nullptr;
    }
    const implementation &chosen = list[wanted - 1];
    if (const char *reason = refusal(chosen, problem, places)) {
      fail(err, GK_UNSUPPORTED, "%s: %s: %s", spec.name, chosen.name, reason);
      return nullptr;
    }
    return &chosen;
  }
  const char *last_reason = "no implementation";
  for (const implementation &candidate : list) {
    last_reason = refusal(candidate, problem, places);
    if (last_reason == nullptr) return &candidate;
  }
  fail(err, GK_UNSUPPORTED, "%s: %s", spec.name, last_reason);
  return nullptr;
}

gk_status run(gk_stream *stream, uint32_t op, void *problem, int dry_run, gk_error *err) {
  return guard(err, [&]() -> gk_status {
    const op_spec *spec = find_op(op);
    if (spec == nullptr) return fail(err, GK_UNSUPPORTED, "cpu: unknown op %u", op);
    if (!knows_all_fields(*spec, problem))
      return fail(err, GK_UNSUPPORTED, "%s: unknown fields of a newer host are set", spec->name);
    if (const gk_status status = spec->validate(problem, err); status != GK_OK) return status;
    if (dry_run != 0) return pick(*spec, problem, nullptr, err) == nullptr ? GK_UNSUPPORTED : GK_OK;
    operand_places places;
    if (const gk_status status = place_operands("cpu", *spec, spec->operands(problem), memory_of, places, err);
        status != GK_OK)
      return status;
    if (spec->check_operands != nullptr)
      if (const gk_status status = spec->check_operands(problem, places.pointers, err); status != GK_OK) return status;
    const implementation *chosen = pick(*spec, problem, &places, err);
    if (chosen == nullptr) return GK_UNSUPPORTED;
    context ctx{stream->device->pool, this_cpu()};
    chosen->run(problem, places.pointers, ctx);
    return GK_OK;
  });
}

const char *implementation_name(gk_device *, uint32_t op, uint32_t index) {
  const auto list = implementations(op);
  return index < list.size() ? list[index].name : nullptr;
}

void *buffer_pointer(gk_buffer *buffer) {
  return buffer->data;
}

gk_status gemm_pack(gk_stream *stream, const gk_gemm_pack *pack, gk_buffer **out, gk_error *err) {
  return guard(err, [&]() -> gk_status {
    if (const gk_status status = gemm_pack_validate(*pack, err); status != GK_OK) return status;
    const char *reason = nullptr;
    const uint64_t size = gemm_pack_size(*pack, this_cpu(), &reason);
    if (size == 0) return fail(err, GK_UNSUPPORTED, "gemm_pack: %s", reason);
    const uint64_t extent =
        pack->n == 0 || pack->k == 0 ? 0 : (uint64_t(pack->n - 1) * pack->ldb + pack->k) * dtype_size(pack->b_type);
    if (extent != 0 && pack->b.buffer == nullptr)
      return fail(err, GK_INVALID_ARGUMENT, "gemm_pack: operand b is absent; expected a buffer");
    if (extent != 0 && pack->epilogue == GK_EPILOGUE_SWIGLU && pack->b2.buffer == nullptr)
      return fail(err, GK_INVALID_ARGUMENT, "gemm_pack: operand b2 is absent; the swiglu epilogue needs it");
    for (const gk_ref *ref : {&pack->b, &pack->b2})
      if (ref->buffer != nullptr)
        if (const gk_status status = check_range("cpu", "gemm_pack", ref->offset, extent, ref->buffer->size, err);
            status != GK_OK)
          return status;
    if (const gk_status status = allocate(size, out, err); status != GK_OK) return status;
    const auto address = [](const gk_ref &ref) -> const void * {
      return ref.buffer == nullptr ? nullptr : static_cast<const char *>(ref.buffer->data) + ref.offset;
    };
    context ctx{stream->device->pool, this_cpu()};
    gemm_pack_into(*pack, address(pack->b), address(pack->b2), (*out)->data, ctx);
    return GK_OK;
  });
}

}  // namespace

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
      .name = "cpu",
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
      .buffer_pointer = buffer_pointer,
      .gemm_pack = gemm_pack,
      .device_telemetry = nullptr,
      .record_begin = nullptr,
      .record_end = nullptr,
      .replay = nullptr,
      .recording_free = nullptr,
      .tuning_export = nullptr,
      .tuning_import = nullptr,
      .choice = nullptr,
  };
  return table;
}

}  // namespace gonka::cpu
