// From the C boundary's status and error struct to the exception that host, model and poc throw.
#pragma once

#include <string>

#include "device.hpp"
#include "gonka_backend.h"

namespace gonka {

// A caller's error struct, ready to be passed across the boundary.
struct error_report : gk_error {
  error_report() : gk_error{} { struct_size = sizeof(gk_error); }
  // The backend's words; if it gave none, says so and names the status.
  std::string text(gk_status returned) const;
};

// Throws status_error unless status is GK_OK. what: who was asked for what, "cuda:1: buffer of 4096 bytes".
void check(gk_status status, const error_report &err, const std::string &what);

// Throws status_error, GK_INTERNAL: the backend said GK_OK and gave no handle.
void check_made(const void *handle, const gk_backend &table, const char *entry);

const char *status_name(gk_status status) noexcept;  // "unsupported"; "unknown status" for a value this host lacks

}  // namespace gonka
