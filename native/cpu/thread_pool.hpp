// A fixed set of threads that share loops. The CPU device owns one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "cpu_limit.hpp"

namespace gonka::cpu {

class thread_pool {
 public:
  // threads counts the calling thread too: a pool of 1 starts no thread. 0 means usable_cpus(). Throws
  // std::system_error if the threads cannot be started.
  explicit thread_pool(uint32_t threads);
  ~thread_pool();
  thread_pool(const thread_pool &) = delete;
  thread_pool &operator=(const thread_pool &) = delete;

  uint32_t size() const { return size_; }

  // Runs body(task, worker) for every task in [0, tasks), worker in [0, size()); returns when all are done. Tasks are
  // handed out in increasing order to whoever is free, so a body must not depend on which worker runs it. The caller is
  // worker 0. Safe to call from several threads: calls take turns. Not from inside a body. If a body throws,
  // parallel_for throws one of the exceptions once no task is running; the other tasks may or may not have run.
  void parallel_for(uint32_t tasks, const std::function<void(uint32_t task, uint32_t worker)> &body);

 private:
  struct state;
  uint32_t size_;
  std::unique_ptr<state> state_;
};

}  // namespace gonka::cpu
