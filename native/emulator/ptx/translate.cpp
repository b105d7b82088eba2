#include "translate.hpp"

#include <regex>

#include "kernel_writer.hpp"

namespace gonka::ptx_translator {

namespace {

// Initialised memory of the module, as a function that gives its device address.
std::string module_variable(const variable &v) {
  const uint32_t width = bytes_of_type(v.type);
  const uint64_t mask = width == 8 ? ~uint64_t(0) : (uint64_t(1) << (width * 8)) - 1;
  std::string s = "uint64_t address_of_" + v.name + "() {\nstatic const " + unsigned_type(v.type) + " bytes[" +
                  std::to_string(v.elements) + "] = {";
  for (uint64_t value : v.initial) s += std::to_string(value & mask) + "u,";
  return s + "};\nstatic const uint64_t address = module_variable(bytes, sizeof bytes);\nreturn address;\n}\n";
}

}  // namespace

std::string translate(std::string_view text, const std::string &file, const std::string &name,
                      const std::vector<std::string> &left_out) {
  const module m = parse(text, file);
  if (m.kernels.empty()) throw translation_error(file, 1, "", "no kernel in this module");
  std::string out =
      "#include \"ptx/instructions.hpp\"\n#include \"ptx/kernel_table.hpp\"\n"
      "#include \"ptx/machine_instructions.hpp\"\n"
      "namespace gonka::emulator::translated {\nnamespace {\nconst char *const k_file = \"" +
      file + "\";\n";
  for (const variable &v : m.global) out += module_variable(v);
  const std::vector<std::regex> patterns(left_out.begin(), left_out.end());
  std::string table;
  for (size_t i = 0; i < m.kernels.size(); ++i) {
    const kernel &k = m.kernels[i];
    bool leave = false;
    for (const std::regex &pattern : patterns) leave = leave || std::regex_search(k.name, pattern);
    const std::string function = leave ? "nullptr" : "kernel_" + std::to_string(i);
    if (!leave) out += kernel_writer(m, k).run(function);
    uint64_t bytes = 0;
    for (const variable &p : k.parameters) bytes = p.elements * bytes_of_type(p.type);
    table += "{\"" + k.name + "\", " + function + ", " + std::to_string(bytes) + ", " + std::to_string(k.most_threads) +
             "},\n";
  }
  out += "const kernel k_kernels[] = {\n" + table + "};\n}\nextern const module " + name + ";\nconst module " + name +
         " = {k_file, \"" + m.target + "\", k_kernels, " + std::to_string(m.kernels.size()) + "};\n}\n";
  return out;
}

}  // namespace gonka::ptx_translator
