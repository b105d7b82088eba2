// The CUDA objects behind runtime.hpp, for libraries that are called with them. Not for kernels: the emulator has none.
#pragma once

#include <cuda_runtime.h>

#include "runtime.hpp"

namespace gonka::cuda::runtime {

cudaStream_t native_handle(const stream *s);

}  // namespace gonka::cuda::runtime
