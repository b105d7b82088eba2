// Logic, shifts, bit fields.
#include "kernel_writer.hpp"

namespace gonka::ptx_translator {

void kernel_writer::bit_and(opcode_parts &p) {
  binary(p, "&");
}
void kernel_writer::bit_or(opcode_parts &p) {
  binary(p, "|");
}
void kernel_writer::bit_xor(opcode_parts &p) {
  binary(p, "^");
}
void kernel_writer::bit_not(opcode_parts &p) {
  const std::string type = p.type();
  finish(p);
  want_operands(2);
  set(0, type, type == "pred" ? "!(" + predicate(1) + ")" : c_type(type) + "(~" + read(1, type) + ")");
}

void kernel_writer::shl(opcode_parts &p) {
  const std::string type = p.type();
  finish(p);
  want_operands(3);
  if (!is_integer(type)) unknown();
  if (arg(2).is == operand::kind::integer && arg(2).value < bytes_of_type(type) * 8)
    return set(0, type, unsigned_type(type) + "(" + read(1, type) + " << " + std::to_string(arg(2).value) + ")");
  set(0, type, "translated::shl<" + unsigned_type(type) + ">(" + read(1, type) + ", " + read(2, "b32") + ")");
}
void kernel_writer::shr(opcode_parts &p) {
  const std::string type = p.type();
  finish(p);
  want_operands(3);
  if (!is_integer(type)) unknown();
  if (arg(2).is == operand::kind::integer && arg(2).value < bytes_of_type(type) * 8)
    return set(0, type, c_type(type) + "(" + read(1, type) + " >> " + std::to_string(arg(2).value) + ")");
  set(0, type, "translated::shr<" + c_type(type) + ">(" + read(1, type) + ", " + read(2, "b32") + ")");
}
void kernel_writer::shf(opcode_parts &p) {
  const bool left = p.take("l");
  if (!left && !p.take("r")) unknown();
  const bool wraps = p.take("wrap");
  if (!wraps && !p.take("clamp")) unknown();
  if (p.type() != "b32") unknown();
  finish(p);
  want_operands(4);
  const std::string count = read(3, "b32");
  set(0, "b32",
      std::string(left ? "shf_left(" : "shf_right(") + read(1, "b32") + ", " + read(2, "b32") + ", " +
          (wraps ? "(" + count + ") & 31" : "clamp_to_32(" + count + ")") + ")");
}

void kernel_writer::prmt(opcode_parts &p) {
  if (p.type() != "b32") unknown();
  finish(p);
  want_operands(4);
  set(0, "b32", "translated::prmt(" + read(1, "b32") + ", " + read(2, "b32") + ", " + read(3, "b32") + ")");
}
void kernel_writer::bfi(opcode_parts &p) {
  const std::string type = p.type();
  if (type != "b32" && type != "b64") unknown();
  finish(p);
  want_operands(5);
  set(0, type,
      "translated::bfi<" + c_type(type) + ">(" + read(1, type) + ", " + read(2, type) + ", " + read(3, "b32") + ", " +
          read(4, "b32") + ")");
}
void kernel_writer::bfe(opcode_parts &p) {
  const std::string type = p.type();
  if (!is_integer(type) || type[0] == 'b' || bytes_of_type(type) < 4) unknown();
  finish(p);
  want_operands(4);
  set(0, type,
      "translated::bfe<" + c_type(type) + ">(" + read(1, type) + ", " + unsigned_type(type) + "(0), " + read(2, "b32") +
          ", " + read(3, "b32") + ")");
}
void kernel_writer::count_bits(opcode_parts &p) {
  const std::string type = p.type(), name = now_->opcode[0];
  finish(p);
  want_operands(2);
  if (type != "b32" && (type != "b64" || name == "brev")) unknown();
  const std::string x = read(1, type), suffix = type == "b64" ? "ll(" : "(";
  if (name == "popc")
    set(0, "b32", "uint32_t(__builtin_popcount" + suffix + x + "))");
  else if (name == "clz")
    set(0, "b32", x + " == 0 ? " + (type == "b64" ? "64u" : "32u") + " : uint32_t(__builtin_clz" + suffix + x + "))");
  else
    set(0, "b32", "translated::brev(" + x + ")");
}

}  // namespace gonka::ptx_translator
