// Registers, numbers and addresses as C++ expressions.
#include <algorithm>

#include "kernel_writer.hpp"

namespace gonka::ptx_translator {

bool is_float(std::string_view type) {
  return type == "f32" || type == "f64";
}
bool is_integer(std::string_view type) {
  return bytes_of_type(type) != 0 &&
         (type[0] == 'u' || type[0] == 's' || (type[0] == 'b' && type != "bf16" && type != "bf16x2"));
}
std::string unsigned_type(std::string_view type) {
  return "uint" + std::to_string(bytes_of_type(type) * 8) + "_t";
}
std::string c_type(std::string_view type) {
  if (type == "pred") return "bool";
  if (type == "f32") return "float";
  if (type == "f64") return "double";
  if (type[0] == 's') return unsigned_type(type).substr(1);
  return unsigned_type(type);
}
std::string to_bits(const std::string &type, const std::string &value) {
  if (type == "f32") return "as_u32(" + value + ")";
  if (type == "f64") return "as_u64(" + value + ")";
  return unsigned_type(type) + "(" + value + ")";
}
std::string from_bits(const std::string &type, const std::string &bits) {
  if (type == "f32") return "as_f32(" + bits + ")";
  if (type == "f64") return "as_f64(" + bits + ")";
  return c_type(type) + "(" + bits + ")";
}

std::string kernel_writer::register_type(const std::string &name) const {
  uint32_t scope = now_ != nullptr ? now_->scope : 0;
  for (;;) {
    const auto found = registers_[scope].find(name);
    if (found != registers_[scope].end()) return found->second;
    if (scope == 0) return "";
    scope = kernel_.scope_parents[scope];
  }
}

std::string kernel_writer::variable_of(const std::string &name) const {
  const auto home = accumulators_.find(name);
  if (home != accumulators_.end()) return home->second;
  std::string s = name[0] == '%' ? "r_" + name.substr(1) : "n_" + name;
  std::replace_if(s.begin(), s.end(), [](char c) { return c == '$' || c == '.'; }, '_');
  return s;
}

std::string kernel_writer::symbol_address(const std::string &name) const {
  for (const variable &v : kernel_.parameters)
    if (v.name == name) return "uint64_t(argument)";
  for (const variable &v : kernel_.local)
    if (v.name == name) return "uint64_t(n_" + name + ")";
  for (const variable &v : module_.shared)
    if (v.name == name) return "uint64_t(0)";  // dynamic shared memory starts at offset 0: there is no other
  for (const variable &v : module_.global)
    if (v.name == name) return "address_of_" + name + "()";
  return "";
}

std::string kernel_writer::read(const operand &o, const std::string &type) const {
  const std::string want = c_type(type);
  switch (o.is) {
    case operand::kind::integer: {
      if (is_float(type)) fail("an integer where a number of type " + type + " is expected");
      if (type == "pred") return o.value != 0 ? "true" : "false";
      const uint32_t bits = bytes_of_type(type) * 8;
      const uint64_t value = bits == 64 ? o.value : o.value & ((uint64_t(1) << bits) - 1);
      const std::string literal = std::to_string(value) + (bits == 64 ? "ull" : "u");
      return bits >= 32 && type[0] != 's' ? literal : want + "(" + literal + ")";
    }
    case operand::kind::f32_bits:
    case operand::kind::f64_bits: {
      const bool wide = o.is == operand::kind::f64_bits;
      if (bytes_of_type(type) != (wide ? 8u : 4u)) fail("a number of another width than " + type);
      const std::string bits = std::to_string(o.value) + (wide ? "ull" : "u");
      return from_bits(type, bits);
    }
    case operand::kind::name:
      break;
    default:
      fail("expected a register or a number");
  }
  static const std::unordered_map<std::string_view, const char *> special = {
      {"%tid.x", "tid_x()"},
      {"%tid.y", "tid_y()"},
      {"%tid.z", "tid_z()"},
      {"%ntid.x", "ntid_x()"},
      {"%ntid.y", "ntid_y()"},
      {"%ntid.z", "ntid_z()"},
      {"%ctaid.x", "ctaid_x()"},
      {"%ctaid.y", "ctaid_y()"},
      {"%ctaid.z", "ctaid_z()"},
      {"%nctaid.x", "nctaid_x()"},
      {"%nctaid.y", "nctaid_y()"},
      {"%nctaid.z", "nctaid_z()"},
      {"%laneid", "laneid()"},
      {"%warpid", "warpid()"},
      {"%cluster_ctarank", "cluster_ctarank()"},
      {"%cluster_nctarank", "cluster_nctarank()"},
  };
  if (const auto found = special.find(o.text); found != special.end()) return want + "(" + found->second + ")";
  const std::string have = register_type(o.text);
  if (have.empty()) {
    const std::string address = symbol_address(o.text);
    if (address.empty()) fail("unknown name " + o.text);
    return want + "(" + address + ")";
  }
  const std::string name = variable_of(o.text);
  if ((have == "pred") != (type == "pred")) fail("register " + o.text + " is ." + have + ", not ." + type);
  if (type == "pred") return o.negated ? "!" + name : name;
  if (o.negated) fail("only predicates are negated");
  if (bytes_of_type(have) < bytes_of_type(type)) fail("register " + o.text + " is narrower than ." + type);
  if (is_float(type)) {
    if (have == type) return name;
    if (bytes_of_type(have) != bytes_of_type(type)) fail("register " + o.text + " is not as wide as ." + type);
    return from_bits(type, name);
  }
  if (want == unsigned_type(have) && !is_float(have)) return name;
  return want + "(" + (is_float(have) ? to_bits(have, name) : name) + ")";
}

void kernel_writer::set(const operand &o, const std::string &type, const std::string &value) {
  if (o.is == operand::kind::blank) {
    emit("(void)(" + value + ");");
    return;
  }
  if (o.is != operand::kind::name) fail("expected a register as the destination");
  const std::string have = register_type(o.text);
  if (have.empty()) fail("unknown register " + o.text);
  const std::string name = variable_of(o.text);
  if ((have == "pred") != (type == "pred")) fail("register " + o.text + " is ." + have + ", not ." + type);
  if (bytes_of_type(have) < bytes_of_type(type)) fail("register " + o.text + " is narrower than ." + type);
  if (type == "pred" || have == type || (!is_float(have) && unsigned_type(have) == c_type(type))) {
    emit(name + " = " + value + ";");
  } else if (is_float(have)) {
    if (bytes_of_type(have) != bytes_of_type(type)) fail("register " + o.text + " is not as wide as ." + type);
    emit(name + " = " + from_bits(have, c_type(type) + "(" + value + ")") + ";");
  } else if (is_float(type)) {
    if (bytes_of_type(have) != bytes_of_type(type)) fail("register " + o.text + " is not as wide as ." + type);
    emit(name + " = " + to_bits(type, value) + ";");
  } else {  // narrower values are extended by their own sign
    emit(name + " = " + unsigned_type(have) + "(" + c_type(type) + "(" + value + "));");
  }
}

std::vector<operand> kernel_writer::list(const operand &o) {
  return o.is == operand::kind::vector ? o.parts : std::vector<operand>{o};
}

std::string kernel_writer::read_list(const operand &o, const std::string &type, size_t count) const {
  const std::vector<operand> parts = list(o);
  if (parts.size() != count)
    fail("expected " + std::to_string(count) + " registers in braces, not " + std::to_string(parts.size()));
  std::string s = "{";
  for (const operand &part : parts) s += (s.size() > 1 ? ", " : "") + to_bits(type, read(part, type));
  return s + "}";
}

void kernel_writer::set_list(const operand &o, const std::string &type, const std::string &array) {
  size_t i = 0;
  for (const operand &part : list(o)) {
    if (part.is != operand::kind::blank) set(part, type, from_bits(type, array + "[" + std::to_string(i) + "]"));
    ++i;
  }
}

std::string kernel_writer::shared_address(const operand &address) const {
  if (address.is != operand::kind::address || address.parts.size() != 1) fail("expected [address]");
  const std::string base = read(address.parts[0], "b32");
  return address.value == 0 ? base : base + " + " + std::to_string(uint32_t(address.value)) + "u";
}

std::string kernel_writer::wide_address(const operand &address) const {
  if (address.is != operand::kind::address) fail("expected [address]");
  const std::string base = read(address.parts[0], "b64");
  return address.value == 0 ? base : base + " + " + std::to_string(address.value) + "ull";
}

const variable *kernel_writer::parameter(const operand &address) const {
  if (address.is != operand::kind::address) return nullptr;
  for (const variable &v : kernel_.parameters)
    if (v.name == address.parts[0].text) return &v;
  return nullptr;
}

}  // namespace gonka::ptx_translator
