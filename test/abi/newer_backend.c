/* The example backend as if built against a newer header: every struct has fields that the host does not know. Where
 * the host's struct is shorter, the new fields are absent and must be taken for zero. */
#include "gonka_backend.h"

static const gk_backend *known_backend_entry(uint32_t host_abi_major);
#define gk_backend_entry known_backend_entry
#include "example_backend.c"
#undef gk_backend_entry

typedef struct newer_gemm {
  gk_gemm known;
  float dropout; /* a feature of the future: scales D by 1 - dropout */
} newer_gemm;

typedef struct newer_device_info {
  gk_device_info known;
  char colour[32];
} newer_device_info;

typedef struct newer_backend {
  gk_backend known;
  gk_status (*graph_launch)(gk_stream *, gk_error *);
} newer_backend;

static gk_status newer_run(gk_stream *stream, uint32_t op, void *problem, int dry_run, gk_error *err) {
  if (op != GK_OP_GEMM) return run(stream, op, problem, dry_run, err);
  newer_gemm p;
  if (!read_struct(&p, sizeof p, problem)) return fail(err, GK_UNSUPPORTED, "gemm: from a still newer header");
  p.known.struct_size = sizeof p.known;
  p.known.alpha *= 1 - p.dropout;
  return gemm(&p.known, dry_run, err);
}

static gk_status newer_info(gk_device *device, gk_device_info *out, gk_error *err) {
  newer_device_info info = {.known.struct_size = sizeof(gk_device_info), .colour = "blue"};
  const uint32_t room = out->struct_size;
  const gk_status status = device_info(device, &info.known, err);
  info.known.struct_size = room;
  memcpy(out, &info, room < sizeof info ? room : sizeof info);
  return status;
}

static gk_status graph_launch(gk_stream *stream, gk_error *err) {
  (void)stream;
  return fail(err, GK_UNSUPPORTED, "newer: not in this test");
}

static const newer_backend newer = {
    .known = {.struct_size = sizeof(newer_backend),
              .abi_major = GK_ABI_MAJOR,
              .abi_minor = GK_ABI_MINOR + 3,
              .name = "newer",
              .version = "9.0",
              .device_count = device_count,
              .device_open = device_open,
              .device_close = device_close,
              .device_info = newer_info,
              .stream_open = stream_open,
              .stream_close = stream_close,
              .synchronize = synchronize,
              .buffer_alloc = buffer_alloc,
              .buffer_free = buffer_free,
              .buffer_write = buffer_write,
              .buffer_read = buffer_read,
              .run = newer_run},
    .graph_launch = graph_launch};

__attribute__((visibility("default"))) const gk_backend *gk_backend_entry(uint32_t host_abi_major) {
  return known_backend_entry(host_abi_major) == NULL ? NULL : &newer.known;
}
