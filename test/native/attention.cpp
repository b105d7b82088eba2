// Attention: every case by every implementation.
#include "case_runner.hpp"

int main() {
  return gonka::test::run_cases(GK_OP_ATTENTION) != 0;
}
