// The same over clusters of two blocks that share B.
#define PLANTED_SHAPE wgmma_wide_cluster
#include "wgmma.cpp"
