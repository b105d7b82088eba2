/* A complete backend: what the vendor of an accelerator writes to take part. C11, no dependency but the header.
 *
 * The accelerator here is make-believe: its memory is the host's and its queue runs work at once. What a real one
 * replaces is marked DEVICE. It implements gemm (f32, and i8 with exact i32 sums) and silu_mul (f32); for every other
 * op, and for what it answers GK_UNSUPPORTED to, the host falls back to its CPU.
 *
 *   cc -std=c11 -O2 -fPIC -shared -I<package>/native/include -o gonka_example.so example_backend.c -lm
 *   gonka-miner conformance --backend ./gonka_example.so */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gonka_backend.h"

/* The three opaque types are the backend's to define. */
struct gk_device {
  int index; /* DEVICE: context, properties */
};
struct gk_stream {
  gk_device *device; /* DEVICE: command queue */
};
struct gk_buffer {
  unsigned char *data; /* DEVICE: address on the accelerator */
  uint64_t size;
};

/* Every failure goes through here: a status, and a message with the values that explain it. */
static gk_status fail(gk_error *err, gk_status status, const char *format, ...) {
  if (err != NULL && GK_HAS(err, gk_error, message)) {
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    err->status = status;
    err->native_code = 0; /* DEVICE: the driver's own error number */
  }
  return status;
}

/* -------------------------------------------------------------------------------------------- devices and streams */

static gk_status device_count(uint32_t *count, gk_error *err) {
  (void)err;
  *count = 1;
  return GK_OK;
}

static gk_status device_open(uint32_t index, const gk_device_options *options, gk_device **out, gk_error *err) {
  (void)options;
  if (index != 0) return fail(err, GK_INVALID_ARGUMENT, "example: device %u does not exist", index);
  gk_device *device = malloc(sizeof *device);
  if (device == NULL) return fail(err, GK_OUT_OF_MEMORY, "example: out of memory");
  device->index = 0;
  *out = device;
  return GK_OK;
}

static void device_close(gk_device *device) {
  free(device);
}

static gk_status device_info(gk_device *device, gk_device_info *out, gk_error *err) {
  (void)device, (void)err;
  gk_device_info info = {0};
  info.struct_size = out->struct_size;
  snprintf(info.name, sizeof info.name, "Example accelerator");
  snprintf(info.arch, sizeof info.arch, "portable C");
  info.compute_units = 1;
  /* What gemm multiplies, and how wide it adds up. Conformance proves every line of this. */
  info.formats[0] = (gk_format){GK_F32, 24};
  info.formats[1] = (gk_format){GK_I8, 32};
  info.format_count = 2;
  /* The caller may have been built against an older, shorter struct: fill no more than it has. */
  memcpy(out, &info, out->struct_size < sizeof info ? out->struct_size : sizeof info);
  return GK_OK;
}

static gk_status stream_open(gk_device *device, gk_stream **out, gk_error *err) {
  gk_stream *stream = malloc(sizeof *stream);
  if (stream == NULL) return fail(err, GK_OUT_OF_MEMORY, "example: out of memory");
  stream->device = device;
  *out = stream;
  return GK_OK;
}

static void stream_close(gk_stream *stream) {
  free(stream);
}

static gk_status synchronize(gk_stream *stream, gk_error *err) {
  (void)stream, (void)err; /* DEVICE: wait for the queue */
  return GK_OK;
}

/* --------------------------------------------------------------------------------------------------------- memory */

static gk_status buffer_alloc(gk_device *device, uint64_t size, gk_buffer **out, gk_error *err) {
  (void)device;
  if (size == 0 || size > SIZE_MAX - 64)
    return fail(err, GK_INVALID_ARGUMENT, "example: buffer of %llu bytes", (unsigned long long)size);
  gk_buffer *buffer = malloc(sizeof *buffer);
  unsigned char *data = aligned_alloc(64, ((size_t)size + 63) / 64 * 64);
  if (buffer == NULL || data == NULL) {
    free(buffer);
    free(data);
    return fail(err, GK_OUT_OF_MEMORY, "example: no memory for a buffer of %llu bytes", (unsigned long long)size);
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

static int inside(const gk_buffer *buffer, uint64_t offset, uint64_t size) {
  return offset <= buffer->size && size <= buffer->size - offset;
}

static gk_status buffer_write(gk_stream *stream, gk_buffer *to, uint64_t offset, const void *from, uint64_t size,
                              gk_error *err) {
  (void)stream;
  if (!inside(to, offset, size))
    return fail(err, GK_INVALID_ARGUMENT, "example: write of %llu bytes at %llu leaves a buffer of %llu",
                (unsigned long long)size, (unsigned long long)offset, (unsigned long long)to->size);
  memcpy(to->data + offset, from, (size_t)size); /* DEVICE: host to device */
  return GK_OK;
}

static gk_status buffer_read(gk_stream *stream, const gk_buffer *from, uint64_t offset, void *to, uint64_t size,
                             gk_error *err) {
  (void)stream;
  if (!inside(from, offset, size))
    return fail(err, GK_INVALID_ARGUMENT, "example: read of %llu bytes at %llu leaves a buffer of %llu",
                (unsigned long long)size, (unsigned long long)offset, (unsigned long long)from->size);
  memcpy(to, from->data + offset, (size_t)size); /* DEVICE: device to host, waiting for the queue */
  return GK_OK;
}

/* ------------------------------------------------------------------------------------------------------- operands */

/* Address of a matrix operand [rows, columns] of 4- or 1-byte elements, or NULL with *status and *err set. An operand
 * without elements has no address to check: it gets the address of nothing. */
static void *matrix(const char *name, gk_ref ref, int64_t rows, int64_t columns, int64_t ld, uint64_t element,
                    gk_status *status, gk_error *err) {
  static unsigned char nothing[1];
  if (rows == 0 || columns == 0) return nothing;
  const uint64_t most = UINT64_MAX / 16;
  if (ref.buffer == NULL)
    *status = fail(err, GK_INVALID_ARGUMENT, "example: operand %s is absent", name);
  else if (ref.offset % element != 0)
    *status = fail(err, GK_INVALID_ARGUMENT, "example: operand %s is not aligned to its elements", name);
  else if ((uint64_t)(rows - 1) > (most - (uint64_t)columns) / (uint64_t)ld ||
           !inside(ref.buffer, ref.offset, ((uint64_t)(rows - 1) * (uint64_t)ld + (uint64_t)columns) * element))
    *status = fail(err, GK_INVALID_ARGUMENT, "example: operand %s leaves its buffer of %llu bytes", name,
                   (unsigned long long)ref.buffer->size);
  else
    return ref.buffer->data + ref.offset;
  return NULL;
}

/* Reads a struct that the caller's header may have made shorter or longer than ours. Absent fields are zero; returns 0
 * if a field we do not know is not: it asks for something we cannot do. */
static int read_struct(void *to, size_t size, const void *from) {
  uint32_t given;
  memcpy(&given, from, sizeof given);
  memset(to, 0, size);
  memcpy(to, from, given < size ? given : size);
  for (size_t i = size; i < given; ++i)
    if (((const unsigned char *)from)[i] != 0) return 0;
  return 1;
}

/* ----------------------------------------------------------------------------------------------------------- gemm */

static gk_status gemm(const void *problem, int dry_run, gk_error *err) {
  gk_gemm p;
  if (!read_struct(&p, sizeof p, problem)) return fail(err, GK_UNSUPPORTED, "gemm: unknown fields of a newer host");
  const int is_f32 = p.a_type == GK_F32 && p.b_type == GK_F32 && p.d_type == GK_F32;
  const int is_i8 = p.a_type == GK_I8 && p.b_type == GK_I8 && p.d_type == GK_I32;
  if (p.implementation > 1) return fail(err, GK_UNSUPPORTED, "gemm: there is one implementation");
  if (!is_f32 && !is_i8) return fail(err, GK_UNSUPPORTED, "gemm: types other than f32 and i8 x i8 -> i32");
  if (p.b_packed != 0) return fail(err, GK_UNSUPPORTED, "gemm: packed B");
  if (p.epilogue != GK_EPILOGUE_NONE) return fail(err, GK_UNSUPPORTED, "gemm: epilogue %u", p.epilogue);
  if (p.m < 0 || p.n < 0 || p.k < 0 || p.lda < p.k || p.ldb < p.k || p.ldd < p.n || (p.beta != 0 && p.ldc < p.n))
    return fail(err, GK_INVALID_ARGUMENT, "gemm: m=%lld n=%lld k=%lld lda=%lld ldb=%lld ldc=%lld ldd=%lld",
                (long long)p.m, (long long)p.n, (long long)p.k, (long long)p.lda, (long long)p.ldb, (long long)p.ldc,
                (long long)p.ldd);
  if (is_i8 && (p.alpha != 1 || (p.beta != 0 && p.beta != 1)))
    return fail(err, GK_INVALID_ARGUMENT, "gemm: i8 with alpha=%g beta=%g", p.alpha, p.beta);
  if (dry_run) return GK_OK;

  gk_status status = GK_OK;
  const uint64_t element = is_f32 ? 4 : 1;
  const void *a = matrix("a", p.a, p.m, p.k, p.lda, element, &status, err);
  const void *b = matrix("b", p.b, p.n, p.k, p.ldb, element, &status, err);
  const void *c = p.beta == 0 ? "" : matrix("c", p.c, p.m, p.n, p.ldc, 4, &status, err);
  void *d = matrix("d", p.d, p.m, p.n, p.ldd, 4, &status, err);
  if (status != GK_OK) return status;

  /* DEVICE: launch the kernel on the stream's queue. */
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t j = 0; j < p.n; ++j) {
      if (is_f32) {
        const float *row = (const float *)a + i * p.lda, *column = (const float *)b + j * p.ldb;
        float sum = 0;
        for (int64_t l = 0; l < p.k; ++l) sum += row[l] * column[l];
        sum *= p.alpha;
        if (p.beta != 0) sum += p.beta * ((const float *)c)[i * p.ldc + j]; /* beta 0: C is not read */
        ((float *)d)[i * p.ldd + j] = sum;
      } else {
        const int8_t *row = (const int8_t *)a + i * p.lda, *column = (const int8_t *)b + j * p.ldb;
        uint32_t sum = 0; /* unsigned: exact modulo 2^32 without undefined overflow */
        for (int64_t l = 0; l < p.k; ++l) sum += (uint32_t)(row[l] * column[l]);
        if (p.beta != 0) sum += ((const uint32_t *)c)[i * p.ldc + j];
        ((uint32_t *)d)[i * p.ldd + j] = sum;
      }
    }
  return GK_OK;
}

/* ------------------------------------------------------------------------------------------------------- silu_mul */

static gk_status silu_mul(const void *problem, int dry_run, gk_error *err) {
  gk_silu_mul p;
  if (!read_struct(&p, sizeof p, problem)) return fail(err, GK_UNSUPPORTED, "silu_mul: unknown fields of a newer host");
  if (p.implementation > 1) return fail(err, GK_UNSUPPORTED, "silu_mul: there is one implementation");
  if (p.type != GK_F32) return fail(err, GK_UNSUPPORTED, "silu_mul: types other than f32");
  if (p.rows < 0 || p.columns < 0 || p.ld_gate < p.columns || p.ld_up < p.columns || p.ldo < p.columns)
    return fail(err, GK_INVALID_ARGUMENT, "silu_mul: rows=%lld columns=%lld ld_gate=%lld ld_up=%lld ldo=%lld",
                (long long)p.rows, (long long)p.columns, (long long)p.ld_gate, (long long)p.ld_up, (long long)p.ldo);
  if (dry_run) return GK_OK;

  gk_status status = GK_OK;
  const float *gate = matrix("gate", p.gate, p.rows, p.columns, p.ld_gate, 4, &status, err);
  const float *up = matrix("up", p.up, p.rows, p.columns, p.ld_up, 4, &status, err);
  float *out = matrix("out", p.out, p.rows, p.columns, p.ldo, 4, &status, err);
  if (status != GK_OK) return status;
  for (int64_t r = 0; r < p.rows; ++r)
    for (int64_t c = 0; c < p.columns; ++c) {
      const double x = gate[r * p.ld_gate + c]; /* in F32 exp(-x) would overflow where silu is still a number */
      out[r * p.ldo + c] = (float)(x / (1 + exp(-x)) * up[r * p.ld_up + c]);
    }
  return GK_OK;
}

/* -------------------------------------------------------------------------------------------------------- backend */

static gk_status run(gk_stream *stream, uint32_t op, void *problem, int dry_run, gk_error *err) {
  (void)stream;
  switch (op) {
    case GK_OP_GEMM:
      return gemm(problem, dry_run, err);
    case GK_OP_SILU_MUL:
      return silu_mul(problem, dry_run, err);
    default: /* every op this backend lacks, also those that a newer host knows */
      return fail(err, GK_UNSUPPORTED, "example: op %u is not implemented", op);
  }
}

static const gk_backend backend = {
    .struct_size = sizeof(gk_backend),
    .abi_major = GK_ABI_MAJOR,
    .abi_minor = GK_ABI_MINOR,
    .name = "example",
    .version = "1.0.0",
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
};

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const gk_backend *gk_backend_entry(uint32_t host_abi_major) {
  return host_abi_major == GK_ABI_MAJOR ? &backend : NULL;
}
