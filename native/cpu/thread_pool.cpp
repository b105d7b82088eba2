#include "thread_pool.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace gonka::cpu {
namespace {

uint32_t affinity_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

// cgroup v2: cpu.max holds "quota period" or "max period"; v1: two files. 0 if there is no limit.
double cgroup_quota() {
  std::string quota;
  double period = 0;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> quota >> period && quota != "max" && period > 0)
    return std::atof(quota.c_str()) / period;
  double v1_quota = 0, v1_period = 0;
  std::ifstream q("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), p("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (q >> v1_quota && p >> v1_period && v1_quota > 0 && v1_period > 0) return v1_quota / v1_period;
  return 0;
}

}  // namespace

uint32_t usable_cpus() {
  const uint32_t cpus = affinity_cpus();
  const double quota = cgroup_quota();
  if (quota <= 0) return cpus;
  return std::clamp(uint32_t(std::ceil(quota)), 1u, cpus);
}

struct thread_pool::state {
  std::mutex turn;  // one parallel_for at a time
  std::mutex mutex;
  std::condition_variable wake, done;
  const std::function<void(uint32_t, uint32_t)> *body = nullptr;
  uint32_t tasks = 0;
  uint64_t generation = 0;
  uint32_t running = 0;
  bool stop = false;
  std::atomic<uint32_t> next{0};
  std::vector<std::thread> threads;

  void work(uint32_t worker) {
    const auto &f = *body;
    for (uint32_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) f(task, worker);
  }

  void loop(uint32_t worker) {
    uint64_t seen = 0;
    for (;;) {
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return stop || generation != seen; });
        if (stop) return;
        seen = generation;
      }
      work(worker);
      const std::lock_guard lock(mutex);
      if (--running == 0) done.notify_one();
    }
  }
};

thread_pool::thread_pool(uint32_t threads)
    : size_(threads == 0 ? usable_cpus() : threads), state_(std::make_unique<state>()) {
  for (uint32_t worker = 1; worker < size_; ++worker)
    state_->threads.emplace_back([this, worker] { state_->loop(worker); });
}

thread_pool::~thread_pool() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_all();
  for (std::thread &t : state_->threads) t.join();
}

void thread_pool::parallel_for(uint32_t tasks, const std::function<void(uint32_t, uint32_t)> &body) {
  if (tasks == 0) return;
  state &s = *state_;
  const std::lock_guard turn(s.turn);
  if (size_ == 1 || tasks == 1) {
    for (uint32_t task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
  {
    const std::lock_guard lock(s.mutex);
    s.body = &body;
    s.tasks = tasks;
    s.next.store(0, std::memory_order_relaxed);
    s.running = size_ - 1;
    ++s.generation;
  }
  s.wake.notify_all();
  s.work(0);
  std::unique_lock lock(s.mutex);
  s.done.wait(lock, [&] { return s.running == 0; });
}

}  // namespace gonka::cpu
