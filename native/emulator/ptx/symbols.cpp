// Reads the symbol table of /proc/self/exe: dladdr knows exported functions only. ELF of 64 bits (System V ABI, "Object
// Files").
#include "ptx/symbols.hpp"

#include <elf.h>
#include <link.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <unordered_map>
#include <vector>

namespace gonka::emulator::translated {
namespace {

using table = std::unordered_map<uintptr_t, function_symbol>;

template <class T>
const T *at(const std::vector<char> &bytes, uint64_t offset, uint64_t count = 1) {
  if (offset > bytes.size() || count > (bytes.size() - offset) / sizeof(T)) return nullptr;
  return reinterpret_cast<const T *>(bytes.data() + offset);
}

table read_symbols() {
  table names;
  uintptr_t base = 0;  // the executable's is the first object
  dl_iterate_phdr(
      [](dl_phdr_info *info, size_t, void *out) {
        *static_cast<uintptr_t *>(out) = info->dlpi_addr;
        return 1;
      },
      &base);
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto *header = at<Elf64_Ehdr>(bytes, 0);
  if (header == nullptr || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return names;
  const auto *sections = at<Elf64_Shdr>(bytes, header->e_shoff, header->e_shnum);
  for (uint32_t i = 0; sections != nullptr && i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB || sections[i].sh_link >= header->e_shnum) continue;
    const Elf64_Shdr &strings = sections[sections[i].sh_link];
    const uint64_t count = sections[i].sh_size / sizeof(Elf64_Sym);
    const auto *symbols = at<Elf64_Sym>(bytes, sections[i].sh_offset, count);
    const char *text = at<char>(bytes, strings.sh_offset, strings.sh_size);
    if (symbols == nullptr || text == nullptr) continue;
    std::string source;  // local symbols follow the symbol of their file
    for (uint64_t s = 0; s < count; ++s) {
      if (symbols[s].st_name >= strings.sh_size) continue;
      const char *name = text + symbols[s].st_name;
      if (ELF64_ST_TYPE(symbols[s].st_info) == STT_FILE) source = name;
      if (ELF64_ST_TYPE(symbols[s].st_info) != STT_FUNC) continue;
      const bool local = ELF64_ST_BIND(symbols[s].st_info) == STB_LOCAL;
      names[base + symbols[s].st_value] = {name, local ? source : "", local};
    }
  }
  return names;
}

}  // namespace

function_symbol symbol_of(const void *function) {
  static const table names = read_symbols();
  const auto found = names.find(reinterpret_cast<uintptr_t>(function));
  return found == names.end() ? function_symbol{} : found->second;
}

}  // namespace gonka::emulator::translated
