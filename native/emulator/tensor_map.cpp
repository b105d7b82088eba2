#include "tensor_map.hpp"

#include <cstring>

#include "barrier.hpp"

namespace gonka::emulator {
namespace {

constexpr uint32_t k_row_bytes = 128;  // of a swizzled box

struct tensor_copy {
  tensor_description from;
  int64_t index[k_most_dimensions];
  uint32_t destination;
};

uint32_t swizzled(uint32_t address) {
  return address ^ ((address >> 7 & 7) << 4);
}

// Calls f(shared offset, source or null, bytes inside the tensor) for every 16-byte chunk of the box.
template <class F>
void for_each_chunk(const tensor_copy &c, F &&f) {
  const tensor_description &t = c.from;
  const uint32_t per_chunk = 16 / t.element_bytes;
  uint32_t row = 0;
  const uint32_t box1 = t.dimensions > 1 ? t.box[1] : 1, box2 = t.dimensions > 2 ? t.box[2] : 1;
  for (uint32_t z = 0; z < box2; ++z)
    for (uint32_t y = 0; y < box1; ++y, ++row)
      for (uint32_t x = 0; x < t.box[0]; x += per_chunk) {
        const uint32_t to = swizzled(c.destination + row * k_row_bytes + x * t.element_bytes);
        const int64_t ix = c.index[0] + x, iy = t.dimensions > 1 ? c.index[1] + y : 0;
        const int64_t iz = t.dimensions > 2 ? c.index[2] + z : 0;
        const bool inside = ix >= 0 && ix < int64_t(t.extent[0]) && iy >= 0 &&
                            (t.dimensions < 2 || iy < int64_t(t.extent[1])) && iz >= 0 &&
                            (t.dimensions < 3 || iz < int64_t(t.extent[2]));
        if (!inside) {
          f(to, static_cast<const uint8_t *>(nullptr), 0u);
          continue;
        }
        const uint64_t left = t.extent[0] - uint64_t(ix);
        const uint8_t *source = t.base + uint64_t(ix) * t.element_bytes +
                                (t.dimensions > 1 ? uint64_t(iy) * t.stride[0] : 0) +
                                (t.dimensions > 2 ? uint64_t(iz) * t.stride[1] : 0);
        f(to, source, uint32_t((left < per_chunk ? left : per_chunk) * t.element_bytes));
      }
}

void perform(machine &m, bulk_operation &operation) {
  tensor_copy c;
  std::memcpy(&c, operation.details, sizeof c);
  block &b = m.blocks[operation.barrier_block];
  for_each_chunk(c, [&](uint32_t to, const uint8_t *source, uint32_t bytes) {
    if (bytes != 0) std::memcpy(b.shared + to, source, bytes);
    std::memset(b.shared + to + bytes, 0, 16 - bytes);
    b.shadow.deliver(m.agent(), operation.agent_clock, to, 16);
  });
  mbarrier_complete(m, operation.barrier_block, operation.barrier_offset, operation.bytes, operation.clocks,
                    operation.agent_clock);
}

}  // namespace

const char *encode(const tensor_description &d, ptx::tensor_map *out) {
  if (d.dimensions < 2 || d.dimensions > k_most_dimensions) return "tensor map: 2 or 3 dimensions";
  if (reinterpret_cast<uintptr_t>(d.base) % 16 != 0) return "tensor map: base address must be a multiple of 16";
  for (uint32_t i = 0; i < d.dimensions; ++i) {
    if (d.extent[i] == 0 || d.extent[i] > uint64_t(1) << 32) return "tensor map: extent outside 1 .. 2^32";
    if (d.box[i] == 0 || d.box[i] > 256) return "tensor map: box extent outside 1 .. 256";
    if (i + 1 < d.dimensions && (d.stride[i] % 16 != 0 || d.stride[i] >= uint64_t(1) << 40))
      return "tensor map: strides must be multiples of 16 below 2^40";
  }
  if (d.box[0] * d.element_bytes != k_row_bytes) return "tensor map: a box with 128-byte swizzle has rows of 128 bytes";
  std::memcpy(out->opaque, &d, sizeof d);
  return nullptr;
}

void copy_tensor_async(uint32_t rank, uint32_t destination, const ptx::tensor_map &map, uint32_t dimensions,
                       const int32_t *at_index, uint32_t barrier, site at) {
  machine &m = *g_machine;
  thread &t = self();
  if (rank >= m.blocks.size())
    stop(fault::bad_operand, at, "cp.async.bulk.tensor to block %u of a cluster of %zu", rank, m.blocks.size());
  block &target = m.blocks[rank];
  tensor_copy c;
  std::memcpy(&c.from, map.opaque, sizeof c.from);
  if (m.how.compute_capability < 90) stop(fault::bad_operand, at, "cp.async.bulk.tensor needs sm_90");
  if (c.from.dimensions != dimensions)
    stop(fault::bad_operand, at, "cp.async.bulk.tensor.%ud with a tensor map of %u dimensions", dimensions,
         c.from.dimensions);
  // The swizzle is a function of address bits 7 to 9: a destination that is not at a multiple of an atom would put
  // rows elsewhere than a wgmma descriptor with base offset 0 looks for them.
  if (destination % 1024 != 0)
    stop(fault::misaligned, at, "cp.async.bulk.tensor to shared offset %u; a swizzled box begins at multiples of 1024",
         destination);
  for (uint32_t i = 0; i < dimensions; ++i) c.index[i] = at_index[i];
  c.destination = destination;
  uint32_t bytes = c.from.element_bytes;
  for (uint32_t i = 0; i < dimensions; ++i) bytes *= c.from.box[i];
  if (size_t(destination) + bytes > target.shadow.size())
    stop(fault::out_of_bounds, at, "cp.async.bulk.tensor of %u bytes to shared offset %u of %zu", bytes, destination,
         target.shadow.size());
  for_each_chunk(c, [&](uint32_t to, const uint8_t *source, uint32_t inside) {
    if (inside != 0) check_global_read(source, inside, 1, touch::plain, at);
    target.shadow.write(t, to, 16, touch::async_issue, at);
  });
  if (target.mbarriers.count(barrier) == 0)
    stop(fault::barrier_misuse, at, "cp.async.bulk.tensor: no mbarrier was initialised at shared offset %u", barrier);
  bulk_operation operation{};
  operation.perform = perform;
  operation.barrier_block = rank;
  operation.barrier_offset = barrier;
  operation.agent_clock = ++m.agent_clock;
  release_into(operation.clocks, t);
  operation.bytes = bytes;
  operation.at = at;
  std::memcpy(operation.details, &c, sizeof c);
  m.bulk.push_back(std::move(operation));
  m.count->bulk_copy_bytes += bytes;
}

}  // namespace gonka::emulator
