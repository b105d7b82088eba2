// Ops of a decode step take tens of microseconds, less than it takes to wake a sleeping thread. So a thread without
// work looks for some for a while before it sleeps, and a loop never waits for a thread that comes too late to help:
// whoever is awake, the caller at least, takes the tasks.
//
// Contract between the threads. `left` counts the tasks of the current loop that nobody has taken. Who takes one from
// it (a compare-exchange that lowers it) owns that task; the loop cannot end before the owner is done, so body and
// tasks are the ones that belong to it and do not change meanwhile. They are written before `left` is raised (release)
// and read after a task was taken (acquire). `unfinished` counts tasks not done; the loop ends when it is 0.
#include "thread_pool.hpp"

#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace gonka::cpu {
namespace {

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Waits until value differs from old: first awake, then asleep.
void wait_for_change(const std::atomic<uint32_t> &value, uint32_t old, std::chrono::nanoseconds awake) {
  if (awake.count() > 0) {
    const auto end = std::chrono::steady_clock::now() + awake;
    do {
      for (int i = 0; i < 16; ++i) {
        if (value.load(std::memory_order_acquire) != old) return;
        pause();
      }
    } while (std::chrono::steady_clock::now() < end);
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

}  // namespace

struct thread_pool::state {
  std::mutex turn;  // one parallel_for at a time
  const std::function<void(uint32_t, uint32_t)> *body = nullptr;
  uint32_t tasks = 0;
  // On lines of their own: all threads write them.
  alignas(64) std::atomic<uint32_t> left{0};
  alignas(64) std::atomic<uint32_t> unfinished{0};
  alignas(64) std::atomic<uint32_t> signal{0};  // changes with every loop and at the end
  std::atomic<bool> stop{false};
  std::chrono::nanoseconds awake{0};
  std::mutex failure_mutex;
  std::exception_ptr failure;
  std::vector<std::thread> threads;

  void work(uint32_t worker) {
    for (;;) {
      uint32_t seen = left.load(std::memory_order_acquire);
      do {
        if (seen == 0) return;
      } while (!left.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel, std::memory_order_acquire));
      try {
        (*body)(tasks - seen, worker);
      } catch (...) {
        const std::lock_guard lock(failure_mutex);
        failure = std::current_exception();
      }
      if (unfinished.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished.notify_one();
    }
  }

  void loop(uint32_t worker) {
    for (;;) {
      // Read before looking for work: a loop that begins after the look changes it.
      const uint32_t seen = signal.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_acquire)) return;
      work(worker);
      wait_for_change(signal, seen, awake);
    }
  }

  void end() {
    stop.store(true, std::memory_order_release);
    signal.fetch_add(1);
    signal.notify_all();
    for (std::thread &t : threads) t.join();
  }
};

thread_pool::thread_pool(uint32_t threads)
    : size_(threads == 0 ? usable_cpus() : threads), state_(std::make_unique<state>()) {
  // About what waking a sleeping thread costs. With more threads than processors, waiting awake would keep the work
  // from running.
  if (size_ <= usable_cpus()) state_->awake = std::chrono::microseconds(50);
  try {
    for (uint32_t worker = 1; worker < size_; ++worker)
      state_->threads.emplace_back([s = state_.get(), worker] { s->loop(worker); });
  } catch (...) {
    state_->end();
    throw;
  }
}

thread_pool::~thread_pool() {
  state_->end();
}

void thread_pool::parallel_for(uint32_t tasks, const std::function<void(uint32_t, uint32_t)> &body) {
  if (tasks == 0) return;
  state &s = *state_;
  const std::lock_guard turn(s.turn);
  if (size_ == 1 || tasks == 1) {
    for (uint32_t task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
  s.body = &body;
  s.tasks = tasks;
  s.unfinished.store(tasks, std::memory_order_relaxed);
  s.left.store(tasks, std::memory_order_release);
  s.signal.fetch_add(1);
  s.signal.notify_all();
  s.work(0);
  for (uint32_t unfinished; (unfinished = s.unfinished.load(std::memory_order_acquire)) != 0;)
    wait_for_change(s.unfinished, unfinished, s.awake);
  if (s.failure != nullptr) std::rethrow_exception(std::exchange(s.failure, nullptr));
}

}  // namespace gonka::cpu
