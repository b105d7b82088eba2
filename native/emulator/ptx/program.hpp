// A PTX module as text taken apart, before anything is known about what its instructions do.
// Grammar: PTX ISA, "Syntax" and "State Spaces, Types, and Variables"; the part of it that compilers emit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "translate.hpp"

namespace gonka::ptx_translator {

struct operand {
  enum class kind : uint8_t {
    name,      // register, special register, label, variable; text, with `%` where written
    integer,   // value
    f32_bits,  // 0f…: bits in value
    f64_bits,  // 0d…
    vector,    // {…}: parts
    address,   // […]: parts[0] is the base, value the offset; further parts: what follows a comma inside
    blank,     // _
  } is = kind::blank;
  std::string text;
  uint64_t value = 0;
  std::vector<operand> parts;
  bool negated = false;     // !p
  std::string second_name;  // of r|p
};

struct statement {
  enum class kind : uint8_t { instruction, label, open_scope, close_scope, declaration } is = kind::instruction;
  int line = 0;
  std::string text;  // as written, for messages
  // instruction
  std::string guard;  // predicate register of @p or @!p; empty: none
  bool guard_negated = false;
  std::vector<std::string> opcode;  // parts between dots: "mul", "wide", "u32"
  std::vector<operand> operands;
  // label: name. declaration: names, of one type
  std::string type;  // "b32", "pred", …
  std::string name;
  std::vector<std::string> names;
  uint32_t scope = 0;  // innermost scope it stands in; 0: the body
};

struct variable {
  std::string name, type;
  uint32_t alignment = 1;
  uint64_t elements = 1;
  std::vector<uint64_t> initial;
  bool external = false;
};

struct kernel {
  std::string name;
  int line = 0;
  std::vector<variable> parameters;
  std::vector<variable> local, shared;
  uint32_t most_threads = 0;  // .maxntid; 0: not given
  std::vector<statement> body;
  std::vector<uint32_t> scope_parents;  // by scope
};

struct module {
  std::string file;
  std::string target;  // "sm_80", "sm_90a"
  std::vector<variable> global, shared;
  std::vector<kernel> kernels;
};

module parse(std::string_view text, const std::string &file);

uint32_t bytes_of_type(std::string_view type);  // 0: unknown

}  // namespace gonka::ptx_translator
