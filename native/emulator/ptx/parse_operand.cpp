#include <cctype>
#include <charconv>

#include "parse.hpp"

namespace gonka::ptx_translator {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%';
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.front()))) s.remove_prefix(1);
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back()))) s.remove_suffix(1);
  return s;
}

std::vector<std::string_view> split_list(std::string_view s) {
  std::vector<std::string_view> parts;
  int depth = 0;
  size_t from = 0;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '{' || s[i] == '[' || s[i] == '(') ++depth;
    if (s[i] == '}' || s[i] == ']' || s[i] == ')') --depth;
    if (s[i] == ',' && depth == 0) {
      parts.push_back(trim(s.substr(from, i - from)));
      from = i + 1;
    }
  }
  if (const std::string_view last = trim(s.substr(from)); !last.empty()) parts.push_back(last);
  return parts;
}

namespace {

operand number(operand &o, std::string_view digits, int base, const failure &fail) {
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), o.value, base);
  if (failed != std::errc() || end != digits.data() + digits.size())
    fail("number not understood: " + std::string(digits));
  return o;
}

}  // namespace

operand parse_operand(std::string_view s, const failure &fail) {
  s = trim(s);
  operand o;
  if (s.empty()) fail("an operand is missing");
  if (s == "_") return o;
  if (s[0] == '{' || s[0] == '[') {
    if (s.back() != (s[0] == '{' ? '}' : ']')) fail("operand not understood: " + std::string(s));
    o.is = s[0] == '{' ? operand::kind::vector : operand::kind::address;
    auto parts = split_list(s.substr(1, s.size() - 2));
    if (parts.empty()) fail("operand not understood: " + std::string(s));
    if (o.is == operand::kind::address) {
      const size_t sign = parts[0].find_first_of("+-", 1);
      if (sign != std::string_view::npos) {
        const operand offset = parse_operand(trim(parts[0].substr(sign + 1)), fail);
        if (offset.is != operand::kind::integer) fail("address not understood: " + std::string(s));
        o.value = parts[0][sign] == '-' ? 0 - offset.value : offset.value;
        parts[0] = trim(parts[0].substr(0, sign));
      }
    }
    for (std::string_view part : parts) o.parts.push_back(parse_operand(part, fail));
    return o;
  }
  if (s[0] == '!') {
    o = parse_operand(s.substr(1), fail);
    o.negated = true;
    return o;
  }
  if (s.size() > 2 && s[0] == '0' && (s[1] == 'f' || s[1] == 'F' || s[1] == 'd' || s[1] == 'D')) {
    o.is = s[1] == 'f' || s[1] == 'F' ? operand::kind::f32_bits : operand::kind::f64_bits;
    return number(o, s.substr(2), 16, fail);
  }
  if (std::isdigit(static_cast<unsigned char>(s[0])) || s[0] == '-') {
    o.is = operand::kind::integer;
    const bool negative = s[0] == '-';
    if (negative) s = trim(s.substr(1));
    if (!s.empty() && s.back() == 'U') s.remove_suffix(1);
    const bool hexadecimal = s.size() > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
    number(o, hexadecimal ? s.substr(2) : s, hexadecimal ? 16 : 10, fail);
    if (negative) o.value = 0 - o.value;
    return o;
  }
  o.is = operand::kind::name;
  const size_t bar = s.find('|');
  o.text = std::string(trim(s.substr(0, bar)));
  if (bar != std::string_view::npos) o.second_name = std::string(trim(s.substr(bar + 1)));
  for (char c : o.text)
    if (!is_word(c) && c != '.') fail("operand not understood: " + std::string(s));
  return o;
}

}  // namespace gonka::ptx_translator
