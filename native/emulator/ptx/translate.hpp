// PTX to C++ that runs on the emulator: one function per kernel, one statement per instruction, registers as variables.
//
// The check that this serves is stricter than compiling kernel source for the host: it runs what nvcc made of the
// source and of the inline PTX in device/ptx_nvcc.cuh, so that operand order, constraints and the compiler's output are
// tested as well. Every instruction is either translated exactly or refused; nothing is skipped.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace gonka::ptx_translator {

// A module that cannot be translated. what(): "NAME.ptx:LINE: kernel KERNEL: REASON".
class translation_error : public std::runtime_error {
 public:
  translation_error(const std::string &file, int line, const std::string &kernel, const std::string &why);
  const int line;
};

// C++ source that defines `const translated::module name`; see kernel_table.hpp. `file` names the text in messages and
// findings. Kernels whose mangled name contains a match of one of the regular expressions `left_out` (ECMAScript) are
// only listed as left out. Throws translation_error, which names kernel, line and instruction.
std::string translate(std::string_view text, const std::string &file, const std::string &name,
                      const std::vector<std::string> &left_out = {});

}  // namespace gonka::ptx_translator
