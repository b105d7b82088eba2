// A small strict JSON reader for golden vectors. Throws std::runtime_error with the byte offset on bad input.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace json {

struct value {
  enum class kind { null, boolean, number, string, array, object } type = kind::null;
  bool boolean = false;
  std::string text;  // of a string (decoded) or of a number (as written)
  std::vector<value> items;
  std::vector<std::pair<std::string, value>> members;  // in the file's order

  const value &expect(kind wanted) const {
    if (type != wanted) throw std::runtime_error("json: value has another type than expected");
    return *this;
  }
  bool has(std::string_view key) const {
    for (const auto &[name, member] : expect(kind::object).members)
      if (name == key) return true;
    return false;
  }
  const value &operator[](std::string_view key) const {
    for (const auto &[name, member] : expect(kind::object).members)
      if (name == key) return member;
    throw std::runtime_error("json: no member '" + std::string(key) + "'");
  }
  const value &operator[](size_t index) const { return expect(kind::array).items.at(index); }
  size_t size() const { return type == kind::object ? members.size() : expect(kind::array).items.size(); }
  auto begin() const { return expect(kind::array).items.begin(); }
  auto end() const { return expect(kind::array).items.end(); }
  const std::string &str() const { return expect(kind::string).text; }
  double num() const { return std::strtod(expect(kind::number).text.c_str(), nullptr); }
  bool flag() const { return expect(kind::boolean).boolean; }
  int64_t integer() const { return parse<int64_t>(expect(kind::number).text, 10); }
  // A decimal u64, written as a number or as a string.
  uint64_t u64() const { return parse<uint64_t>(text, 10); }
  // A double written as C99 %a text in a string: loss-free.
  double hex_double() const {
    char *end;
    const double result = std::strtod(str().c_str(), &end);
    if (end != text.c_str() + text.size() || text.empty())
      throw std::runtime_error("json: not a hexadecimal double: " + text);
    return result;
  }

 private:
  template <class T>
  static T parse(const std::string &digits, int base) {
    T result{};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), result, base);
    if (error != std::errc() || end != digits.data() + digits.size())
      throw std::runtime_error("json: not an integer: " + digits);
    return result;
  }
};

class reader {
 public:
  explicit reader(std::string_view text) : text_(text) {}

  value document() {
    value v = parse(0);
    space();
    if (at_ != text_.size()) bad("trailing characters");
    return v;
  }

 private:
  [[noreturn]] void bad(const char *what) const {
    throw std::runtime_error("json: " + std::string(what) + " at byte " + std::to_string(at_));
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool take(char c) {
    space();
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void need(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) bad("unexpected character");
    at_ += word.size();
  }

  value parse(int depth) {
    if (depth > 64) bad("nested too deeply");
    space();
    value v;
    switch (peek()) {
      case '{':
        ++at_;
        v.type = value::kind::object;
        if (take('}')) return v;
        do {
          space();
          std::string key = string();
          if (!take(':')) bad("expected ':'");
          v.members.emplace_back(std::move(key), parse(depth + 1));
        } while (take(','));
        if (!take('}')) bad("expected '}'");
        return v;
      case '[':
        ++at_;
        v.type = value::kind::array;
        if (take(']')) return v;
        do v.items.push_back(parse(depth + 1));
        while (take(','));
        if (!take(']')) bad("expected ']'");
        return v;
      case '"':
        v.type = value::kind::string;
        v.text = string();
        return v;
      case 't':
        need("true");
        v.type = value::kind::boolean;
        v.boolean = true;
        return v;
      case 'f':
        need("false");
        v.type = value::kind::boolean;
        return v;
      case 'n':
        need("null");
        return v;
      default:
        v.type = value::kind::number;
        v.text = number();
        return v;
    }
  }

  void digits() {
    if (peek() < '0' || peek() > '9') bad("expected a digit");
    while (peek() >= '0' && peek() <= '9') ++at_;
  }

  std::string number() {
    const size_t start = at_;
    if (peek() == '-') ++at_;
    if (peek() == '0')
      ++at_;
    else
      digits();
    if (peek() == '.') {
      ++at_;
      digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
    return std::string(text_.substr(start, at_ - start));
  }

  uint32_t code_unit() {
    uint32_t unit = 0;
    for (int i = 0; i < 4; ++i) {
      const size_t digit = std::string_view("0123456789abcdef0123456789ABCDEF").find(peek());
      if (digit == std::string_view::npos || peek() == '\0') bad("bad \\u escape");
      unit = unit * 16 + uint32_t(digit % 16);
      ++at_;
    }
    return unit;
  }

  std::string string() {
    if (peek() != '"') bad("expected a string");
    ++at_;
    std::string out;
    for (;;) {
      if (at_ >= text_.size()) bad("unterminated string");
      const unsigned char c = static_cast<unsigned char>(text_[at_++]);
      if (c == '"') return out;
      if (c < 0x20) bad("control character in string");
      if (c != '\\') {
        out += char(c);
        continue;
      }
      const char escape = peek();
      ++at_;
      const size_t simple = std::string_view("\"\\/bfnrt").find(escape);
      if (simple != std::string_view::npos && escape != '\0') {
        out += "\"\\/\b\f\n\r\t"[simple];
        continue;
      }
      if (escape != 'u') bad("bad escape");
      uint32_t point = code_unit();
      if (point >= 0xd800 && point < 0xdc00) {
        need("\\u");
        const uint32_t low = code_unit();
        if (low < 0xdc00 || low > 0xdfff) bad("lone surrogate");
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
      } else if (point >= 0xdc00 && point < 0xe000) {
        bad("lone surrogate");
      }
      append_utf8(out, point);
    }
  }

  static void append_utf8(std::string &out, uint32_t point) {
    if (point < 0x80) {
      out += char(point);
    } else if (point < 0x800) {
      out += char(0xc0 | point >> 6);
      out += char(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
      out += char(0xe0 | point >> 12);
      out += char(0x80 | (point >> 6 & 0x3f));
      out += char(0x80 | (point & 0x3f));
    } else {
      out += char(0xf0 | point >> 18);
      out += char(0x80 | (point >> 12 & 0x3f));
      out += char(0x80 | (point >> 6 & 0x3f));
      out += char(0x80 | (point & 0x3f));
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

inline value parse(std::string_view text) {
  return reader(text).document();
}

inline value read_file(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("json: cannot open " + path);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  try {
    return parse(text);
  } catch (const std::runtime_error &e) {
    throw std::runtime_error(path + ": " + e.what());
  }
}

}  // namespace json
