// Many shares at once: each thread has a CPU device of one thread, so that tiles do not wait for each other.
#include <algorithm>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#include "matmul_pow/matmul_pow.hpp"
#include "matmul_pow/round.hpp"
#include "registry.hpp"

namespace gonka::matmul_pow {
namespace {

uint32_t threads_for(const check_request &request) {
  uint32_t threads = request.threads;
  if (threads == 0) threads = device::open(cpu_library(), 0, {})->info().threads;
  return uint32_t(std::clamp<uint64_t>(request.tiles.size(), 1, std::max(threads, 1u)));
}

}  // namespace

std::vector<uint8_t> check_tiles(const job &j, const check_request &request) {
  gk_error err{};
  err.struct_size = sizeof err;
  if (const gk_status status = validate(j, &err); status != GK_OK) throw status_error(status, err.message);
  const auto tiles = request.tiles;
  const uint32_t rows = j.m / uint32_t(k_pow_tile), columns = j.n / uint32_t(k_pow_tile);
  std::vector<uint8_t> wins(tiles.size(), 0);
  std::atomic<uint64_t> next{0};
  std::mutex mutex;
  uint64_t done = 0;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      verifier own(j, device::open(cpu_library(), 0, {.threads = 1}));
      for (uint64_t i = next++; i < tiles.size(); i = next++) {
        if (request.cancel != nullptr && request.cancel->load()) throw status_error(GK_CANCELLED, "cancelled");
        const tile_name &t = tiles[i];
        wins[i] = t.bi < rows && t.bj < columns && pow_wins(own.ticket(t.nonce, t.bi, t.bj), j.target);
        const std::lock_guard lock(mutex);
        ++done;
        if (request.on_checked) request.on_checked(done);
      }
    } catch (...) {
      next = tiles.size();  // the others stop as well
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  const uint32_t threads = threads_for(request);
  std::vector<std::thread> others;
  others.reserve(threads);
  for (uint32_t t = 1; t < threads; ++t) {
    try {
      others.emplace_back(work);
    } catch (const std::system_error &) {
      break;  // fewer threads do the same work
    }
  }
  work();
  for (std::thread &thread : others) thread.join();
  if (failure) std::rethrow_exception(failure);
  return wins;
}

}  // namespace gonka::matmul_pow
