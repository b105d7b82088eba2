// The CPU backend, linked into the host.
#pragma once

#include "gonka_backend.h"

namespace gonka::cpu {

const gk_backend &backend();

}  // namespace gonka::cpu
