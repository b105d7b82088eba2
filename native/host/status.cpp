#include "status.hpp"

#include <cstring>

namespace gonka {

const char *status_name(gk_status status) noexcept {
  switch (status) {
    case GK_OK:
      return "ok";
    case GK_INVALID_ARGUMENT:
      return "invalid argument";
    case GK_UNSUPPORTED:
      return "unsupported";
    case GK_OUT_OF_MEMORY:
      return "out of memory";
    case GK_DEVICE_ERROR:
      return "device error";
    case GK_DEVICE_LOST:
      return "device lost";
    case GK_CANCELLED:
      return "cancelled";
    case GK_SELFTEST_FAILED:
      return "self-test failed";
    case GK_INTERNAL:
      return "internal error";
    default:
      return "unknown status";
  }
}

std::string error_report::text(gk_status returned) const {
  const std::string words(message, strnlen(message, sizeof message));
  if (words.empty())
    return "the backend returned status " + std::to_string(int(returned)) + " (" + status_name(returned) +
           ") without a message";
  return native_code == 0 ? words : words + " (native code " + std::to_string(native_code) + ")";
}

void check_made(const void *handle, const gk_backend &table, const char *entry) {
  if (handle == nullptr)
    throw status_error(GK_INTERNAL, std::string(table.name) + ": " + entry + " returned GK_OK without a handle");
}

void check(gk_status status, const error_report &err, const std::string &what) {
  if (status != GK_OK) throw status_error(status, what + ": " + err.text(status));
}

}  // namespace gonka
