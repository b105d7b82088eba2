// Names of this executable's functions, local ones included.
#pragma once

#include <string>

namespace gonka::emulator::translated {

struct function_symbol {
  std::string name;  // mangled; empty: not found
  std::string file;  // source file's name, of local symbols
  bool local = false;
};

function_symbol symbol_of(const void *function);

// A kernel's name as nvcc mangles it, with the unnamed namespace as the host compiler writes it.
std::string with_host_namespace(const std::string &name);

}  // namespace gonka::emulator::translated
