/* A backend built against an older, shorter header: gemm in f32 and nothing else. */
#include <stdlib.h>
#include <string.h>

#include "older/gonka_backend.h"

struct gk_device {
  int unused;
};
struct gk_stream {
  int unused;
};
struct gk_buffer {
  unsigned char *data;
  uint64_t size;
};

static gk_status answer(gk_error *err, gk_status status, const char *message) {
  if (err != NULL && GK_HAS(err, gk_error, message)) {
    err->status = status;
    err->native_code = 0;
    strncpy(err->message, message, sizeof err->message - 1);
    err->message[sizeof err->message - 1] = '\0';
  }
  return status;
}

static gk_status device_count(uint32_t *count, gk_error *err) {
  (void)err;
  *count = 1;
  return GK_OK;
}

static gk_status device_open(uint32_t index, const gk_device_options *options, gk_device **out, gk_error *err) {
  (void)options;
  if (index != 0) return answer(err, GK_INVALID_ARGUMENT, "older: there is one device");
  *out = calloc(1, sizeof **out);
  return *out == NULL ? answer(err, GK_OUT_OF_MEMORY, "older: out of memory") : GK_OK;
}

static void device_close(gk_device *device) {
  free(device);
}

static gk_status device_info(gk_device *device, gk_device_info *out, gk_error *err) {
  (void)device, (void)err;
  gk_device_info info;
  memset(&info, 0, sizeof info);
  info.struct_size = out->struct_size;
  strcpy(info.name, "Older accelerator");
  info.formats[0] = (gk_format){GK_F32, 24};
  info.format_count = 1;
  memcpy(out, &info, out->struct_size < sizeof info ? out->struct_size : sizeof info);
  return GK_OK;
}

static gk_status stream_open(gk_device *device, gk_stream **out, gk_error *err) {
  (void)device;
  *out = calloc(1, sizeof **out);
  return *out == NULL ? answer(err, GK_OUT_OF_MEMORY, "older: out of memory") : GK_OK;
}

static void stream_close(gk_stream *stream) {
  free(stream);
}

static gk_status synchronize(gk_stream *stream, gk_error *err) {
  (void)stream, (void)err;
  return GK_OK;
}

static gk_status buffer_alloc(gk_device *device, uint64_t size, gk_buffer **out, gk_error *err) {
  (void)device;
  gk_buffer *buffer = malloc(sizeof *buffer);
  unsigned char *data = size > SIZE_MAX - 64 ? NULL : aligned_alloc(64, ((size_t)size + 63) / 64 * 64);
  if (buffer == NULL || data == NULL) {
    free(buffer);
    free(data);
    return answer(err, GK_OUT_OF_MEMORY, "older: out of memory");
  }
  *buffer = (gk_buffer){data, size};
  *out = buffer;
  return GK_OK;
}

static void buffer_free(gk_buffer *buffer) {
  if (buffer == NULL) return;
  free(buffer->data);
  free(buffer);
}

static gk_status buffer_write(gk_stream *stream, gk_buffer *to, uint64_t offset, const void *from, uint64_t size,
                              gk_error *err) {
  (void)stream;
  if (offset > to->size || size > to->size - offset) return answer(err, GK_INVALID_ARGUMENT, "older: out of range");
  memcpy(to->data + offset, from, (size_t)size);
  return GK_OK;
}

static gk_status buffer_read(gk_stream *stream, const gk_buffer *from, uint64_t offset, void *to, uint64_t size,
                             gk_error *err) {
  (void)stream;
  if (offset > from->size || size > from->size - offset) return answer(err, GK_INVALID_ARGUMENT, "older: out of range");
  memcpy(to, from->data + offset, (size_t)size);
  return GK_OK;
}

/* A struct longer than ours asks for something we do not know, unless all of the rest is zero. */
static int asks_for_more(const void *problem, size_t known) {
  uint32_t given;
  memcpy(&given, problem, sizeof given);
  for (size_t i = known; i < given; ++i)
    if (((const unsigned char *)problem)[i] != 0) return 1;
  return 0;
}

static gk_status run(gk_stream *stream, uint32_t op, void *problem, int dry_run, gk_error *err) {
  (void)stream;
  if (op != GK_OP_GEMM) return answer(err, GK_UNSUPPORTED, "older: only gemm");
  const gk_gemm *p = problem;
  if (p->struct_size < sizeof *p) return answer(err, GK_INVALID_ARGUMENT, "older: gk_gemm is too short");
  if (asks_for_more(problem, sizeof *p)) return answer(err, GK_UNSUPPORTED, "older: a newer kind of gemm");
  if (p->implementation > 1 || p->b_packed != 0 || p->a_type != GK_F32 || p->b_type != GK_F32 || p->d_type != GK_F32)
    return answer(err, GK_UNSUPPORTED, "older: only plain f32");
  if (dry_run) return GK_OK;
  for (int64_t i = 0; i < p->m; ++i)
    for (int64_t j = 0; j < p->n; ++j) {
      float sum = 0;
      for (int64_t x = 0; x < p->k; ++x)
        sum += ((const float *)(const void *)(p->a.buffer->data + p->a.offset))[i * p->lda + x] *
               ((const float *)(const void *)(p->b.buffer->data + p->b.offset))[j * p->ldb + x];
      sum *= p->alpha;
      if (p->beta != 0)
        sum += p->beta * ((const float *)(const void *)(p->c.buffer->data + p->c.offset))[i * p->ldc + j];
      ((float *)(void *)(p->d.buffer->data + p->d.offset))[i * p->ldd + j] = sum;
    }
  return GK_OK;
}

/* What lies behind the table in memory must not be taken for entries that it does not have. */
static const struct {
  gk_backend table;
  const void *behind[3];
} memory = {{
                .struct_size = sizeof(gk_backend),
                .abi_major = GK_ABI_MAJOR,
                .abi_minor = GK_ABI_MINOR,
                .name = "older",
                .version = "0.1",
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
            },
            {"not a function", "nor this", "nor that"}};

__attribute__((visibility("default"))) const gk_backend *gk_backend_entry(uint32_t host_abi_major) {
  return host_abi_major == GK_ABI_MAJOR ? &memory.table : NULL;
}
