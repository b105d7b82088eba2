// Text to program.hpp's structures.
#include "parse.hpp"

#include <cctype>
#include <cstdlib>

#include "program.hpp"

namespace gonka::ptx_translator {

translation_error::translation_error(const std::string &file, int line, const std::string &kernel,
                                     const std::string &why)
    : std::runtime_error(file + ":" + std::to_string(line) + ": " + (kernel.empty() ? "" : "kernel " + kernel + ": ") +
                         why),
      line(line) {}

uint32_t bytes_of_type(std::string_view type) {
  if (type == "pred") return 1;
  if (type == "f16x2" || type == "bf16x2") return 4;
  if (type == "bf16") return 2;
  if (type.size() < 2) return 0;
  const std::string_view bits = type.substr(1);
  if (type[0] != 'b' && type[0] != 'u' && type[0] != 's' && type[0] != 'f') return 0;
  if (bits == "8") return 1;
  if (bits == "16") return 2;
  if (bits == "32") return 4;
  if (bits == "64") return 8;
  return 0;
}

namespace {

class parser {
 public:
  parser(std::string_view text, const std::string &file) : text_(text) { out_.file = file; }

  module run() {
    while (skip_blanks(), at_ < text_.size()) module_item();
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(int line, const std::string &why) const {
    throw translation_error(out_.file, line, kernel_ != nullptr ? kernel_->name : "", why);
  }

  char take() {
    if (text_[at_] == '\n') ++line_;
    return text_[at_++];
  }
  bool starts(std::string_view what) const { return text_.substr(at_, what.size()) == what; }

  void skip_blanks() {
    while (at_ < text_.size()) {
      if (std::isspace(static_cast<unsigned char>(text_[at_]))) {
        take();
      } else if (starts("//")) {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (starts("/*")) {
        while (at_ < text_.size() && !starts("*/")) take();
        at_ = std::min(at_ + 2, text_.size());
      } else {
        return;
      }
    }
  }

  // Text up to one of `ends`, which is consumed and returned in *end; comments removed, brackets respected.
  std::string take_until(std::string_view ends, char *end) {
    std::string s;
    int depth = 0;
    while (at_ < text_.size()) {
      if (starts("//") || starts("/*")) {
        skip_blanks();
        s += ' ';
        continue;
      }
      const char c = text_[at_];
      if (depth == 0 && ends.find(c) != std::string_view::npos) {
        *end = take();
        return s;
      }
      if (c == '{' || c == '[' || c == '(') ++depth;
      if (c == '}' || c == ']' || c == ')') --depth;
      s += take();
    }
    fail(line_, "the file ends inside a statement");
  }

  std::string take_line() {
    std::string s;
    while (at_ < text_.size() && text_[at_] != '\n' && !starts("//")) s += take();
    return s;
  }

  void module_item() {
    const int line = line_;
    if (starts(".version") || starts(".address_size") || starts(".file")) {
      const std::string s = take_line();
      if (s.rfind(".address_size", 0) == 0 && s.find("64") == std::string::npos)
        fail(line, "addresses of 64 bits only");
      return;
    }
    if (starts(".target")) {
      out_.target = std::string(trim(std::string_view(take_line()).substr(7)));
      if (const size_t comma = out_.target.find(','); comma != std::string::npos) out_.target.resize(comma);
      return;
    }
    char end = 0;
    const std::string head = take_until("(;", &end);
    if (end == ';') {
      const variable v = parse_variable(head, line);
      if (head.find(".shared") != std::string::npos)
        out_.shared.push_back(v);
      else if (head.find(".global") != std::string::npos || head.find(".const") != std::string::npos)
        out_.global.push_back(v);
      else
        fail(line, "module item not understood: " + head);
      return;
    }
    const size_t entry = head.find(".entry");
    if (entry == std::string::npos) fail(line, "only kernels (.entry) are translated, not: " + head);
    kernel k;
    k.name = std::string(trim(std::string_view(head).substr(entry + 6)));
    k.line = line;
    const int parameters_line = line_;
    const std::string parameters = take_until(")", &end);
    for (std::string_view p : split_list(parameters))
      k.parameters.push_back(parse_variable(std::string(p), parameters_line));
    const int directives_line = line_;
    const std::string directives = take_until("{", &end);
    if (const size_t most = directives.find(".maxntid"); most != std::string::npos)
      k.most_threads = uint32_t(std::strtoul(directives.c_str() + most + 8, nullptr, 10));
    if (directives.find(".reqntid") != std::string::npos) fail(directives_line, ".reqntid is not modelled");
    k.scope_parents.push_back(0);
    kernel_ = &k;
    body();
    kernel_ = nullptr;
    out_.kernels.push_back(std::move(k));
  }

  // ".visible .global .align 4 .b8 name[24] = {1, 2}" and the like, also of parameters, local and shared memory.
  variable parse_variable(const std::string &whole, int line) {
    variable v;
    std::string_view s = whole;
    std::string_view initial;
    if (const size_t equals = s.find('='); equals != std::string_view::npos) {
      initial = trim(s.substr(equals + 1));
      s = s.substr(0, equals);
    }
    size_t i = 0;
    std::string expects;
    while (i < s.size()) {
      if (std::isspace(static_cast<unsigned char>(s[i]))) {
        ++i;
        continue;
      }
      if (s[i] == '[') {
        const size_t close = s.find(']', i);
        if (close == std::string_view::npos) fail(line, "unmatched [ in: " + whole);
        const std::string count(trim(s.substr(i + 1, close - i - 1)));
        v.elements = count.empty() ? 0 : std::strtoull(count.c_str(), nullptr, 0);
        i = close + 1;
        continue;
      }
      size_t end = i + 1;
      while (end < s.size() && is_word(s[end])) ++end;
      const std::string_view word = s.substr(i, end - i);
      i = end;
      if (word[0] == '.') {
        if (word == ".align")
          expects = "align";
        else if (word == ".extern")
          v.external = true;
        else if (bytes_of_type(word.substr(1)) != 0)
          v.type = word.substr(1);
      } else if (expects == "align") {
        v.alignment = uint32_t(std::strtoul(std::string(word).c_str(), nullptr, 10));
        expects.clear();
      } else {
        v.name = word;
      }
    }
    if (v.name.empty() || v.type.empty()) fail(line, "declaration not understood: " + whole);
    if (!initial.empty()) {
      if (initial.front() == '{') initial = initial.substr(1, initial.size() - 2);
      for (std::string_view part : split_list(initial)) {
        const operand o = parse_operand(part, line);
        if (o.is != operand::kind::integer) fail(line, "only integers initialise variables: " + whole);
        v.initial.push_back(o.value);
      }
    }
    return v;
  }

  void body() {
    uint32_t scope = 0;
    for (;;) {
      skip_blanks();
      if (at_ >= text_.size()) fail(line_, "the file ends inside a kernel");
      statement s;
      s.line = line_;
      s.scope = scope;
      if (text_[at_] == '{') {
        take();
        s.is = statement::kind::open_scope;
        kernel_->scope_parents.push_back(scope);
        scope = uint32_t(kernel_->scope_parents.size() - 1);
        s.scope = scope;
        kernel_->body.push_back(s);
        continue;
      }
      if (text_[at_] == '}') {
        take();
        if (scope == 0) return;
        s.is = statement::kind::close_scope;
        kernel_->body.push_back(s);
        scope = kernel_->scope_parents[scope];
        continue;
      }
      if (text_[at_] == ';') {
        take();
        continue;
      }
      if (label(s)) continue;
      char end = 0;
      s.text = std::string(trim(take_until(";", &end)));
      if (s.text[0] == '.')
        directive(s);
      else
        instruction(s);
    }
  }

  // "NAME:" but not the "::" of an opcode.
  bool label(statement &s) {
    size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    if (end == at_ || end + 1 >= text_.size() || text_[end] != ':' || text_[end + 1] == ':') return false;
    s.is = statement::kind::label;
    s.name = std::string(text_.substr(at_, end - at_));
    at_ = end + 1;
    kernel_->body.push_back(s);
    return true;
  }

  void directive(statement &s) {
    const auto is = [&](const char *what) { return s.text.rfind(what, 0) == 0; };
    if (is(".pragma") || is(".loc ") || is(".loc\t")) return;
    if (is(".local") || is(".shared")) {
      (is(".local") ? kernel_->local : kernel_->shared).push_back(parse_variable(s.text, s.line));
      return;
    }
    if (!is(".reg")) fail(s.line, "directive not understood: " + s.text);
    s.is = statement::kind::declaration;
    std::string_view rest = trim(std::string_view(s.text).substr(4));
    size_t type_end = 1;
    while (type_end < rest.size() && is_word(rest[type_end])) ++type_end;
    s.type = std::string(rest.substr(1, type_end - 1));
    if (bytes_of_type(s.type) == 0) fail(s.line, "register type not understood: " + s.text);
    for (std::string_view name : split_list(rest.substr(type_end))) {
      const size_t angle = name.find('<');
      if (angle == std::string_view::npos) {
        s.names.emplace_back(name);
        continue;
      }
      const uint64_t count = std::strtoull(std::string(name.substr(angle + 1)).c_str(), nullptr, 10);
      for (uint64_t i = 0; i < count; ++i) s.names.push_back(std::string(name.substr(0, angle)) + std::to_string(i));
    }
    kernel_->body.push_back(std::move(s));
  }

  void instruction(statement &s) {
    std::string_view rest = s.text;
    if (rest[0] == '@') {
      rest.remove_prefix(1);
      if (rest[0] == '!') {
        s.guard_negated = true;
        rest.remove_prefix(1);
      }
      size_t end = 0;
      while (end < rest.size() && is_word(rest[end])) ++end;
      s.guard = std::string(rest.substr(0, end));
      rest = trim(rest.substr(end));
    }
    size_t end = 0;
    while (end < rest.size() && !std::isspace(static_cast<unsigned char>(rest[end]))) ++end;
    std::string_view opcode = rest.substr(0, end);
    while (!opcode.empty()) {
      const size_t dot = opcode.find('.');
      s.opcode.emplace_back(opcode.substr(0, dot));
      opcode = dot == std::string_view::npos ? std::string_view() : opcode.substr(dot + 1);
    }
    for (std::string_view part : split_list(rest.substr(end))) s.operands.push_back(parse_operand(part, s.line));
    kernel_->body.push_back(std::move(s));
  }

  operand parse_operand(std::string_view text, int line) const {
    return ptx_translator::parse_operand(text, [&](const std::string &why) { fail(line, why); });
  }

  std::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
  module out_;
  kernel *kernel_ = nullptr;
};

}  // namespace

module parse(std::string_view text, const std::string &file) {
  return parser(text, file).run();
}

}  // namespace gonka::ptx_translator
