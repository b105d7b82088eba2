// Writes one kernel as a C++ function. Internal to the translator.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "program.hpp"

namespace gonka::ptx_translator {

// The parts of an opcode after its name, taken one by one; what is left over is an error.
class opcode_parts {
 public:
  explicit opcode_parts(const statement &s) : parts_(s.opcode), last_(s.opcode.size()) {}
  bool take(std::string_view part) {
    if (at_ >= last_ || parts_[at_] != part) return false;
    ++at_;
    return true;
  }
  bool take_prefix(std::string_view prefix) {  // ".L2::128B" and other hints
    if (at_ >= last_ || std::string_view(parts_[at_]).substr(0, prefix.size()) != prefix) return false;
    ++at_;
    return true;
  }
  std::string type() { return at_ < last_ ? parts_[--last_] : std::string(); }
  std::string next() { return at_ < last_ ? parts_[at_++] : std::string(); }
  bool done() const { return at_ == last_; }

 private:
  const std::vector<std::string> &parts_;
  size_t at_ = 1, last_;
};

class kernel_writer {
 public:
  kernel_writer(const module &m, const kernel &k) : module_(m), kernel_(k) {}
  std::string run(const std::string &function);

 private:
  using handler = void (kernel_writer::*)(opcode_parts &);
  static const std::unordered_map<std::string_view, handler> &handlers();

  // Messages about the current statement.
  [[noreturn]] void fail(const std::string &why) const;
  [[noreturn]] void unknown() const { fail("the translator does not know this instruction"); }
  void want_operands(size_t count) const;
  void finish(const opcode_parts &p) const {
    if (!p.done()) unknown();
  }

  // Operands as C++.
  const operand &arg(size_t i) const;
  std::string read(const operand &o, const std::string &type) const;
  std::string read(size_t i, const std::string &type) const { return read(arg(i), type); }
  void set(const operand &o, const std::string &type, const std::string &value);
  void set(size_t i, const std::string &type, const std::string &value) { set(arg(i), type, value); }
  std::string predicate(size_t i) const { return read(i, "pred"); }
  std::string register_type(const std::string &name) const;  // empty: not a register
  std::string variable_of(const std::string &name) const;    // C++ name of a register
  std::string line() const { return std::to_string(now_->line); }
  std::string shared_address(const operand &address) const;   // uint32_t
  std::string wide_address(const operand &address) const;     // uint64_t
  const variable *parameter(const operand &address) const;    // that it names, or null
  std::string symbol_address(const std::string &name) const;  // empty: none of that name
  std::string label_of(const std::string &name) const;
  // Vector operands, or the one operand, as a list.
  static std::vector<operand> list(const operand &o);
  std::string read_list(const operand &o, const std::string &type, size_t count) const;  // "{a, b}"
  void set_list(const operand &o, const std::string &type, const std::string &array);

  void prepare();
  void place_accumulators();
  void emit(const std::string &text) { out_ += text + "\n"; }
  void write_statement(const statement &s);

  // Arithmetic: emit_arithmetic.cpp, emit_conversion.cpp.
  void mov(opcode_parts &), add(opcode_parts &), sub(opcode_parts &), mul(opcode_parts &), mad(opcode_parts &),
      fma(opcode_parts &), div(opcode_parts &), rem(opcode_parts &), neg(opcode_parts &), abs(opcode_parts &),
      minimum(opcode_parts &), maximum(opcode_parts &), bit_not(opcode_parts &), bit_and(opcode_parts &),
      bit_or(opcode_parts &), bit_xor(opcode_parts &), shl(opcode_parts &), shr(opcode_parts &), shf(opcode_parts &),
      prmt(opcode_parts &), bfi(opcode_parts &), bfe(opcode_parts &), count_bits(opcode_parts &), setp(opcode_parts &),
      selp(opcode_parts &), cvt(opcode_parts &), approximation(opcode_parts &), sqrt(opcode_parts &);
  void binary(opcode_parts &, const char *operation);
  void extremum(opcode_parts &, const char *name);
  void carry_chain(const std::string &type, bool in, bool out, bool subtract);
  void float_sum(opcode_parts &, const std::string &type, const char *operation);
  // Memory and control: emit_memory.cpp.
  void cvta(opcode_parts &), ld(opcode_parts &), st(opcode_parts &), atom(opcode_parts &), mapa(opcode_parts &),
      bra(opcode_parts &), ret(opcode_parts &), trap(opcode_parts &);
  // Barriers, lanes, copies: emit_synchronization.cpp.
  void bar(opcode_parts &), barrier(opcode_parts &), shfl(opcode_parts &), vote(opcode_parts &), fence(opcode_parts &),
      setmaxnreg(opcode_parts &), cp(opcode_parts &), mbarrier(opcode_parts &);
  void bulk_tensor(opcode_parts &);
  // Matrices: emit_matrix.cpp.
  void ldmatrix(opcode_parts &), stmatrix(opcode_parts &), mma(opcode_parts &), wgmma(opcode_parts &);

  const module &module_;
  const kernel &kernel_;
  const statement *now_ = nullptr;
  size_t at_ = 0;  // of now_ in the body
  std::string out_;
  std::vector<std::unordered_map<std::string, std::string>> registers_;  // by scope: name to type
  std::unordered_map<std::string, std::string> accumulators_;            // register to element of an array
  std::vector<std::pair<std::string, size_t>> accumulator_arrays_;       // type, length
  std::unordered_set<std::string> labels_;                               // with their scope
  bool uses_carry_ = false;
};

// uint32_t for b32 and u32, int32_t for s32, float for f32, uint16_t for f16, …
std::string c_type(std::string_view type);
std::string unsigned_type(std::string_view type);
bool is_float(std::string_view type);  // f32, f64
bool is_integer(std::string_view type);
// Bits as an unsigned integer of the type's width, and back.
std::string to_bits(const std::string &type, const std::string &value);
std::string from_bits(const std::string &type, const std::string &bits);

}  // namespace gonka::ptx_translator
