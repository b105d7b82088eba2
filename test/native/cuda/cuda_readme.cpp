// The README's table of ops has the CUDA implementations as the backend lists them, device or no device.
#include <fstream>
#include <iterator>
#include <string>

#include "check.hpp"
#include "cuda/implementation.hpp"

using namespace gonka;

int main() {
  std::ifstream in(GONKA_SOURCE_DIR "/README.md");
  const std::string readme{std::istreambuf_iterator<char>(in), {}};
  CHECK(readme.find("| op | cpu | cuda |\n") != std::string::npos);
  for (const op_spec *spec : all_ops()) {
    std::string names;
    for (const cuda::implementation &i : cuda::implementations(spec->op))
      names += (names.empty() ? "" : ", ") + std::string(i.name);
    const std::string row_start = std::string("\n| `") + spec->name + "` | ", row_end = " | " + names + " |\n";
    const size_t row = readme.find(row_start);
    const bool found =
        row != std::string::npos && readme.substr(row + 1, readme.find('\n', row + 1) - row).ends_with(row_end);
    CHECK(found);
    if (!found)
      std::fprintf(stderr, "README.md: expected a row that begins '%s' and ends '%s'", row_start.c_str() + 1,
                   row_end.c_str());
  }
  return check_summary();
}
