// The frame of a translated kernel: registers, scopes, labels.
#include "kernel_writer.hpp"

#include <algorithm>
#include <set>

namespace gonka::ptx_translator {

void kernel_writer::fail(const std::string &why) const {
  throw translation_error(module_.file, now_ != nullptr ? now_->line : kernel_.line, kernel_.name,
                          why + (now_ != nullptr && !now_->text.empty() ? ": " + now_->text : ""));
}

void kernel_writer::want_operands(size_t count) const {
  if (now_->operands.size() != count)
    fail("expected " + std::to_string(count) + " operands, not " + std::to_string(now_->operands.size()));
}

const operand &kernel_writer::arg(size_t i) const {
  if (i >= now_->operands.size()) fail("an operand is missing");
  return now_->operands[i];
}

std::string kernel_writer::label_of(const std::string &name) const {
  // Labels of inline assembly are local to its braces.
  uint32_t scope = now_->scope;
  for (;;) {
    std::string label = "L" + std::to_string(scope) + "_" + name;
    if (labels_.count(label) != 0) {
      std::replace(label.begin(), label.end(), '$', '_');
      return label;
    }
    if (scope == 0) fail("no label " + name);
    scope = kernel_.scope_parents[scope];
  }
}

void kernel_writer::prepare() {
  if (kernel_.parameters.size() > 1) fail("kernels with more than one parameter are not modelled");
  if (!kernel_.shared.empty()) fail("static shared memory is not modelled");
  for (const variable &v : module_.shared)
    if (!v.external) fail("static shared memory is not modelled: " + v.name);
  registers_.resize(kernel_.scope_parents.size());
  for (const statement &s : kernel_.body) {
    if (s.is == statement::kind::declaration)
      for (const std::string &name : s.names) registers_[s.scope][name] = s.type;
    if (s.is == statement::kind::label) labels_.insert("L" + std::to_string(s.scope) + "_" + s.name);
  }
  place_accumulators();
}

// What a wgmma accumulates into is written when it is waited for, so those registers need a place in memory: an array
// for each list of registers.
void kernel_writer::place_accumulators() {
  for (const statement &s : kernel_.body) {
    if (s.is != statement::kind::instruction || s.opcode[0] != "wgmma" || s.opcode.size() < 2 ||
        s.opcode[1] != "mma_async")
      continue;
    now_ = &s;
    if (s.operands.empty() || s.operands[0].is != operand::kind::vector) fail("expected accumulators in braces");
    const std::vector<operand> &d = s.operands[0].parts;
    const auto placed = accumulators_.find(d[0].text);
    const size_t array =
        placed == accumulators_.end() ? accumulator_arrays_.size() : size_t(std::stoul(placed->second.substr(1)));
    if (placed == accumulators_.end()) accumulator_arrays_.emplace_back(register_type(d[0].text), d.size());
    for (size_t i = 0; i < d.size(); ++i) {
      const std::string home = "W" + std::to_string(array) + "[" + std::to_string(i) + "]";
      const auto [at, added] = accumulators_.emplace(d[i].text, home);
      if (at->second != home || register_type(d[i].text) != accumulator_arrays_[array].first)
        fail("accumulator " + d[i].text + " stands at different places of two wgmma");
    }
    if (accumulator_arrays_[array].second != d.size()) fail("accumulators shared by wgmma of different width");
    now_ = nullptr;
  }
  now_ = nullptr;
}

std::string kernel_writer::run(const std::string &function) {
  prepare();
  std::set<std::string> used;
  const auto use = [&](const auto &self, const operand &o) -> void {
    if (o.is == operand::kind::name) used.insert(o.text);
    if (!o.second_name.empty()) used.insert(o.second_name);
    for (const operand &part : o.parts) self(self, part);
  };
  for (const statement &s : kernel_.body) {
    if (!s.guard.empty()) used.insert(s.guard);
    for (const operand &o : s.operands) use(use, o);
  }
  for (size_t i = 0; i < kernel_.body.size(); ++i) {
    now_ = &kernel_.body[i];
    at_ = i;
    write_statement(*now_);
  }
  now_ = nullptr;

  // Registers begin as all ones: a NaN, so that a sum nobody initialised shows.
  std::string head = "void " + function + "(const void *argument) {\n(void)argument;\nbegin(k_file);\n";
  for (const auto &[name, type] : registers_[0])
    if (used.count(name) != 0 && accumulators_.count(name) == 0)
      head += c_type(type) + " " + variable_of(name) + " = " +
              (type == "pred" ? "false" : from_bits(type, "~" + unsigned_type(type) + "(0)")) + ";\n";
  for (size_t i = 0; i < accumulator_arrays_.size(); ++i) {
    const auto &[type, length] = accumulator_arrays_[i];
    const std::string array = "W" + std::to_string(i);
    head += c_type(type) + " " + array + "[" + std::to_string(length) + "];\n__builtin_memset(" + array +
            ", 0xff, sizeof " + array + ");\n";
  }
  for (const variable &v : kernel_.local)
    head += "alignas(" + std::to_string(std::max(v.alignment, 1u)) + ") uint8_t n_" + v.name + "[" +
            std::to_string(v.elements * bytes_of_type(v.type)) + "];\n__builtin_memset(n_" + v.name +
            ", 0xff, sizeof n_" + v.name + ");\n";
  if (uses_carry_) head += "bool carry = false;\n";
  return head + out_ + "}\n";
}

void kernel_writer::write_statement(const statement &s) {
  switch (s.is) {
    case statement::kind::label:
      emit(label_of(s.name) + ":;");
      return;
    case statement::kind::open_scope:
      emit("{");
      return;
    case statement::kind::close_scope:
      emit("}");
      return;
    case statement::kind::declaration:
      if (s.scope != 0)  // not initialised, so that labels inside can be jumped to
        for (const std::string &name : s.names) emit(c_type(s.type) + " " + variable_of(name) + ";");
      return;
    case statement::kind::instruction:
      break;
  }
  const auto found = handlers().find(s.opcode[0]);
  if (found == handlers().end()) unknown();
  opcode_parts parts(s);
  if (!s.guard.empty()) {
    if (register_type(s.guard) != "pred") fail("the guard is no predicate");
    emit(std::string("if (") + (s.guard_negated ? "!" : "") + variable_of(s.guard) + ") {");
  }
  (this->*found->second)(parts);
  if (!s.guard.empty()) emit("}");
}

const std::unordered_map<std::string_view, kernel_writer::handler> &kernel_writer::handlers() {
  using w = kernel_writer;
  static const std::unordered_map<std::string_view, handler> table = {
      {"mov", &w::mov},
      {"add", &w::add},
      {"addc", &w::add},
      {"sub", &w::sub},
      {"subc", &w::sub},
      {"mul", &w::mul},
      {"mad", &w::mad},
      {"fma", &w::fma},
      {"div", &w::div},
      {"rem", &w::rem},
      {"neg", &w::neg},
      {"abs", &w::abs},
      {"min", &w::minimum},
      {"max", &w::maximum},
      {"not", &w::bit_not},
      {"and", &w::bit_and},
      {"or", &w::bit_or},
      {"xor", &w::bit_xor},
      {"shl", &w::shl},
      {"shr", &w::shr},
      {"shf", &w::shf},
      {"prmt", &w::prmt},
      {"bfi", &w::bfi},
      {"bfe", &w::bfe},
      {"popc", &w::count_bits},
      {"clz", &w::count_bits},
      {"brev", &w::count_bits},
      {"setp", &w::setp},
      {"selp", &w::selp},
      {"cvt", &w::cvt},
      {"ex2", &w::approximation},
      {"lg2", &w::approximation},
      {"rcp", &w::approximation},
      {"rsqrt", &w::approximation},
      {"sqrt", &w::sqrt},
      {"cvta", &w::cvta},
      {"ld", &w::ld},
      {"st", &w::st},
      {"atom", &w::atom},
      {"red", &w::atom},
      {"mapa", &w::mapa},
      {"bra", &w::bra},
      {"ret", &w::ret},
      {"exit", &w::ret},
      {"trap", &w::trap},
      {"bar", &w::bar},
      {"barrier", &w::barrier},
      {"shfl", &w::shfl},
      {"vote", &w::vote},
      {"fence", &w::fence},
      {"setmaxnreg", &w::setmaxnreg},
      {"cp", &w::cp},
      {"mbarrier", &w::mbarrier},
      {"ldmatrix", &w::ldmatrix},
      {"stmatrix", &w::stmatrix},
      {"mma", &w::mma},
      {"wgmma", &w::wgmma},
  };
  return table;
}

}  // namespace gonka::ptx_translator
