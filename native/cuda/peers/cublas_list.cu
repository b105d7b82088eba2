// NVIDIA's own gemm as a backend called "cublas": what bench measures ours against, with the same operands, the same
// clock and the same statistics. cuBLAS is found at run time and needs no header here; its declarations follow the
// cuBLAS documentation. Linked with the CUDA backend's own table, memory and streams; every other op is refused.
#include <cuda_runtime.h>
#include <dlfcn.h>

#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "device/dispatch.hpp"
#include "device/runtime_cuda.hpp"
#include "gemm/gemm.hpp"
#include "implementation.hpp"

namespace gonka::cuda {
namespace {

using cublas_handle = void *;
constexpr int k_transposed = 1, k_as_is = 0;  // cublasOperation_t
constexpr int k_default_algorithm = -1;
constexpr int k_compute_32f = 68, k_compute_32i = 72;  // cublasComputeType_t

// cudaDataType_t, or -1.
int data_type(uint32_t dtype) {
  switch (dtype) {
    case GK_F32:
      return 0;
    case GK_F16:
      return 2;
    case GK_I8:
      return 3;
    case GK_I32:
      return 10;
    case GK_BF16:
      return 14;
    default:
      return -1;
  }
}

struct cublas {
  int (*create)(cublas_handle *) = nullptr;
  int (*set_stream)(cublas_handle, cudaStream_t) = nullptr;
  int (*gemm)(cublas_handle, int, int, int, int, int, const void *, const void *, int, int, const void *, int, int,
              const void *, void *, int, int, int, int) = nullptr;
  std::string missing;  // why there is none

  cublas() {
    void *library = nullptr;
    for (const char *name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so"})
      if (library == nullptr) library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      missing = "libcublas.so.13 and .12 were not found; put the toolkit's lib64 on LD_LIBRARY_PATH";
      return;
    }
    const auto find = [&](auto *&function, const char *symbol) {
      void *address = dlsym(library, symbol);
      std::memcpy(&function, &address, sizeof address);
      if (address == nullptr) missing = std::string("libcublas has no ") + symbol;
    };
    find(create, "cublasCreate_v2");
    find(set_stream, "cublasSetStream_v2");
    find(gemm, "cublasGemmEx");
  }
};

const cublas &api() {
  static const cublas &once = *new cublas;
  return once;
}

void check_cublas(int status, const char *what) {
  if (status == 0) return;
  constexpr int k_not_supported = 15, k_allocation_failed = 3;
  throw device_error(status == k_not_supported       ? GK_UNSUPPORTED
                     : status == k_allocation_failed ? GK_OUT_OF_MEMORY
                                                     : GK_DEVICE_ERROR,
                     status, std::string(what) + ": cuBLAS status " + std::to_string(status));
}

// A handle serves one thread at a time; the thread's current device is the stream's when this is called.
cublas_handle handle_of(uint32_t device) {
  thread_local std::map<uint32_t, cublas_handle> handles;
  cublas_handle &handle = handles[device];
  if (handle == nullptr) check_cublas(api().create(&handle), "cublasCreate");
  return handle;
}

const char *reject(const void *problem, const capability &) {
  const gk_gemm &p = *static_cast<const gk_gemm *>(problem);
  if (!api().missing.empty()) return api().missing.c_str();
  if (p.epilogue != GK_EPILOGUE_NONE) return "cublasGemmEx has no such epilogue";
  if (p.a_type != p.b_type || data_type(p.a_type) < 0 || data_type(p.d_type) < 0) return "not for these operand types";
  constexpr int64_t most = 0x7fffffff;
  if (p.m > most || p.n > most || p.k > most || p.lda > most || p.ldb > most || p.ldd > most)
    return "an extent of 2^31";
  if (p.m == 0 || p.n == 0 || p.k == 0) return "an extent is 0";
  if (p.a_type == GK_I8 && ((p.lda | p.ldb | p.ldd | p.n | p.k) % 4 != 0))
    return "int8 wants extents and strides that are multiples of 4";
  if (p.beta != 0 && (p.ldc != p.ldd || p.c.buffer != p.d.buffer || p.c.offset != p.d.offset)) return "C is not D";
  return nullptr;
}

// Row-major D = A B^T is column-major D^T = B A^T, where B, stored with k contiguous, counts as transposed.
void run(void *problem, places at, context &ctx) {
  const gk_gemm &p = *static_cast<const gk_gemm *>(problem);
  runtime::make_current(ctx.stream());
  const cublas_handle handle = handle_of(ctx.device());
  check_cublas(api().set_stream(handle, runtime::native_handle(ctx.stream())), "cublasSetStream");
  const bool exact = p.a_type == GK_I8;
  const int32_t alpha_i = int32_t(p.alpha), beta_i = int32_t(p.beta);
  const void *alpha = exact ? static_cast<const void *>(&alpha_i) : &p.alpha;
  const void *beta = exact ? static_cast<const void *>(&beta_i) : &p.beta;
  check_cublas(
      api().gemm(handle, k_transposed, k_as_is, int(p.n), int(p.m), int(p.k), alpha, at[k_gemm_b], data_type(p.b_type),
                 int(p.ldb), at[k_gemm_a], data_type(p.a_type), int(p.lda), beta, at[k_gemm_d], data_type(p.d_type),
                 int(p.ldd), exact ? k_compute_32i : k_compute_32f, k_default_algorithm),
      "cublasGemmEx");
}

const char *reject_places(const void *problem, places at) {
  const bool exact = static_cast<const gk_gemm *>(problem)->a_type == GK_I8;
  return !exact || (aligned_16(at[k_gemm_a]) && aligned_16(at[k_gemm_b]) && aligned_16(at[k_gemm_d]))
             ? nullptr
             : "int8 wants aligned operands";
}

constexpr implementation k_list[] = {{"cublas", reject, reject_places, run}};

}  // namespace

std::span<const implementation> gemm_list() noexcept {
  return k_list;
}

}  // namespace gonka::cuda
