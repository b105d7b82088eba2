// Wall times of calls: of one op until they are steady and then until they are enough, or of two ops in turn.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "timed_op.hpp"

namespace gonka {

// Calls before the first sample. Clocks rise, pages are mapped and branches learnt in them.
struct warm_up {
  uint32_t calls = 0;
  double seconds = 0;
  // The medians of the last three windows lie within 2 % of each other; false: they did not within the time.
  bool stable = false;
};

// At least two calls, then windows of at least 10 ms until stable or until max_seconds have passed. Throws
// status_error.
warm_up warm(timed_op &op, double max_seconds, const std::atomic<bool> &cancelled);

struct timing_limits {
  uint32_t samples = 1000;  // most timed calls
  double seconds = 1;       // none begins later than this, but at least one is made
  bool cold = false;        // caches hold other data before every call
};

// Wall time of each call in nanoseconds, in order. Throws status_error.
std::vector<double> time_calls(timed_op &op, const timing_limits &limits, const std::atomic<bool> &cancelled);

struct paired_times {
  std::vector<double> a_ns, b_ns;  // of pair i
  std::vector<uint8_t> b_first;    // 1 where b was called before a in pair i
  uint64_t repeated = 0;           // calls thrown away because another program got the processor during them
  uint64_t interrupted = 0;        // kept ones during which it did
};

// Calls a and b in turn, so that what slows the machine down meets both alike. Pairs come in twos, one in each order,
// which of them first drawn from seed: what the first call of a pair does to the second cancels out. limits.samples
// counts pairs; at least two are made. A call during which the scheduler gave the processor to another program is
// repeated, up to seven times, since its time is mostly the other's; if none stays alone, the shortest counts. Between
// calls on more than one thread it waits for the other's idle threads to fall asleep. Throws status_error.
paired_times time_pairs(timed_op &a, timed_op &b, const timing_limits &limits, uint64_t seed,
                        const std::atomic<bool> &cancelled);

}  // namespace gonka
