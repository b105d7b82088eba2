#include "digest.hpp"

#include <algorithm>
#include <span>

#include "checkpoint.hpp"
#include "description.hpp"
#include "device.hpp"
#include "sha256.hpp"

namespace gonka {

std::string model_digest(const std::string &directory, const digest_options &options) {
  constexpr uint64_t k_piece_bytes = uint64_t(4) << 20;
  const std::string config_path = directory + "/config.json";
  const mapped_file config(config_path);
  parse_description(config.text(), config_path);
  const checkpoint files(directory);
  uint64_t total = 0, done = 0;
  for (const auto &[name, tensor] : files.tensors()) total += tensor.info->bytes;

  std::string lines = "gonka-model 1\nconfig " + to_hex(sha256_of(config.text())) + '\n';
  for (const auto &[name, tensor] : files.tensors()) {
    sha256 hash;
    for (uint64_t at = 0; at < tensor.info->bytes; at += k_piece_bytes) {
      if (options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed))
        throw status_error(GK_CANCELLED, "cancelled");
      const uint64_t bytes = std::min(k_piece_bytes, tensor.info->bytes - at);
      hash.update(std::span(reinterpret_cast<const uint8_t *>(tensor.data()) + at, bytes));
      done += bytes;
      if (options.progress) options.progress(double(done) / double(total), "hashing the model");
    }
    tensor.file->file().release(tensor.info->offset, tensor.info->bytes);
    std::string extents;
    for (const int64_t extent : tensor.info->shape) extents += (extents.empty() ? "" : "x") + std::to_string(extent);
    lines += name + ' ' + tensor.info->dtype_name + ' ' + extents + ' ' + to_hex(hash.finish()) + '\n';
  }
  return to_hex(sha256_of(lines));
}

}  // namespace gonka
