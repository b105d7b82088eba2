#include "v1/device_distance.hpp"

#include "choice.hpp"

namespace gonka::poc_v1 {

device_distance::device_distance(stream &on, uint32_t logits_type, std::span<const double> target)
    : stream_(on), logits_type_(logits_type), columns_(int64_t(target.size())) {
  target_ = buffer(stream_.owner(), target.size_bytes());
  stream_.write(target_, 0, target.data(), target.size_bytes());
}

std::unique_ptr<device_distance> device_distance::make(stream &on, uint32_t logits_type,
                                                       std::span<const double> target) {
  if (on.owner().library().table->buffer_pointer != nullptr) return nullptr;  // the device is the host
  std::unique_ptr<device_distance> made(new device_distance(on, logits_type, target));
  const uint64_t seeds[4] = {};
  gk_permuted_distance p = made->problem(1);
  p.seeds = seeds;
  return on.runs_itself(GK_OP_PERMUTED_DISTANCE, &p) ? std::move(made) : nullptr;
}

gk_permuted_distance device_distance::problem(int64_t count) const {
  gk_permuted_distance p{};
  p.struct_size = sizeof p;
  p.x_type = logits_type_;
  p.rows = count;
  p.columns = p.ldx = columns_;
  return p;
}

void device_distance::start(const gk_ref &logits, int64_t count, std::span<const uint64_t> seeds) {
  const uint64_t bytes = uint64_t(count) * sizeof(double);
  if (distance_.size() < bytes) distance_ = buffer(stream_.owner(), bytes);
  gk_permuted_distance p = problem(count);
  p.seeds = seeds.data();
  p.x = logits;
  p.target = target_.at();
  p.distance = distance_.at();
  stream_.run(GK_OP_PERMUTED_DISTANCE, &p);
  count_ = count;
}

std::vector<double> device_distance::read() {
  std::vector<double> out(static_cast<size_t>(count_));
  stream_.read(distance_, 0, out.data(), out.size() * sizeof(double));
  return out;
}

std::string device_distance::implementation() const {
  const uint64_t seeds[4] = {};
  gk_permuted_distance p = problem(1);
  p.seeds = seeds;
  return chosen_name(stream_, GK_OP_PERMUTED_DISTANCE, &p);
}

}  // namespace gonka::poc_v1
