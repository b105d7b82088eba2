// ldmatrix, stmatrix, mma, wgmma.
#include "kernel_writer.hpp"

namespace gonka::ptx_translator {
namespace {

struct matrix_shape {
  bool trans = false;
  size_t count = 0;
};

matrix_shape parse_matrices(opcode_parts &p) {
  matrix_shape m;
  if (!p.take("sync") || !p.take("aligned") || !p.take("m8n8")) return m;
  m.count = p.take("x1") ? 1 : p.take("x2") ? 2 : p.take("x4") ? 4 : 0;
  m.trans = p.take("trans");
  if (!p.take("shared") && !p.take("shared::cta")) m.count = 0;
  if (!p.take("b16") || !p.done()) m.count = 0;
  return m;
}

}  // namespace

void kernel_writer::ldmatrix(opcode_parts &p) {
  const matrix_shape m = parse_matrices(p);
  if (m.count == 0) unknown();
  want_operands(2);
  if (list(arg(0)).size() != m.count) fail("as many registers as matrices are expected");
  emit("{uint32_t t[" + std::to_string(m.count) + "]; translated::ldmatrix(t, " + std::to_string(m.count) + ", " +
       (m.trans ? "true" : "false") + ", " + shared_address(arg(1)) + ", " + line() + ");");
  set_list(arg(0), "b32", "t");
  emit("}");
}

void kernel_writer::stmatrix(opcode_parts &p) {
  const matrix_shape m = parse_matrices(p);
  if (m.count == 0) unknown();
  want_operands(2);
  emit("{const uint32_t t[] = " + read_list(arg(1), "b32", m.count) + "; translated::stmatrix(t, " +
       std::to_string(m.count) + ", " + (m.trans ? "true" : "false") + ", " + shared_address(arg(0)) + ", " + line() +
       ");}");
}

void kernel_writer::mma(opcode_parts &p) {
  std::string shape;
  while (!p.done()) shape += "." + p.next();
  static const std::unordered_map<std::string_view, const char *> shapes = {
      {".sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "f16"},
      {".sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "bf16"},
      {".sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32", "e4m3"},
      {".sync.aligned.m16n8k32.row.col.f32.e5m2.e5m2.f32", "e5m2"},
      {".sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", "s8"},
  };
  const auto found = shapes.find(shape);
  if (found == shapes.end()) unknown();
  want_operands(4);
  const std::string type = found->second == std::string("s8") ? "b32" : "f32";
  if (list(arg(0)).size() != 4) fail("expected 4 results");
  emit("{uint32_t d[] = " + read_list(arg(3), type, 4) + "; const uint32_t a[] = " + read_list(arg(1), "b32", 4) +
       ", b[] = " + read_list(arg(2), "b32", 2) + ";");
  emit(std::string("translated::mma(matrix_type::") + found->second + ", d, a, b, " + line() + ");");
  set_list(arg(0), type, "d");
  emit("}");
}

// wgmma.mma_async.sync.aligned.m64nNkK.D.A.B {d}, a, b, p, 1, 1{, trans-a, trans-b}; a: descriptor or {registers}.
void kernel_writer::wgmma(opcode_parts &p) {
  const std::string name = p.next();
  if (!p.take("sync") || !p.take("aligned")) unknown();
  if (name == "fence" || name == "commit_group") {
    finish(p);
    want_operands(0);
    return emit("translated::wgmma_" + name + "(" + line() + ");");
  }
  if (name == "wait_group") {
    finish(p);
    want_operands(1);
    return emit("translated::wgmma_wait_group(" + read(0, "u32") + ", " + line() + ");");
  }
  if (name != "mma_async") unknown();
  const std::string shape = p.next(), sums = p.next(), type = p.next();
  const bool integer = type == "s8";
  if (p.next() != type || !p.done() || sums != (integer ? "s32" : "f32")) unknown();
  const bool bytes = integer || type == "e4m3" || type == "e5m2";
  if (type != "f16" && type != "bf16" && !bytes) unknown();
  const std::string k = bytes ? "k32" : "k16";
  const size_t k_at = shape.find('k', 4);
  if (shape.rfind("m64n", 0) != 0 || shape.substr(std::min(k_at, shape.size())) != k) unknown();
  const size_t n = arg(0).parts.size() * 2;
  if (shape != "m64n" + std::to_string(n) + k) fail("accumulators do not fit the shape");

  const bool a_in_registers = arg(1).is == operand::kind::vector;
  want_operands(integer ? 4 : bytes ? 6 : a_in_registers ? 7 : 8);
  const auto flag = [&](size_t i) {
    if (arg(i).is != operand::kind::integer || arg(i).value > 1) fail("expected 0 or 1");
    return arg(i).value == 1;
  };
  bool transpose_b = false;
  if (!integer) {
    if (!flag(4) || !flag(5)) fail("negated operands are not modelled");
    if (!bytes && !a_in_registers && flag(6)) fail("a transposed A is not modelled");
    transpose_b = !bytes && flag(a_in_registers ? 6 : 7);
  }
  const std::string first = variable_of(arg(0).parts[0].text), array = first.substr(0, first.find('['));
  emit(std::string("{") + (a_in_registers ? "const uint32_t a[] = " + read_list(arg(1), "b32", 4) + ";" : ""));
  emit("translated::wgmma(matrix_type::" + type + ", " + std::to_string(n) + ", " + array + ", " +
       (a_in_registers ? "0, a" : read(1, "b64") + ", nullptr") + ", " + read(2, "b64") + ", " +
       (transpose_b ? "true" : "false") + ", " + predicate(3) + ", " + line() + ");}");
}

}  // namespace gonka::ptx_translator
