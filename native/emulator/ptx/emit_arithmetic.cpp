// Moves and arithmetic. PTX ISA, "Integer Arithmetic Instructions" and "Floating Point Instructions".
#include "kernel_writer.hpp"

namespace gonka::ptx_translator {

void kernel_writer::mov(opcode_parts &p) {
  const std::string type = p.type();
  finish(p);
  want_operands(2);
  const operand &to = arg(0), &from = arg(1);
  if (from.is == operand::kind::vector || to.is == operand::kind::vector) {
    const operand &many = from.is == operand::kind::vector ? from : to;
    const uint32_t bits = bytes_of_type(type) * 8 / uint32_t(many.parts.size());
    const std::string part = "b" + std::to_string(bits), whole = unsigned_type(type);
    if (bytes_of_type(part) == 0 || !is_integer(type)) unknown();
    if (&many == &from) {
      std::string value;
      for (size_t i = 0; i < from.parts.size(); ++i)
        value += (i == 0 ? "" : " | ") + whole + "(" + read(from.parts[i], part) + ") << " + std::to_string(i * bits);
      set(to, type, whole + "(" + value + ")");
    } else {
      emit("{const " + whole + " t = " + read(from, type) + ";");
      for (size_t i = 0; i < to.parts.size(); ++i)
        if (to.parts[i].is != operand::kind::blank)
          set(to.parts[i], part, unsigned_type(part) + "(t >> " + std::to_string(i * bits) + ")");
      emit("}");
    }
    return;
  }
  set(to, type, read(from, type));
}

// Integers wrap: computed unsigned.
void kernel_writer::binary(opcode_parts &p, const char *operation) {
  const std::string type = p.type();
  finish(p);
  want_operands(3);
  if (type == "pred") {
    set(0, type, predicate(1) + " " + operation + " " + predicate(2));
    return;
  }
  if (!is_integer(type)) unknown();
  const std::string u = "b" + std::to_string(bytes_of_type(type) * 8);
  set(0, u, c_type(u) + "(" + read(1, u) + " " + operation + " " + read(2, u) + ")");
}
void kernel_writer::float_sum(opcode_parts &p, const std::string &type, const char *operation) {
  p.take("rn");
  const bool saturates = type == "f32" && p.take("sat");
  finish(p);
  want_operands(3);
  const std::string value = read(1, type) + " " + operation + " " + read(2, type);
  set(0, type, saturates ? "saturate(" + value + ")" : value);
}

void kernel_writer::carry_chain(const std::string &type, bool in, bool out, bool subtract) {
  if (!is_integer(type) || bytes_of_type(type) < 4) unknown();
  uses_carry_ = true;
  const std::string u = unsigned_type(type), b = "b" + std::to_string(bytes_of_type(type) * 8);
  emit("{const " + u + " x = " + read(1, b) + ", y = " + (subtract ? "~" : "") + read(2, b) + ";");
  // A difference is x + ~y + 1; the borrow kept is the inverse of that sum's carry.
  const std::string first = in ? (subtract ? "!carry" : "carry") : (subtract ? "true" : "false");
  emit("const u128 sum = u128(x) + y + (" + first + ");");
  if (out)
    emit(std::string("carry = ") + (subtract ? "!" : "") + "(sum >> " + std::to_string(bytes_of_type(type) * 8) +
         " != 0);");
  set(0, b, u + "(sum)");
  emit("}");
}

void kernel_writer::add(opcode_parts &p) {
  const std::string type = p.type();
  const bool in = now_->opcode[0] == "addc", out = p.take("cc");
  if (in || out) {
    finish(p);
    want_operands(3);
    carry_chain(type, in, out, false);
  } else if (is_float(type)) {
    float_sum(p, type, "+");
  } else {
    opcode_parts whole(*now_);
    binary(whole, "+");
  }
}
void kernel_writer::sub(opcode_parts &p) {
  const std::string type = p.type();
  const bool in = now_->opcode[0] == "subc", out = p.take("cc");
  if (in || out) {
    finish(p);
    want_operands(3);
    carry_chain(type, in, out, true);
  } else if (is_float(type)) {
    float_sum(p, type, "-");
  } else {
    opcode_parts whole(*now_);
    binary(whole, "-");
  }
}

namespace {
// The product of two integers as mul.lo, mul.hi and mul.wide give it, in C++.
std::string product(const std::string &mode, const std::string &type, const std::string &a, const std::string &b) {
  const uint32_t bits = bytes_of_type(type) * 8;
  if (mode == "lo") return unsigned_type(type) + "(uint64_t(" + a + ") * uint64_t(" + b + "))";
  if (mode == "hi" && bits >= 32) return "mul_hi(" + a + ", " + b + ")";
  if (mode == "wide" && bits <= 32) {
    const std::string wide = std::string(type[0] == 's' ? "int" : "uint") + std::to_string(bits * 2) + "_t";
    const std::string through = type[0] == 's' ? "int64_t(" : "uint64_t(";  // int16_t and uint16_t would become int
    return wide + "(" + through + a + ") * " + through + b + "))";
  }
  return "";
}
std::string widened(const std::string &type) {
  return type.substr(0, 1) + std::to_string(bytes_of_type(type) * 16);
}
std::string take_mode(opcode_parts &p) {
  for (const char *mode : {"lo", "hi", "wide"})
    if (p.take(mode)) return mode;
  return "";
}
}  // namespace

void kernel_writer::mul(opcode_parts &p) {
  const std::string type = p.type();
  if (type == "f16x2") {
    p.take("rn");
    finish(p);
    want_operands(3);
    set(0, "b32", "mul_f16x2(" + read(1, "b32") + ", " + read(2, "b32") + ")");
    return;
  }
  if (is_float(type)) return float_sum(p, type, "*");
  const std::string mode = take_mode(p);
  finish(p);
  want_operands(3);
  const std::string value = product(mode, type, read(1, type), read(2, type));
  if (value.empty() || !is_integer(type)) unknown();
  set(0, mode == "wide" ? widened(type) : type, value);
}

void kernel_writer::mad(opcode_parts &p) {
  const std::string type = p.type();
  if (is_float(type)) unknown();
  const std::string mode = take_mode(p);
  finish(p);
  want_operands(4);
  const std::string value = product(mode, type, read(1, type), read(2, type));
  if (value.empty() || !is_integer(type)) unknown();
  const std::string sum = mode == "wide" ? widened(type) : type, u = unsigned_type(sum);
  set(0, sum, u + "(" + u + "(" + value + ") + " + u + "(" + read(3, sum) + "))");
}

void kernel_writer::fma(opcode_parts &p) {
  const std::string type = p.type();
  if (!is_float(type)) unknown();
  const std::string rounding = p.next();
  const bool saturates = type == "f32" && p.take("sat");
  finish(p);
  want_operands(4);
  const std::string operands = read(1, type) + ", " + read(2, type) + ", " + read(3, type);
  std::string value;
  if (rounding == "rn")
    value = "fma_rn(" + operands + ")";
  else if (type == "f32" && (rounding == "rz" || rounding == "rm" || rounding == "rp"))
    value = "fma_directed(" + operands + ", rounding::" + rounding + ")";
  else
    unknown();
  set(0, type, saturates ? "saturate(" + value + ")" : value);
}

void kernel_writer::div(opcode_parts &p) {
  const std::string type = p.type();
  if (is_float(type)) {
    if (!p.take("rn")) unknown();
    finish(p);
    want_operands(3);
    set(0, type, read(1, type) + " / " + read(2, type));
    return;
  }
  finish(p);
  want_operands(3);
  if (!is_integer(type) || type[0] == 'b') unknown();
  set(0, type, "divide<" + c_type(type) + ">(" + read(1, type) + ", " + read(2, type) + ")");
}
void kernel_writer::rem(opcode_parts &p) {
  const std::string type = p.type();
  finish(p);
  want_operands(3);
  if (!is_integer(type) || type[0] == 'b') unknown();
  set(0, type, "remainder<" + c_type(type) + ">(" + read(1, type) + ", " + read(2, type) + ")");
}

void kernel_writer::neg(opcode_parts &p) {
  const std::string type = p.type();
  finish(p);
  want_operands(2);
  if (is_float(type)) return set(0, type, "-" + read(1, type));
  if (!is_integer(type)) unknown();
  const std::string b = "b" + std::to_string(bytes_of_type(type) * 8);
  set(0, b, c_type(b) + "(uint64_t(0) - " + read(1, b) + ")");
}
void kernel_writer::abs(opcode_parts &p) {
  const std::string type = p.type();
  finish(p);
  want_operands(2);
  if (type == "f32") return set(0, "b32", "as_u32(" + read(1, type) + ") & 0x7fffffffu");
  if (type == "f64") return set(0, "b64", "as_u64(" + read(1, type) + ") & 0x7fffffffffffffffull");
  if (!is_integer(type) || type[0] != 's') unknown();
  const std::string u = unsigned_type(type), v = read(1, type);
  set(0, type, u + "(" + v + " < 0 ? uint64_t(0) - uint64_t(" + v + ") : uint64_t(" + v + "))");
}

}  // namespace gonka::ptx_translator
