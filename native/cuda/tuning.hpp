// What a device has found out by measuring: which of the equivalent ways of an implementation is fastest for which
// problems. Host only.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "implementation.hpp"

namespace gonka::cuda {

// Of one device; thread-safe.
class tuning {
 public:
  // GONKA_AUTOTUNE=off in the environment: nothing is measured, the tables decide.
  tuning();

  // The variant to run: known, or measured now by running each on the operands, with results going to scratch memory;
  // 0 where nothing is measured: small problems, and all of them if it is switched off. Not while ctx records. Throws
  // device_error.
  uint32_t variant_for(const op_spec &spec, const implementation &chosen, void *problem, places operands, context &ctx);

  // One line "<op> <implementation> <shape class>\t<variant>\n" each, sorted.
  std::string text() const;
  // Takes lines of text(). False if anything in them is not such a line: then nothing is taken.
  bool take(std::string_view text);

 private:
  bool enabled_;
  mutable std::mutex mutex_;
  std::map<std::string, uint32_t> fastest_;
};

}  // namespace gonka::cuda
