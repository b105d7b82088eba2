// cvt, and the functions that the device approximates.
#include "kernel_writer.hpp"

namespace gonka::ptx_translator {

void kernel_writer::cvt(opcode_parts &p) {
  const std::string from = p.type(), to = p.type();
  std::string rounding;
  for (const char *mode : {"rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi"})
    if (p.take(mode)) rounding = mode;
  const bool saturates = p.take("sat");
  finish(p);
  const bool integral = rounding.size() == 3;

  if (to == "f16x2" || to == "bf16x2") {
    if (rounding != "rn" || saturates) unknown();
    if (from == "e4m3x2" || from == "e5m2x2") {
      want_operands(2);
      if (to != "f16x2") unknown();
      return set(0, "b32", from + "_to_f16x2(" + read(1, "b16") + ")");
    }
    if (from != "f32") unknown();
    want_operands(3);  // the first source goes to the upper half
    const std::string narrow = to == "f16x2" ? "f32_to_f16(" : "f32_to_bf16(";
    return set(0, "b32", "uint32_t(" + narrow + read(1, from) + ")) << 16 | uint32_t(" + narrow + read(2, from) + "))");
  }
  want_operands(2);
  if (from == "f32" && (to == "f16" || to == "bf16")) {
    if (rounding != "rn" || saturates) unknown();
    return set(0, "b16", (to == "f16" ? "f32_to_f16(" : "f32_to_bf16(") + read(1, from) + ")");
  }
  if (to == "f32" && (from == "f16" || from == "bf16")) {
    if (!rounding.empty() || saturates) unknown();
    return set(0, to, from + "_to_f32(" + read(1, "b16") + ")");
  }
  if (is_integer(to) && is_integer(from)) {
    if (!rounding.empty() || to[0] == 'b' || from[0] == 'b') unknown();
    std::string value = read(1, from);
    if (saturates) value = "saturate_integer<" + c_type(to) + ">(" + value + ")";
    return set(0, to, c_type(to) + "(" + value + ")");
  }
  if (is_integer(to) && is_float(from)) {
    if (!integral || to[0] == 'b') unknown();  // out of range saturates with and without .sat
    return set(0, to,
               "to_integer<" + c_type(to) + ">(round_to_integral(" + read(1, from) + ", '" +
                   (rounding == "rni" ? "n" : rounding.substr(1, 1)) + "'))");
  }
  if (is_float(to) && is_integer(from)) {
    if (rounding != "rn" || saturates || from[0] == 'b') unknown();
    return set(0, to, c_type(to) + "(" + read(1, from) + ")");
  }
  if (is_float(to) && is_float(from)) {
    std::string value = read(1, from);
    if (to == from) {
      if (integral)
        value = "round_to_integral(" + value + ", '" + (rounding == "rni" ? "n" : rounding.substr(1, 1)) + "')";
      else if (!rounding.empty())
        unknown();
    } else if (to == "f64" ? !rounding.empty() : rounding != "rn") {
      unknown();
    }
    value = c_type(to) + "(" + value + ")";
    return set(0, to, saturates ? "saturate(" + value + ")" : value);
  }
  unknown();
}

// ex2, lg2, rcp, rsqrt with .approx; rcp.rn is exact.
void kernel_writer::approximation(opcode_parts &p) {
  const std::string name = now_->opcode[0], type = p.type();
  const bool approximate = p.take("approx"), nearest = !approximate && name == "rcp" && p.take("rn");
  const bool flushes = p.take("ftz");
  finish(p);
  want_operands(2);
  std::string x = read(1, type);
  if (type == "f64") {
    if (nearest) return set(0, type, "1.0 / " + x);
    if (!approximate || !flushes || (name != "rcp" && name != "rsqrt")) unknown();
    return set(0, type, name + "_approx_ftz(" + x + ")");
  }
  if (type != "f32" || (!approximate && !nearest)) unknown();
  if (flushes) x = "flushed(" + x + ")";
  const std::string value = name == "rcp" ? "1.0f / " + x : name + "_approx(" + x + ")";
  set(0, type, flushes ? "flushed(" + value + ")" : value);
}

void kernel_writer::sqrt(opcode_parts &p) {
  const std::string type = p.type();
  if (!p.take("rn") && !(type == "f32" && p.take("approx"))) unknown();
  finish(p);
  want_operands(2);
  if (!is_float(type)) unknown();
  set(0, type, std::string("__builtin_sqrt") + (type == "f32" ? "f(" : "(") + read(1, type) + ")");
}

}  // namespace gonka::ptx_translator
