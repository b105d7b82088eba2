#include <algorithm>

#include "device_state.hpp"
#include "status.hpp"

namespace gonka {

buffer::buffer(device &owner, uint64_t size) : owner_(owner.shared_from_this()), size_(size) {
  error_report err;
  check(owner.library().table->buffer_alloc(owner.handle(), std::max<uint64_t>(size, 1), &handle_, &err), err,
        owner.id() + ": buffer of " + std::to_string(size) + " bytes");
  check_made(handle_, *owner.library().table, "buffer_alloc");
  const std::unique_lock lock(owner.state_->sizes_mutex);
  owner.state_->sizes[handle_] = size;
}

buffer::buffer(std::shared_ptr<device> owner, gk_buffer *handle, uint64_t size)
    : owner_(std::move(owner)), handle_(handle), size_(size) {}

buffer::~buffer() {
  if (handle_ == nullptr) return;
  {
    const std::unique_lock lock(owner_->state_->sizes_mutex);
    owner_->state_->sizes.erase(handle_);
  }
  owner_->library().table->buffer_free(handle_);
}

void *buffer::pointer() const {
  if (handle_ == nullptr || owner_->library().table->buffer_pointer == nullptr) return nullptr;
  return owner_->library().table->buffer_pointer(handle_);
}

}  // namespace gonka
