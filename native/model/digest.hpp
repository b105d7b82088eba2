// A name for a model: what it computes, not how its files are cut.
#pragma once

#include <atomic>
#include <functional>
#include <string>

namespace gonka {

struct digest_options {
  std::function<void(double fraction, const char *step)> progress;  // from the calling thread
  const std::atomic<bool> *cancel = nullptr;                        // ends it with GK_CANCELLED
};

// 64 hexadecimal digits: SHA-256 of the lines
//   gonka-model 1
//   config <SHA-256 of config.json>
//   <tensor name> <type, as the file names it> <extents, joined by x> <SHA-256 of its bytes>     ordered by name
// each ended by a line feed. One file or many shards with the same tensors have the same digest. Reads every byte of
// the weights. Throws status_error for files that are not a well-formed model.
std::string model_digest(const std::string &directory, const digest_options &options);

}  // namespace gonka
