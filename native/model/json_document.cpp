#include "json_document.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>

#include "device.hpp"

namespace gonka::json {
namespace {

// Length of the well-formed UTF-8 sequence at the start of text, 0 if there is none (Unicode 15, table 3-7).
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) -> uint32_t { return i < text.size() ? uint8_t(text[i]) : 0; };
  const auto tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const uint32_t first = byte(0);
  if (first < 0x80) return text.empty() ? 0 : 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const uint32_t low = first == 0xe0 ? 0xa0 : 0x80, high = first == 0xed ? 0x9f : 0xbf;
    return byte(1) >= low && byte(1) <= high && tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const uint32_t low = first == 0xf0 ? 0x90 : 0x80, high = first == 0xf4 ? 0x8f : 0xbf;
    return byte(1) >= low && byte(1) <= high && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

void append_utf8(std::string &out, uint32_t code) {
  if (code < 0x80) {
    out += char(code);
  } else if (code < 0x800) {
    out += char(0xc0 | code >> 6);
    out += char(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += char(0xe0 | code >> 12);
    out += char(0x80 | (code >> 6 & 0x3f));
    out += char(0x80 | (code & 0x3f));
  } else {
    out += char(0xf0 | code >> 18);
    out += char(0x80 | (code >> 12 & 0x3f));
    out += char(0x80 | (code >> 6 & 0x3f));
    out += char(0x80 | (code & 0x3f));
  }
}

class parser {
 public:
  parser(std::string_view text, std::string_view name, const limits &limit) : text_(text), name_(name), limit_(limit) {}

  value document() {
    if (text_.size() > limit_.bytes)
      throw status_error(GK_INVALID_ARGUMENT, std::string(name_) + ": " + std::to_string(text_.size()) +
                                                  " bytes of JSON; expected at most " + std::to_string(limit_.bytes));
    skip_space();
    value result = parse_value(0);
    skip_space();
    if (at_ != text_.size()) error("unexpected text after the end of the document");
    return result;
  }

 private:
  [[noreturn]] void error(const std::string &what) const {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at_ && i < text_.size(); ++i) {
      ++column;
      if (text_[i] == '\n') {
        ++line;
        column = 1;
      }
    }
    throw status_error(GK_INVALID_ARGUMENT, std::string(name_) + ": not valid JSON at line " + std::to_string(line) +
                                                ", column " + std::to_string(column) + ": " + what);
  }

  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }

  void skip_space() {
    while (!done() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }

  void expect(char c) {
    if (done()) error("the text ends where '" + std::string(1, c) + "' is expected");
    if (text_[at_] != c) error("expected '" + std::string(1, c) + "'");
    ++at_;
  }

  bool literal(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  value parse_value(uint32_t depth) {
    if (++values_ > limit_.values) error("more than " + std::to_string(limit_.values) + " values");
    if (done()) error("the text ends where a value is expected");
    switch (peek()) {
      case '{':
        return parse_object(depth + 1);
      case '[':
        return parse_array(depth + 1);
      case '"':
        return value(parse_string());
      case 't':
        if (literal("true")) return value(true);
        break;
      case 'f':
        if (literal("false")) return value(false);
        break;
      case 'n':
        if (literal("null")) return value();
        break;
      default:
        if (peek() == '-' || (peek() >= '0' && peek() <= '9')) return value(parse_number());
    }
    error("expected a value");
  }

  void enter(uint32_t depth) const {
    if (depth > limit_.depth) error("nested deeper than " + std::to_string(limit_.depth) + " levels");
  }

  value parse_array(uint32_t depth) {
    enter(depth);
    expect('[');
    array items;
    skip_space();
    if (peek() == ']' && !done()) {
      ++at_;
      return value(std::move(items));
    }
    for (;;) {
      skip_space();
      items.push_back(parse_value(depth));
      skip_space();
      if (peek() == ',') {
        ++at_;
        continue;
      }
      expect(']');
      return value(std::move(items));
    }
  }

  value parse_object(uint32_t depth) {
    enter(depth);
    expect('{');
    object members;
    skip_space();
    if (peek() == '}' && !done()) {
      ++at_;
      return value(std::move(members));
    }
    for (;;) {
      skip_space();
      if (peek() != '"') error("expected a key in double quotes");
      std::string key = parse_string();
      skip_space();
      expect(':');
      skip_space();
      members.push_back({std::move(key), parse_value(depth)});
      skip_space();
      if (peek() == ',') {
        ++at_;
        continue;
      }
      expect('}');
      refuse_duplicates(members);
      return value(std::move(members));
    }
  }

  void refuse_duplicates(const object &members) const {
    std::vector<std::string_view> keys;
    keys.reserve(members.size());
    for (const member &m : members) keys.push_back(m.key);
    std::sort(keys.begin(), keys.end());
    if (const auto twice = std::adjacent_find(keys.begin(), keys.end()); twice != keys.end())
      error("an object that ends here holds the key \"" + printable(*twice) + "\" twice");
  }

  uint32_t hex4() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0 || done()) error("expected four hexadecimal digits after \\u");
      code = code << 4 | uint32_t(digit);
    }
    return code;
  }

  std::string parse_string() {
    expect('"');
    std::string out;
    for (;;) {
      if (done()) error("the text ends inside a string");
      if (out.size() > limit_.string_bytes)
        error("a string is longer than " + std::to_string(limit_.string_bytes) + " bytes");
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return out;
      }
      if (uint8_t(c) < 0x20) error("a control character in a string");
      if (c != '\\') {
        const size_t length = utf8_length(text_.substr(at_, 4));
        if (length == 0) error("invalid UTF-8");
        out.append(text_.substr(at_, length));
        at_ += length;
        continue;
      }
      ++at_;
      const char escaped = peek();
      if (done()) error("the text ends inside a string");
      ++at_;
      switch (escaped) {
        case '"':
        case '\\':
        case '/':
          out += escaped;
          break;
        case 'b':
          out += '\b';
          break;
        case 'f':
          out += '\f';
          break;
        case 'n':
          out += '\n';
          break;
        case 'r':
          out += '\r';
          break;
        case 't':
          out += '\t';
          break;
        case 'u': {
          uint32_t code = hex4();
          if (code >= 0xdc00 && code <= 0xdfff) error("an unpaired surrogate");
          if (code >= 0xd800 && code <= 0xdbff) {
            if (!literal("\\u")) error("an unpaired surrogate");
            const uint32_t low = hex4();
            if (low < 0xdc00 || low > 0xdfff) error("an unpaired surrogate");
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          }
          append_utf8(out, code);
          break;
        }
        default:
          --at_;
          error("an unknown escape sequence");
      }
    }
  }

  number parse_number() {
    const size_t start = at_;
    const auto digits = [&] {
      const size_t first = at_;
      while (peek() >= '0' && peek() <= '9' && !done()) ++at_;
      return at_ - first;
    };
    number result;
    result.is_integer = true;
    if (peek() == '-') ++at_;
    const bool zero = peek() == '0';
    const size_t whole = digits();
    if (whole == 0) error("expected a digit");
    if (zero && whole > 1) error("a number begins with 0");
    if (peek() == '.') {
      ++at_;
      result.is_integer = false;
      if (digits() == 0) error("expected a digit after the decimal point");
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      result.is_integer = false;
      if (peek() == '+' || peek() == '-') ++at_;
      if (digits() == 0) error("expected a digit in the exponent");
    }
    const char *first = text_.data() + start, *last = text_.data() + at_;
    const auto real = std::from_chars(first, last, result.real);
    // from_chars reports underflow as it does overflow; a number too small for a double is refused as well.
    if (real.ec != std::errc() || real.ptr != last || !std::isfinite(result.real)) {
      at_ = start;
      error("a number out of the range of a double");
    }
    if (result.is_integer && std::from_chars(first, last, result.integer).ec != std::errc()) {
      at_ = start;
      error("an integer out of the range of 64 bits");
    }
    return result;
  }

  const std::string_view text_;
  const std::string_view name_;
  const limits limit_;
  size_t at_ = 0;
  size_t values_ = 0;
};

}  // namespace

std::string printable(std::string_view text, size_t bytes) {
  std::string out;
  while (!text.empty() && out.size() < bytes) {
    const size_t length = utf8_length(text.substr(0, 4));
    if (length == 0 || uint8_t(text[0]) < 0x20 || text[0] == 0x7f)
      out += '?';
    else
      out.append(text.substr(0, length));
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return text.empty() ? out : out + "...";
}

std::string value::describe() const {
  if (is_null()) return "null";
  if (const bool *b = as_boolean()) return *b ? "true" : "false";
  if (const json::number *n = as_number()) {
    if (n->is_integer) return std::to_string(n->integer);
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, n->real);
    return std::string(digits, end.ptr);
  }
  if (const std::string *s = as_string()) return '"' + printable(*s, 60) + '"';
  return as_array() != nullptr ? "an array" : "an object";
}

const value *find(const object &members, std::string_view key) {
  for (const member &m : members)
    if (m.key == key) return &m.held;
  return nullptr;
}

value parse(std::string_view text, std::string_view name, const limits &limit) {
  return parser(text, name, limit).document();
}

}  // namespace gonka::json
