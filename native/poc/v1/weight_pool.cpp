#include "v1/weight_pool.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "normal_fill/ziggurat.hpp"
#include "sha256.hpp"
#include "v1/nonce_data.hpp"
#include "v1/seed.hpp"

namespace gonka::poc_v1 {
namespace {

// A reading of draws [begin, end) on the assumption that a normal begins at `begin`.
struct chunk {
  std::vector<uint16_t> values;
  size_t count = 0;
  // Draw, counted from `begin`, at which the i-th normal begins; only for the first few.
  std::array<uint64_t, 64> starts;
  size_t starts_known = 0;
  uint64_t next = 0;  // absolute draw at which the normal after the last one begins, >= end
};

void parse(const pcg64 &origin, uint64_t begin, uint64_t end, chunk &out) {
  pcg64 rng = origin;
  rng.advance(begin);
  normal_reader reader(rng);
  const uint64_t limit = end - begin;
  out.count = out.starts_known = 0;
  if (out.values.size() < limit) out.values.resize(limit);  // a normal takes at least one draw
  std::array<double, 1024> block;
  size_t filled = 0;
  while (out.starts_known < out.starts.size()) {
    const uint64_t start = reader.position();
    if (reader.read(&block[filled], 1, limit) == 0) break;
    out.starts[out.starts_known++] = start;
    ++filled;
  }
  for (;;) {
    round_to_f16(block.data(), filled, k_pool_sigma, out.values.data() + out.count);
    out.count += filled;
    filled = reader.read(block.data(), block.size(), limit);
    if (filled == 0) break;
  }
  out.next = begin + reader.position();
}

// The part of a chunk that belongs to the stream, once it is known where its first normal begins.
struct joined {
  std::vector<uint16_t> prefix;  // read anew, before both readings agree
  size_t from = 0;               // then values[from, count) of the chunk
  uint64_t next = 0;
};

joined join(const pcg64 &origin, uint64_t first, uint64_t begin, uint64_t end, const chunk &parsed) {
  if (first == begin) return {{}, 0, parsed.next};
  if (first >= end) return {{}, parsed.count, first};
  joined out;
  pcg64 rng = origin;
  rng.advance(first);
  normal_reader reader(rng);
  const uint64_t limit = end - first;
  for (size_t i = 0;;) {
    const uint64_t at = first - begin + reader.position();
    while (i < parsed.starts_known && parsed.starts[i] < at) ++i;
    if (i < parsed.starts_known && parsed.starts[i] == at) {
      out.from = i;
      out.next = parsed.next;
      return out;
    }
    double value;
    if (reader.read(&value, 1, limit) == 0) {
      out.from = parsed.count;
      out.next = first + reader.position();
      return out;
    }
    uint16_t rounded;
    round_to_f16(&value, 1, k_pool_sigma, &rounded);
    out.prefix.push_back(rounded);
  }
}

// The threads of one fill and what they share. Chunks are parsed in any order and joined in increasing order.
class pool_fill {
 public:
  pool_fill(const pcg64 &origin, std::span<uint16_t> pool, const pool_options &options)
      : origin_(origin), pool_(pool), options_(options), chunk_draws_(std::max<uint32_t>(options.chunk_draws, 1)) {}

  bool run() {
    std::vector<std::thread> threads;
    try {
      for (uint32_t i = 1; i < options_.threads; ++i) threads.emplace_back([this] { work(); });
    } catch (...) {
      stop(std::current_exception());
    }
    work();
    for (std::thread &thread : threads) thread.join();
    if (failure_) std::rethrow_exception(failure_);
    return done_ == pool_.size();
  }

 private:
  void work() noexcept {
    try {
      chunk mine;
      for (;;) {
        const uint64_t index = taken_.fetch_add(1);
        if (stopped_.load()) return;
        parse(origin_, index * chunk_draws_, (index + 1) * chunk_draws_, mine);
        if (!deliver(index, mine)) return;
      }
    } catch (...) {
      stop(std::current_exception());
    }
  }

  // Waits for the chunk's turn, claims its place in the pool and copies it there. False when nothing is left to do.
  bool deliver(uint64_t index, const chunk &parsed) {
    joined part;
    uint16_t *out;
    size_t prefix, body;
    {
      std::unique_lock lock(mutex_);
      turn_.wait(lock, [&] { return stopped_.load() || joined_ == index; });
      if (stopped_.load()) return false;
      part = join(origin_, next_, index * chunk_draws_, (index + 1) * chunk_draws_, parsed);
      out = pool_.data() + done_;
      prefix = std::min<size_t>(part.prefix.size(), pool_.size() - done_);
      body = std::min<size_t>(parsed.count - part.from, pool_.size() - done_ - prefix);
      next_ = part.next;
      done_ += prefix + body;
      ++joined_;
      const bool go_on = (!options_.progress || options_.progress(done_)) && done_ < pool_.size();
      if (!go_on) stopped_.store(true);
    }
    turn_.notify_all();
    std::copy_n(part.prefix.data(), prefix, out);
    std::copy_n(parsed.values.data() + part.from, body, out + prefix);
    return !stopped_.load();
  }

  void stop(std::exception_ptr failure) noexcept {
    {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = failure;
      stopped_.store(true);
    }
    turn_.notify_all();
  }

  const pcg64 origin_;
  const std::span<uint16_t> pool_;
  const pool_options &options_;
  const uint64_t chunk_draws_;
  std::atomic<uint64_t> taken_{0};
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;  // guards everything below
  std::condition_variable turn_;
  uint64_t joined_ = 0;  // chunks joined so far
  uint64_t next_ = 0;    // draw at which the next normal begins
  uint64_t done_ = 0;    // values claimed
  std::exception_ptr failure_;
};

}  // namespace

uint64_t pool_size(uint64_t total_params, double fraction) {
  return std::max(k_min_pool, uint64_t(double(total_params) * fraction));
}

bool fill_weight_pool(std::string_view block_hash, std::span<uint16_t> pool, const pool_options &options) {
  if (pool.empty()) return true;
  return pool_fill(generator(block_hash, 4), pool, options).run();
}

placement place_parameter(std::string_view block_hash, std::string_view name, uint64_t count, uint64_t pool_size) {
  sha256 hash;
  hash.update(block_hash);
  hash.update("_");
  hash.update(name);
  const sha256_digest d = hash.finish();
  const uint64_t h = uint32_t(d[0]) << 24 | uint32_t(d[1]) << 16 | uint32_t(d[2]) << 8 | uint32_t(d[3]);
  if (count <= pool_size) return {h % (pool_size - count + 1), count, false};
  return {h % count, count, true};
}

void copy_parameter(std::span<const uint16_t> pool, const placement &where, uint64_t begin, std::span<uint16_t> out) {
  if (!where.tiled) {
    std::copy_n(pool.data() + where.offset + begin, out.size(), out.data());
    return;
  }
  for (size_t done = 0; done < out.size();) {
    const uint64_t position = (begin + done + where.offset) % where.count;
    const uint64_t at = position % pool.size();
    const size_t run = size_t(std::min({uint64_t(out.size() - done), pool.size() - at, where.count - position}));
    std::copy_n(pool.data() + at, run, out.data() + done);
    done += run;
  }
}

}  // namespace gonka::poc_v1
