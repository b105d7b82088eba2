/* The example backend with one lie, chosen by GONKA_LIE, to show that conformance finds it:
 *   accumulator  gemm adds up in 22 significand bits for f32 and in f32 for i8, not in the 24 and 32 it claims
 *   tail         gemm leaves the last element of D as it was unless n is a multiple of 4
 *   stale        one gemm in 1000 returns the result of the one before
 *   format       claims to multiply bf16
 *   crash, hang, exit   gemm brings the process down, never returns, ends the process: for the child process that
 *                tries a library first
 * Without the variable it is honest. */
#include "gonka_backend.h"

static const gk_backend *honest_backend_entry(uint32_t host_abi_major); /* internal: it must not be exported */
#define gk_backend_entry honest_backend_entry
#include "example_backend.c"
#undef gk_backend_entry

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static int lies(const char *name) {
  const char *lie = getenv("GONKA_LIE");
  return lie != NULL && strcmp(lie, name) == 0;
}

static float short_sum(float x) { /* to 22 significand bits, nearest even */
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if ((bits & 0x7f800000) == 0x7f800000) return x;
  bits = (bits + 1 + (bits >> 2 & 1)) & ~UINT32_C(3);
  memcpy(&x, &bits, 4);
  return x;
}

/* Overwrites D, which the honest gemm has filled and thereby checked, with sums of a narrower accumulator. */
static void narrow_gemm(const gk_gemm *p, const float *old_c) {
  const unsigned char *a = p->a.buffer->data + p->a.offset, *b = p->b.buffer->data + p->b.offset;
  unsigned char *d = p->d.buffer->data + p->d.offset;
  for (int64_t i = 0; i < p->m; ++i)
    for (int64_t j = 0; j < p->n; ++j) {
      float sum = 0;
      for (int64_t l = 0; l < p->k; ++l)
        if (p->a_type == GK_F32)
          sum = short_sum(sum + ((const float *)a)[i * p->lda + l] * ((const float *)b)[j * p->ldb + l]);
        else
          sum += (float)(((const int8_t *)a)[i * p->lda + l] * ((const int8_t *)b)[j * p->ldb + l]);
      if (p->a_type == GK_F32)
        ((float *)d)[i * p->ldd + j] = p->alpha * sum + (p->beta == 0 ? 0 : p->beta * old_c[i * p->n + j]);
      else
        ((uint32_t *)d)[i * p->ldd + j] =
            (uint32_t)(int64_t)sum + (p->beta == 0 ? 0 : ((const uint32_t *)old_c)[i * p->n + j]);
    }
}

/* The rows of a matrix of 4-byte elements, dense, as they are now; NULL if there is none. The caller frees. */
static float *snapshot(gk_ref ref, int64_t rows, int64_t columns, int64_t ld) {
  float *copy = calloc((size_t)(rows * columns) + 1, 4);
  if (copy == NULL || ref.buffer == NULL) return copy;
  for (int64_t r = 0; r < rows; ++r)
    memcpy(copy + r * columns, ref.buffer->data + ref.offset + r * ld * 4, (size_t)columns * 4);
  return copy;
}

static gk_status lying_run(gk_stream *stream, uint32_t op, void *problem, int dry_run, gk_error *err) {
  if (op != GK_OP_GEMM || dry_run) return run(stream, op, problem, dry_run, err);
  if (lies("crash")) raise(SIGSEGV);
  while (lies("hang")) pause();
  if (lies("exit")) _Exit(3);
  gk_gemm p;
  read_struct(&p, sizeof p, problem);
  const gk_status answer = run(stream, op, problem, 1, err);
  if (answer != GK_OK || p.m == 0 || p.n == 0) return answer;
  float *old_c = p.beta == 0 ? NULL : snapshot(p.c, p.m, p.n, p.ldc);
  float *old_d = snapshot(p.d, p.m, p.n, p.ldd);
  const gk_status status = run(stream, op, problem, 0, err);
  float *d = p.d.buffer == NULL ? NULL : (float *)(void *)(p.d.buffer->data + p.d.offset);
  if (status == GK_OK && lies("accumulator") && p.k > 0) narrow_gemm(&p, old_c);
  if (status == GK_OK && lies("tail") && p.n % 4 != 0) d[(p.m - 1) * p.ldd + p.n - 1] = old_d[p.m * p.n - 1];
  if (status == GK_OK && lies("stale")) {
    static atomic_uint calls;
    static _Thread_local float last[4096];
    static _Thread_local int64_t last_m, last_n;
    if (atomic_fetch_add(&calls, 1) % 1000 == 999 && p.m == last_m && p.n == last_n)
      for (int64_t i = 0; i < p.m; ++i) memcpy(d + i * p.ldd, last + i * p.n, (size_t)p.n * 4);
    last_m = last_n = 0;
    if (p.m <= 64 && p.n <= 64) {
      for (int64_t i = 0; i < p.m; ++i) memcpy(last + i * p.n, d + i * p.ldd, (size_t)p.n * 4);
      last_m = p.m, last_n = p.n;
    }
  }
  free(old_c);
  free(old_d);
  return status;
}

static gk_status lying_info(gk_device *device, gk_device_info *info, gk_error *err) {
  const gk_status status = device_info(device, info, err);
  if (status == GK_OK && lies("format") && GK_HAS(info, gk_device_info, formats))
    info->formats[info->format_count++] = (gk_format){GK_BF16, 24};
  return status;
}

static const gk_backend lying = {
    .struct_size = sizeof(gk_backend),
    .abi_major = GK_ABI_MAJOR,
    .abi_minor = GK_ABI_MINOR,
    .name = "lying",
    .version = "1.0.0",
    .device_count = device_count,
    .device_open = device_open,
    .device_close = device_close,
    .device_info = lying_info,
    .stream_open = stream_open,
    .stream_close = stream_close,
    .synchronize = synchronize,
    .buffer_alloc = buffer_alloc,
    .buffer_free = buffer_free,
    .buffer_write = buffer_write,
    .buffer_read = buffer_read,
    .run = lying_run,
};

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const gk_backend *gk_backend_entry(uint32_t host_abi_major) {
  return honest_backend_entry(host_abi_major) == NULL ? NULL : &lying;
}
