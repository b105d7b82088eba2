#include "timing.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>

namespace gonka {
namespace {

using clock = std::chrono::steady_clock;

double seconds_since(clock::time_point begin) {
  return std::chrono::duration<double>(clock::now() - begin).count();
}

void check(const std::atomic<bool> &cancelled) {
  if (cancelled.load(std::memory_order_relaxed)) throw status_error(GK_CANCELLED, "cancelled");
}

double timed(timed_op &op, bool cold) {
  if (cold) op.evict();
  return op.call();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + ptrdiff_t(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Times that the scheduler took the processor away from whoever works on a call: the caller where the device has one
// thread, anyone of the process otherwise.
long preemptions(bool one_thread) {
  rusage usage{};
  getrusage(one_thread ? RUSAGE_THREAD : RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

// Threads of the CPU backend look for work for 50 us after their last before they sleep.
void let_idle_threads_sleep() {
  const auto begin = clock::now();
  while (clock::now() - begin < std::chrono::microseconds(100)) {
  }
}

}  // namespace

warm_up warm(timed_op &op, double max_seconds, const std::atomic<bool> &cancelled) {
  constexpr double k_window_seconds = 0.01, k_close = 1.02;
  constexpr size_t k_windows = 3;
  warm_up out;
  const auto begin = clock::now();
  std::vector<double> medians;
  do {
    std::vector<double> window;
    const auto window_begin = clock::now();
    do {
      check(cancelled);
      window.push_back(op.call());
      ++out.calls;
    } while (seconds_since(window_begin) < k_window_seconds);
    medians.push_back(median(window));
    if (medians.size() >= k_windows) {
      const auto [low, high] = std::minmax_element(medians.end() - ptrdiff_t(k_windows), medians.end());
      out.stable = *high <= *low * k_close;
    }
    out.seconds = seconds_since(begin);
  } while (!out.stable && (out.calls < 2 || out.seconds < max_seconds));
  return out;
}

std::vector<double> time_calls(timed_op &op, const timing_limits &limits, const std::atomic<bool> &cancelled) {
  std::vector<double> samples;
  const auto begin = clock::now();
  do {
    check(cancelled);
    samples.push_back(timed(op, limits.cold));
  } while (samples.size() < limits.samples && seconds_since(begin) < limits.seconds);
  return samples;
}

paired_times time_pairs(timed_op &a, timed_op &b, const timing_limits &limits, uint64_t seed,
                        const std::atomic<bool> &cancelled) {
  constexpr int k_tries = 8;
  const bool share_processors = a.threads() != 1 || b.threads() != 1;
  paired_times out;
  const auto call = [&](timed_op &op) {
    double shortest = 0;
    for (int i = 0; i < k_tries; ++i) {
      check(cancelled);
      if (share_processors) let_idle_threads_sleep();
      const long before = preemptions(!share_processors);
      const double ns = timed(op, limits.cold);
      if (preemptions(!share_processors) == before) return ns;
      shortest = i == 0 ? ns : std::min(shortest, ns);
      if (i + 1 < k_tries) ++out.repeated;
    }
    ++out.interrupted;
    return shortest;
  };
  const auto pair = [&](bool b_first) {
    double times[2];
    for (const bool is_b : {b_first, !b_first}) times[is_b] = call(is_b ? b : a);
    out.a_ns.push_back(times[0]);
    out.b_ns.push_back(times[1]);
    out.b_first.push_back(b_first);
  };
  const auto begin = clock::now();
  do {
    // splitmix64: its top bit says which order comes first.
    uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    const bool b_first = (z ^ (z >> 31)) >> 63;
    pair(b_first);
    pair(!b_first);
  } while (out.a_ns.size() + 2 <= limits.samples && seconds_since(begin) < limits.seconds);
  return out;
}

}  // namespace gonka
