#include "mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "device.hpp"

namespace gonka {

mapped_file::mapped_file(const std::string &path) {
  const auto refuse = [&](const std::string &why) { throw status_error(GK_INVALID_ARGUMENT, path + ": " + why); };
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) refuse(std::string("cannot be opened: ") + std::strerror(errno));
  struct stat status;
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    refuse("is not a regular file");
  }
  size_ = static_cast<uint64_t>(status.st_size);
  if (size_ != 0) {
    void *address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED) {
      const int cause = errno;
      ::close(descriptor);
      refuse(std::string("cannot be mapped into memory: ") + std::strerror(cause));
    }
    data_ = static_cast<std::byte *>(address);
  }
  ::close(descriptor);
}

mapped_file::~mapped_file() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

void mapped_file::advise(uint64_t offset, uint64_t bytes, int advice) const {
  if (data_ == nullptr || offset >= size_) return;
  const uint64_t page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t first = offset / page * page;
  const uint64_t last = offset + std::min(bytes, size_ - offset);
  ::madvise(data_ + first, last - first, advice);
}

void mapped_file::will_need(uint64_t offset, uint64_t bytes) const {
  advise(offset, bytes, MADV_WILLNEED);
}

void mapped_file::release(uint64_t offset, uint64_t bytes) const {
  advise(offset, bytes, MADV_DONTNEED);
}

}  // namespace gonka
