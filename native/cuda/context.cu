#include "implementation.hpp"

namespace gonka::cuda {

void *context::scratch(uint32_t slot, uint64_t bytes) {
  if (recording_ != nullptr) {
    // The next recorded op that asks for the slot runs after this one: they share.
    for (const recorded_memory::block &known : recording_->scratch)
      if (known.slot == slot &&
          (runtime::k_exact_scratch ? known.memory.size() == bytes : known.memory.size() >= bytes))
        return known.memory.data();
    recording_->scratch.push_back({slot, device_memory(device_, bytes)});
    return recording_->scratch.back().memory.data();
  }
  if (slots_.size() <= slot) slots_.resize(slot + 1);
  device_memory &memory = slots_[slot];
  if (runtime::k_exact_scratch ? memory.size() != bytes : memory.size() < bytes) {
    runtime::synchronize(stream_);  // queued work may still use the old one
    memory = device_memory();
    memory = device_memory(device_, bytes);
  }
  return memory.data();
}

void context::free_scratch(uint32_t first) {
  if (slots_.size() <= first) return;
  runtime::synchronize(stream_);
  slots_.resize(first);
}

void *context::upload(uint32_t slot, const void *from, uint64_t bytes) {
  if (recording_ != nullptr) {
    recording_->constants.emplace_back(device_, bytes);
    void *const constant = recording_->constants.back().data();
    runtime::copy_to_device_now(device_, constant, from, bytes);
    return constant;
  }
  void *to = scratch(slot, bytes);
  runtime::copy_to_device(stream_, to, from, bytes);
  return to;
}

}  // namespace gonka::cuda
