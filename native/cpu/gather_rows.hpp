// Picking rows and columns over a simd type. Included by gather_<isa>.cpp only.
#pragma once

#include "gather/gather.hpp"
#include "row_kernels.hpp"

namespace gonka::cpu {
namespace {

template <class V, uint32_t Type, uint32_t OutType>
void gather_rows(const gk_gather &p, void *const *pointers, int64_t begin, int64_t end) {
  const void *x = pointers[k_gather_x];
  void *const out = pointers[k_gather_out];
  const auto *row_index = static_cast<const int32_t *>(pointers[k_gather_row_index]);
  const auto *column_index = static_cast<const int32_t *>(pointers[k_gather_column_index]);
  constexpr int64_t size = Type == GK_F32 ? 4 : 2, width = V::width;
  for (int64_t r = begin; r < end; ++r) {
    const int64_t from = (row_index != nullptr ? row_index[r] : r) * p.ldx, to = r * p.ldo;
    if (column_index != nullptr) {
      const void *row = static_cast<const char *>(x) + from * size;
      const int32_t *columns = column_index + r * p.columns;
      for (int64_t c = 0; c < p.columns; c += width) {
        const int n = int(p.columns - c < width ? p.columns - c : width);
        V::template store_as_first<OutType>(out, to + c, V::template gather_first<Type>(row, columns + c, n), n);
      }
    } else if (Type == OutType) {
      __builtin_memcpy(static_cast<char *>(out) + to * size, static_cast<const char *>(x) + from * size,
                       size_t(p.columns * size));
    } else {
      int64_t c = 0;
      for (; c + width <= p.columns; c += width)
        V::template store_as<OutType>(out, to + c, V::template load_as<Type>(x, from + c));
      if (const int n = int(p.columns - c); n > 0)
        V::template store_as_first<OutType>(out, to + c, V::template load_as_first<Type>(x, from + c, n), n);
    }
  }
}

template <class V, uint32_t Type>
void gather_of_type(const gk_gather &p, void *const *pointers, int64_t begin, int64_t end) {
  switch (p.out_type) {
    case GK_F32:
      return gather_rows<V, Type, GK_F32>(p, pointers, begin, end);
    case GK_F16:
      return gather_rows<V, Type, GK_F16>(p, pointers, begin, end);
    default:
      return gather_rows<V, Type, GK_BF16>(p, pointers, begin, end);
  }
}

}  // namespace
}  // namespace gonka::cpu
