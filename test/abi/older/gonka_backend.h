/* The boundary as a first version of it might have been, for test/abi: the same names and layouts as gonka_backend.h,
 * but structs end earlier - gk_gemm knows no epilogue and no scales, gk_backend has no optional entries - and most ops
 * do not exist. A backend built against this file must load into the host of today and work. */
#ifndef GONKA_BACKEND_H
#define GONKA_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#define GK_ABI_MAJOR 1u
#define GK_ABI_MINOR 0u
#define GK_HAS(p, T, f) ((p)->struct_size >= offsetof(T, f) + sizeof((p)->f))

typedef enum gk_status {
  GK_OK = 0,
  GK_INVALID_ARGUMENT = 10, /* the caller's mistake; retrying is useless */
  GK_UNSUPPORTED = 20,      /* correct, but not here */
  GK_OUT_OF_MEMORY = 30,
  GK_DEVICE_ERROR = 31, /* this call failed; the device may still be usable */
  GK_DEVICE_LOST = 32,  /* the device is gone until it is opened anew */
  GK_CANCELLED = 33,
  GK_SELFTEST_FAILED = 34,
  GK_INTERNAL = 35,
  GK_STATUS_32BIT = 0x7fffffff
} gk_status;

typedef struct gk_error {
  uint32_t struct_size;
  gk_status status;
  int32_t native_code;
  char message[500];
} gk_error;

typedef enum gk_dtype { GK_F32 = 1, GK_F16 = 2, GK_BF16 = 3, GK_I8 = 4, GK_I32 = 5, GK_DTYPE_32BIT = 0x7fffffff } gk_dtype;

typedef enum gk_op { GK_OP_GEMM = 1, GK_OP_ATTENTION = 2, GK_OP_32BIT = 0x7fffffff } gk_op;

typedef struct gk_device gk_device;
typedef struct gk_stream gk_stream;
typedef struct gk_buffer gk_buffer;

typedef struct gk_ref {
  gk_buffer *buffer;
  uint64_t offset;
} gk_ref;

/* Ends where the epilogue begins today. */
typedef struct gk_gemm {
  uint32_t struct_size;
  uint32_t implementation;
  uint32_t a_type, b_type, d_type;
  uint32_t b_packed;
  int64_t m, n, k, lda, ldb, ldc, ldd;
  float alpha, beta;
  gk_ref a, b, c, d;
} gk_gemm;

typedef struct gk_format {
  uint32_t dtype; /* gk_dtype of both gemm operands */
  uint32_t accumulator_bits;
} gk_format;

#define GK_MAX_FORMATS 16

typedef struct gk_device_info {
  uint32_t struct_size; /* set by the caller */
  uint32_t format_count;
  char name[128];     /* "AMD EPYC 9R14", "NVIDIA H100 80GB HBM3" */
  char arch[64];      /* "x86-64 avx512", "sm_90" */
  char driver[64];    /* version of driver or runtime, empty if none */
  char unique_id[64]; /* serial, UUID or PCI address; empty if none */
  uint64_t memory_bytes, memory_free_bytes;
  uint32_t compute_units; /* cores, SMs */
  uint32_t threads;       /* CPU: worker threads of this device; otherwise 0 */
  gk_format formats[GK_MAX_FORMATS];
} gk_device_info;

typedef struct gk_device_options {
  uint32_t struct_size;
} gk_device_options;

/* Ends where the optional entries begin today. */
typedef struct gk_backend {
  uint32_t struct_size;
  uint32_t abi_major, abi_minor;
  uint32_t reserved;
  const char *name;    /* lower case, [a-z0-9_-], at most 31 characters, static: "cpu", "cuda" */
  const char *version; /* of the library, static */

  gk_status (*device_count)(uint32_t *count, gk_error *);
  gk_status (*device_open)(uint32_t index, const gk_device_options *, gk_device **, gk_error *);
  void (*device_close)(gk_device *); /* after all of its streams and buffers are gone; NULL is ignored */
  gk_status (*device_info)(gk_device *, gk_device_info *, gk_error *);

  gk_status (*stream_open)(gk_device *, gk_stream **, gk_error *);
  void (*stream_close)(gk_stream *); /* waits for queued work; NULL is ignored */
  gk_status (*synchronize)(gk_stream *, gk_error *);

  gk_status (*buffer_alloc)(gk_device *, uint64_t size, gk_buffer **, gk_error *); /* contents undefined; size > 0 */
  void (*buffer_free)(gk_buffer *); /* no queued work uses it; NULL is ignored */
  /* In stream order. The host memory may be reused when the call returns. */
  gk_status (*buffer_write)(gk_stream *, gk_buffer *, uint64_t offset, const void *, uint64_t size, gk_error *);
  /* In stream order; the bytes are there when the call returns. */
  gk_status (*buffer_read)(gk_stream *, const gk_buffer *, uint64_t offset, void *, uint64_t size, gk_error *);

  /* Queues one op. problem points to the struct named beside the gk_op value. With dry_run != 0 it answers as the real
   * call would - GK_OK, or why not - and does nothing else; operand refs may then be empty. One code path, one answer.
   */
  gk_status (*run)(gk_stream *, uint32_t op, void *problem, int dry_run, gk_error *);
} gk_backend;

#endif
