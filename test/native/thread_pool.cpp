// The CPU device's thread pool: every task exactly once, whatever the timing; limits of affinity and cgroups.
// Also the program that the thread sanitizer runs.
#include "thread_pool.hpp"

#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.hpp"
#include "cpu_limit.hpp"

using namespace gonka::cpu;
namespace fs = std::filesystem;

namespace {

// counts is written without atomics: each task is its own, and the end of the loop makes it visible.
bool each_once(thread_pool &pool, uint32_t tasks) {
  std::vector<uint32_t> counts(tasks, 0);
  std::atomic<bool> workers_in_range{true};
  pool.parallel_for(tasks, [&](uint32_t task, uint32_t worker) {
    if (task < tasks) ++counts[task];
    if (worker >= pool.size()) workers_in_range = false;
  });
  bool right = workers_in_range;
  for (const uint32_t count : counts) right = right && count == 1;
  return right;
}

void every_task_once() {
  for (const uint32_t threads : {1u, 2u, 3u, 8u}) {
    thread_pool pool(threads);
    CHECK_EQ(pool.size(), threads);
    bool right = true;
    for (uint32_t tasks = 0; tasks < 40; ++tasks) right = right && each_once(pool, tasks);
    CHECK(right && each_once(pool, 10000));
  }
}

// Loops follow each other at once, and after pauses in which threads fall asleep or are just about to.
void thousands_of_loops() {
  thread_pool pool(3);
  uint64_t random = 0x706f6f6c;
  uint64_t sum = 0, want = 0;
  for (int loop = 0; loop < 20000; ++loop) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const uint32_t tasks = uint32_t(random >> 33) % 9;
    std::atomic<uint64_t> partial{0};
    pool.parallel_for(tasks, [&](uint32_t task, uint32_t) { partial += task + uint64_t(loop); });
    sum += partial;
    for (uint32_t task = 0; task < tasks; ++task) want += task + uint64_t(loop);
    if (loop % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds((random >> 40) % 120));
  }
  CHECK_EQ(sum, want);
}

void callers_take_turns() {
  thread_pool pool(2);
  std::atomic<int> inside{0}, overlaps{0}, wrong{0};
  {
    std::vector<std::jthread> callers;
    for (int c = 0; c < 4; ++c)
      callers.emplace_back([&] {
        for (int loop = 0; loop < 500; ++loop) {
          std::atomic<uint32_t> done{0};
          pool.parallel_for(5, [&](uint32_t, uint32_t worker) {
            // At most one task per worker at a time, whoever called.
            if (inside.fetch_add(1) >= 2 || worker >= 2) ++overlaps;
            ++done;
            --inside;
          });
          if (done != 5) ++wrong;
        }
      });
  }
  CHECK_EQ(overlaps.load(), 0);
  CHECK_EQ(wrong.load(), 0);
}

void tasks_in_order() {
  thread_pool pool(2);
  std::vector<std::vector<uint32_t>> seen(2);
  pool.parallel_for(1000, [&](uint32_t task, uint32_t worker) { seen[worker].push_back(task); });
  bool increasing = true;
  for (const auto &tasks : seen)
    for (size_t i = 1; i < tasks.size(); ++i) increasing = increasing && tasks[i - 1] < tasks[i];
  CHECK(increasing && seen[0].size() + seen[1].size() == 1000);
}

void exceptions() {
  for (const uint32_t threads : {1u, 3u}) {
    thread_pool pool(threads);
    for (int loop = 0; loop < 200; ++loop) {
      bool thrown = false;
      try {
        pool.parallel_for(20, [&](uint32_t task, uint32_t) {
          if (task == 7) throw std::runtime_error("seven");
        });
      } catch (const std::runtime_error &e) {
        thrown = std::string(e.what()) == "seven";
      }
      if (!thrown) CHECK(thrown);
    }
    CHECK(each_once(pool, 100));
  }
}

void starting_and_ending() {
  for (int i = 0; i < 200; ++i) {
    thread_pool pool(1 + uint32_t(i) % 4);
    if (i % 3 != 0) pool.parallel_for(3, [](uint32_t, uint32_t) {});
  }
  CHECK(true);
  // Every thread of the process is gone but this one. Sanitizers have threads of their own.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
  const auto tasks = fs::directory_iterator("/proc/self/task");
  CHECK_EQ(std::distance(begin(tasks), end(tasks)), 1);
#endif
}

void affinity() {
  cpu_set_t before;
  if (!CHECK(sched_getaffinity(0, sizeof before, &before) == 0)) return;
  CHECK(usable_cpus() >= 1 && usable_cpus() <= uint32_t(CPU_COUNT(&before)));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &before)) {
      CPU_SET(cpu, &one);
      break;
    }
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK_EQ(usable_cpus(), 1u);
  CHECK_EQ(thread_pool(0).size(), 1u);
  sched_setaffinity(0, sizeof before, &before);
}

void cgroups() {
  const fs::path folder = fs::temp_directory_path() / ("gonka-cgroup-" + std::to_string(getpid()));
  const auto quota = [&](const std::string &membership, const std::vector<std::pair<std::string, std::string>> &files) {
    fs::remove_all(folder);
    fs::create_directories(folder);
    std::ofstream(folder / "membership") << membership;
    for (const auto &[name, text] : files) {
      fs::create_directories((folder / "root" / name).parent_path());
      std::ofstream(folder / "root" / name) << text;
    }
    return cgroup_quota(folder / "membership", folder / "root");
  };
  CHECK_EQ(cgroup_quota("/nowhere", "/nowhere"), 0.0);
  CHECK_EQ(quota("", {{"cpu.max", "100000 100000"}}), 0.0);
  // Version 2.
  CHECK_EQ(quota("0::/\n", {{"cpu.max", "150000 100000\n"}}), 1.5);
  CHECK_EQ(quota("0::/\n", {{"cpu.max", "max 100000\n"}}), 0.0);
  CHECK_EQ(quota("0::/a/b\n", {{"a/b/cpu.max", "max 100000"}, {"a/cpu.max", "50000 20000"}}), 2.5);
  CHECK_EQ(quota("0::/a/b\n", {{"a/b/cpu.max", "400000 100000"}, {"a/cpu.max", "300000 100000"}}), 3.0);
  CHECK_EQ(quota("0::/a/b\n", {{"a/b/cpu.max", "100000 100000"}, {"a/cpu.max", "300000 100000"}}), 1.0);
  CHECK_EQ(quota("0::/host/only/path\n", {{"cpu.max", "200000 100000"}}), 2.0);
  CHECK_EQ(quota("0::/../../elsewhere\n", {{"cpu.max", "200000 100000"}}), 2.0);
  CHECK_EQ(quota("0::/a\n", {{"a/cpu.max", "nonsense"}}), 0.0);
  CHECK_EQ(quota("0::/a\n", {{"a/cpu.max", "100000 0"}}), 0.0);
  // Version 1, and both.
  const std::string v1 = "12:pids:/x\n5:cpu,cpuacct:/docker/1\n3:cpuset:/docker/1\n";
  CHECK_EQ(quota(v1, {{"cpu/docker/1/cpu.cfs_quota_us", "200000"}, {"cpu/docker/1/cpu.cfs_period_us", "100000"}}), 2.0);
  CHECK_EQ(quota(v1, {{"cpu,cpuacct/cpu.cfs_quota_us", "70000"}, {"cpu,cpuacct/cpu.cfs_period_us", "100000"}}), 0.7);
  CHECK_EQ(quota(v1, {{"cpu/docker/1/cpu.cfs_quota_us", "-1"}, {"cpu/docker/1/cpu.cfs_period_us", "100000"}}), 0.0);
  CHECK_EQ(quota(v1, {{"cpuset/cpu.cfs_quota_us", "100000"}, {"cpuset/cpu.cfs_period_us", "100000"}}), 0.0);
  CHECK_EQ(quota(v1 + "0::/docker/1\n", {{"unified/docker/1/cpu.max", "100000 100000"},
                                         {"cpu/docker/1/cpu.cfs_quota_us", "200000"},
                                         {"cpu/docker/1/cpu.cfs_period_us", "100000"}}),
           1.0);
  fs::remove_all(folder);
}

}  // namespace

int main() {
  every_task_once();
  thousands_of_loops();
  callers_take_turns();
  tasks_in_order();
  exceptions();
  starting_and_ending();
  affinity();
  cgroups();
  return check_summary();
}
