// Distances measured where the logits are, on an accelerator.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "device.hpp"

namespace gonka::poc_v1 {

// Of one model and target; works on the stream it was made with, one call at a time. Everything throws status_error.
class device_distance {
 public:
  // Null where the device would leave the op to the host, which measures beside the device's work just as well.
  static std::unique_ptr<device_distance> make(stream &on, uint32_t logits_type, std::span<const double> target);

  // Queues the distances of logits [count, target.size()], dense. seeds [count, 4]: permutation_generator of each.
  void start(const gk_ref &logits, int64_t count, std::span<const uint64_t> seeds);
  // Waits for those of the last start().
  std::vector<double> read();

  std::string implementation() const;

 private:
  device_distance(stream &on, uint32_t logits_type, std::span<const double> target);
  gk_permuted_distance problem(int64_t count) const;

  stream &stream_;
  uint32_t logits_type_;
  int64_t columns_;
  int64_t count_ = 0;
  buffer target_, distance_;
};

}  // namespace gonka::poc_v1
