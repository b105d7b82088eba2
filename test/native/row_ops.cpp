// Row-wise ops: every case by every implementation.
#include "case_runner.hpp"

int main() {
  using namespace gonka;
  int failed = 0;
  for (const gk_op op : {GK_OP_RMS_NORM, GK_OP_ROPE, GK_OP_SILU_MUL, GK_OP_HOUSEHOLDER, GK_OP_GATHER,
                         GK_OP_L2_NORMALIZE, GK_OP_PERMUTED_DISTANCE})
    failed += test::run_cases(op);
  return failed != 0;
}
