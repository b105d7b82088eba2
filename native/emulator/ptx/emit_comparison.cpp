// Minimum, maximum, comparison, selection.
#include "kernel_writer.hpp"

namespace gonka::ptx_translator {

void kernel_writer::extremum(opcode_parts &p, const char *name) {
  const std::string type = p.type();
  finish(p);
  want_operands(3);
  if (!is_float(type) && (!is_integer(type) || type[0] == 'b')) unknown();
  set(0, type,
      std::string(is_float(type) ? "f" : "") + name + "_of<" + c_type(type) + ">(" + read(1, type) + ", " +
          read(2, type) + ")");
}
void kernel_writer::minimum(opcode_parts &p) {
  extremum(p, "min");
}
void kernel_writer::maximum(opcode_parts &p) {
  extremum(p, "max");
}

// setp.CMP{.BOOL}.TYPE p{|q}, a, b{, c}: p = (a CMP b) BOOL c; q the same with the comparison inverted.
void kernel_writer::setp(opcode_parts &p) {
  const std::string type = p.type();
  const std::string comparison = p.next();
  std::string boolean;
  for (const char *name : {"and", "or", "xor"})
    if (p.take(name)) boolean = name;
  finish(p);
  want_operands(boolean.empty() ? 3 : 4);
  if (type == "f16" || type == "bf16" || bytes_of_type(type) == 0) unknown();
  static const std::unordered_map<std::string_view, const char *> plain = {
      {"eq", "=="}, {"ne", "!="}, {"lt", "<"},  {"le", "<="}, {"gt", ">"},
      {"ge", ">="}, {"lo", "<"},  {"ls", "<="}, {"hi", ">"},  {"hs", ">="}};
  static const std::unordered_map<std::string_view, const char *> or_nan = {
      {"equ", "=="}, {"neu", "!="}, {"ltu", "<"}, {"leu", "<="}, {"gtu", ">"}, {"geu", ">="}};
  const std::string a = read(1, type), b = read(2, type);
  const std::string nan = "(" + a + " != " + a + " || " + b + " != " + b + ")";
  std::string value;
  if (const auto found = plain.find(comparison); found != plain.end()) {
    value = "(" + a + " " + found->second + " " + b + ")";
    if (is_float(type) && comparison == "ne") value = "(" + value + " && !" + nan + ")";  // C++'s != is true for NaN
  } else if (const auto found_u = or_nan.find(comparison); is_float(type) && found_u != or_nan.end()) {
    value = "(" + a + " " + found_u->second + " " + b + " || " + nan + ")";
  } else if (is_float(type) && comparison == "nan") {
    value = nan;
  } else if (is_float(type) && comparison == "num") {
    value = "!" + nan;
  } else {
    unknown();
  }
  const auto joined = [&](const std::string &c) {
    if (boolean.empty()) return c;
    const std::string with = boolean == "and" ? " && " : boolean == "or" ? " || " : " != ";
    return "(" + c + with + "(" + predicate(3) + "))";
  };
  operand first = arg(0), second = arg(0);
  second.text = first.second_name;
  first.second_name.clear();
  if (second.text.empty()) return set(first, "pred", joined(value));
  emit("{const bool c = " + value + ", p = " + joined("c") + ", q = " + joined("!c") + ";");
  set(first, "pred", "p");
  if (second.text != "_") set(second, "pred", "q");
  emit("}");
}

void kernel_writer::selp(opcode_parts &p) {
  const std::string type = p.type();
  finish(p);
  want_operands(4);
  set(0, type, predicate(3) + " ? " + read(1, type) + " : " + read(2, type));
}

}  // namespace gonka::ptx_translator
