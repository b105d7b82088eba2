#include "operand_places.hpp"

#include <cstdio>

namespace gonka {

gk_status check_range(const char *backend, const char *what, uint64_t offset, uint64_t size, uint64_t buffer_size,
                      gk_error *err) noexcept {
  if (offset <= buffer_size && size <= buffer_size - offset) return GK_OK;
  return fail(err, GK_INVALID_ARGUMENT, "%s: %s needs bytes [%llu, %llu) of a buffer of %llu", backend, what,
              static_cast<unsigned long long>(offset), static_cast<unsigned long long>(offset + size),
              static_cast<unsigned long long>(buffer_size));
}

gk_status place_operands(const char *backend, const op_spec &spec, const std::vector<operand> &operands,
                         buffer_memory (*memory)(const gk_buffer *), operand_places &places, gk_error *err) {
  for (const operand &o : operands) {
    const uint64_t extent = o.extent_bytes();
    if (o.ref->buffer == nullptr) {
      if (o.required && extent != 0)
        return fail(err, GK_INVALID_ARGUMENT, "%s: operand %s is absent; expected a buffer", spec.name, o.name);
      places.pointers.push_back(nullptr);
      places.sizes.push_back(0);
      continue;
    }
    const buffer_memory whole = memory(o.ref->buffer);
    char what[96];
    std::snprintf(what, sizeof what, "%s: operand %s", spec.name, o.name);
    if (const gk_status status = check_range(backend, what, o.ref->offset, extent, whole.size, err); status != GK_OK)
      return status;
    const uint32_t size = dtype_size(o.dtype);
    if (size != 0 && o.ref->offset % size != 0)
      return fail(err, GK_INVALID_ARGUMENT, "%s: operand %s at offset %llu is not aligned to its element size %u",
                  spec.name, o.name, static_cast<unsigned long long>(o.ref->offset), size);
    places.pointers.push_back(static_cast<char *>(whole.data) + o.ref->offset);
    places.sizes.push_back(whole.size - o.ref->offset);
  }
  return GK_OK;
}

}  // namespace gonka
