// ptx_translate IN.ptx OUT.cpp NAME [LEFT_OUT...]: see translate.hpp. Exit status 1 with a message if the module cannot
// be translated.
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <string>

#include "translate.hpp"

int main(int argc, char **argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: ptx_translate IN.ptx OUT.cpp NAME [LEFT_OUT...]\n");
    return 2;
  }
  const std::string in = argv[1];
  std::ifstream source(in, std::ios::binary);
  if (!source) {
    std::fprintf(stderr, "%s: cannot be read\n", argv[1]);
    return 1;
  }
  const std::string text{std::istreambuf_iterator<char>(source), {}};
  try {
    const std::string code =
        gonka::ptx_translator::translate(text, in.substr(in.rfind('/') + 1), argv[3], {argv + 4, argv + argc});
    std::ofstream out(argv[2], std::ios::binary | std::ios::trunc);
    out << code;
    out.close();
    if (!out) {
      std::fprintf(stderr, "%s: cannot be written\n", argv[2]);
      return 1;
    }
  } catch (const std::exception &e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}
