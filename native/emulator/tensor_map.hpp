// Tensor maps and bulk tensor copies, after PTX ISA, "Tensors" and "cp.async.bulk.tensor".
#pragma once

#include "cuda/device/number_types.cuh"
#include "machine.hpp"

namespace gonka::emulator {

constexpr uint32_t k_most_dimensions = 3;

// What the emulator keeps inside a tensor_map. Dimension 0 is contiguous; stride[i]: bytes between neighbours along
// dimension i + 1. Boxes are written with the 128-byte swizzle.
struct tensor_description {
  uint8_t *base;
  uint32_t dimensions, element_bytes;
  uint64_t extent[k_most_dimensions];
  uint64_t stride[k_most_dimensions - 1];
  uint32_t box[k_most_dimensions];
};
static_assert(sizeof(tensor_description) <= sizeof(ptx::tensor_map));

// Null, or what cuTensorMapEncodeTiled would refuse.
const char *encode(const tensor_description &description, ptx::tensor_map *out);

// To shared offset `destination` of block `rank` of the cluster, reported to the mbarrier at offset `barrier` there.
void copy_tensor_async(uint32_t rank, uint32_t destination, const ptx::tensor_map &map, uint32_t dimensions,
                       const int32_t *at_index, uint32_t barrier, site at);

}  // namespace gonka::emulator
