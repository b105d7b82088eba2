// Pieces of PTX text. Internal to the parser.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "program.hpp"

namespace gonka::ptx_translator {

using failure = std::function<void(const std::string &why)>;  // throws

bool is_word(char c);
std::string_view trim(std::string_view s);
// Parts between commas that stand in no bracket.
std::vector<std::string_view> split_list(std::string_view s);
operand parse_operand(std::string_view s, const failure &fail);

}  // namespace gonka::ptx_translator
