// The backend table, filled over whichever runtime it is built for.
#pragma once

#include "gonka_backend.h"

namespace gonka::cuda {

// "cuda" over the CUDA runtime; "cuda-emulated" over the emulator.
const gk_backend &backend();

}  // namespace gonka::cuda
