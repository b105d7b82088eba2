// What validate() of several ops checks alike. Each function fills *err and returns the status, GK_OK if all is well.
#pragma once

#include "op.hpp"

namespace gonka {

// struct_size covers the struct this project was built with.
gk_status check_struct(const char *op, uint32_t struct_size, uint32_t expected, gk_error *err) noexcept;

// type is F32, F16 or BF16; anything else is GK_UNSUPPORTED.
gk_status check_float(const char *op, const char *field, uint32_t type, gk_error *err) noexcept;

// rows and columns are >= 0.
gk_status check_extents(const char *op, int64_t rows, int64_t columns, gk_error *err) noexcept;

// ld >= columns and the matrix's extent in bytes stays below 2^62. Call after check_extents.
gk_status check_matrix(const char *op, const char *field, int64_t ld, int64_t rows, int64_t columns, uint32_t type,
                       gk_error *err) noexcept;

// Extent in bytes of planes x rows runs of row_elements (all >= 0, strides in elements) is below 2^62.
bool extent_fits(int64_t planes, int64_t plane_stride, int64_t rows, int64_t row_stride, int64_t row_elements,
                 uint32_t type) noexcept;

// A dense or padded [rows, columns] operand that must be present.
operand matrix_operand(const char *name, gk_ref &ref, access mode, uint32_t type, int64_t rows, int64_t columns,
                       int64_t ld);

}  // namespace gonka
