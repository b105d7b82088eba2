// permuted_distance: one block per row. Its threads draw, one of them shuffles - every exchange depends on the ones
// before it - and all sum. Devices hide the shuffling thread's latency behind the other rows' blocks.
#include "device/dispatch.hpp"
#include "device/elements.cuh"
#include "device/pcg64.cuh"
#include "implementation.hpp"
#include "permuted_distance/permuted_distance.hpp"

namespace gonka::cuda {
namespace {

constexpr uint32_t k_threads = 128;
constexpr uint32_t k_jumps = 8;  // up to k_threads draws
static_assert(1u << (k_jumps - 1) == k_threads);

// Shared memory: two buffers of draws, what is left to shuffle after each, the norm, then sums and the permutation.
constexpr uint32_t k_left_at = 2 * k_threads * sizeof(uint64_t);
constexpr uint32_t k_norm_at = k_left_at + 2 * sizeof(uint32_t);
constexpr uint32_t k_sums_at = k_norm_at + 2 * sizeof(uint32_t);

template <class T>
struct distance_args {
  uint32_t columns, leaf_count;
  int64_t ldx;
  gptr<const T> x;
  gptr<const uint64_t> seeds;
  gptr<const sum_leaf> leaves;
  gptr<const double> target;
  gptr<double> distance;
  pcg_jump jumps[k_jumps];
};

// The state of a shuffle: positions above `at` are final; mask is the smallest 2^b - 1 >= at.
struct shuffle {
  uint32_t at, mask;
};

GK_DEVICE void exchange(shuffle &s, sptr<uint16_t> permutation, uint32_t draw) {
  const uint32_t other = draw & s.mask;
  if (other > s.at) return;
  const uint16_t here = ld_shared(permutation + s.at), there = ld_shared(permutation + other);
  st_shared(permutation + s.at, there);
  st_shared(permutation + other, here);
  --s.at;
  if (s.at <= s.mask >> 1) s.mask >>= 1;
}

template <class T>
GK_DEVICE void permute(const distance_args<T> &a, int64_t row, sptr<uint16_t> permutation) {
  const uint32_t t = thread_idx().x;
  for (uint32_t c = t; c < a.columns; c += k_threads) st_shared(permutation + c, uint16_t(c));
  if (a.columns < 2) {
    bar_sync();
    return;
  }
  const sptr<uint64_t> draws = shared_at<uint64_t>(0);
  const sptr<uint32_t> left = shared_at<uint32_t>(k_left_at);
  pcg_state g = pcg_load(a.seeds + row * 4);
  pcg_advance(g, a.jumps, k_jumps, t + 1);
  shuffle s = {a.columns - 1, 1};
  while (s.mask < s.at) s.mask = s.mask << 1 | 1;
  // While one thread uses a buffer of draws, the others fill the other one.
  for (uint32_t round = 0;; ++round) {
    const uint32_t half = round & 1;
    st_shared(draws + (half * k_threads + t), pcg_output(g));
    pcg_take(g, a.jumps[k_jumps - 1]);
    bar_sync();
    if (round > 0 && ld_shared(left + (half ^ 1)) == 0) return;
    if (t != 0) continue;
    for (uint32_t i = 0; i < k_threads && s.at > 0; ++i) {
      const uint64_t draw = ld_shared(draws + (half * k_threads + i));
      exchange(s, permutation, uint32_t(draw));
      if (s.at > 0) exchange(s, permutation, uint32_t(draw >> 32));
    }
    st_shared(left + half, s.at);
  }
}

// Pairwise sum of term(0), term(1), ...; valid in thread 0. A barrier stands before sums is used.
template <class V, class F>
GK_DEVICE V pairwise_sum(gptr<const sum_leaf> leaves, uint32_t leaf_count, sptr<V> sums, const F &term) {
  bar_sync();
  for (uint32_t l = thread_idx().x; l < leaf_count; l += k_threads) {
    const sum_leaf leaf = ld_global(leaves + l);
    V running[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    uint32_t i = 0;
    for (; i + 8 <= leaf.count; i += 8) {
      GK_UNROLL
      for (uint32_t j = 0; j < 8; ++j) running[j] += term(leaf.begin + i + j);
    }
    V sum = ((running[0] + running[1]) + (running[2] + running[3])) +
            ((running[4] + running[5]) + (running[6] + running[7]));
    for (; i < leaf.count; ++i) sum += term(leaf.begin + i);
    st_shared(sums + l, sum);
  }
  bar_sync();
  V sum = 0;
  if (thread_idx().x != 0) return sum;
  // Sums that wait for their right neighbour are kept where the leaves' sums were: there are never more of them.
  uint32_t waiting = 0;
  for (uint32_t l = 0; l < leaf_count; ++l) {
    sum = ld_shared(sums + l);
    for (uint32_t joins = ld_global(leaves + l).joins; joins != 0; --joins) sum = ld_shared(sums + --waiting) + sum;
    st_shared(sums + waiting++, sum);
  }
  return sum;
}

template <class T>
GK_KERNEL(k_threads, 1)
distance_kernel(distance_args<T> a) {
  const int64_t row = block_idx().x;
  const sptr<uint16_t> permutation = shared_at<uint16_t>(k_sums_at + a.leaf_count * uint32_t(sizeof(double)));
  const sptr<float> norm_place = shared_at<float>(k_norm_at);
  permute(a, row, permutation);
  const gptr<const T> x = a.x + row * a.ldx;
  const auto value = [&](uint32_t j) { return to_f32(ld_global(x + ld_shared(permutation + j))); };
  const float squares = pairwise_sum(a.leaves, a.leaf_count, shared_at<float>(k_sums_at), [&](uint32_t j) {
    const float v = value(j);
    return v * v;
  });
  if (thread_idx().x == 0) st_shared(norm_place, sqrt_rn(squares));
  bar_sync();
  const float norm = ld_shared(norm_place);
  const double total = pairwise_sum(a.leaves, a.leaf_count, shared_at<double>(k_sums_at), [&](uint32_t j) {
    const double difference = double(div_rn(value(j), norm)) - ld_global(a.target + j);
    return difference * difference;
  });
  if (thread_idx().x == 0) st_global(a.distance + row, sqrt_f64(total));
}

uint32_t shared_bytes(int64_t columns, uint64_t leaves) {
  return uint32_t(k_sums_at + leaves * sizeof(double) + uint64_t(columns) * sizeof(uint16_t));
}

void run(void *problem, places at, context &ctx) {
  const auto &p = *static_cast<const gk_permuted_distance *>(problem);
  if (p.rows == 0) return;
  const std::vector<sum_leaf> leaves = pairwise_leaves(uint32_t(p.columns));
  void *const seeds = ctx.upload(0, p.seeds, uint64_t(p.rows) * 4 * sizeof(uint64_t));
  void *const tree = ctx.upload(1, leaves.data(), leaves.size() * sizeof(sum_leaf));
  with_float_type(p.x_type, [&]<class T>() {
    distance_args<T> a{};
    a.columns = uint32_t(p.columns);
    a.leaf_count = uint32_t(leaves.size());
    a.ldx = p.ldx;
    a.x = runtime::address<const T>(at[k_distance_x]);
    a.seeds = runtime::address<const uint64_t>(seeds);
    a.leaves = runtime::address<const sum_leaf>(tree);
    a.target = runtime::address<const double>(at[k_distance_target]);
    a.distance = runtime::address<double>(at[k_distance_out]);
    for (uint32_t i = 0; i < k_jumps; ++i) a.jumps[i] = pcg_jump_over(uint64_t(1) << i);
    runtime::launch(
        ctx.stream(), &distance_kernel<T>,
        {.grid_x = uint32_t(p.rows), .threads = k_threads, .shared_bytes = shared_bytes(p.columns, leaves.size())}, a);
  });
}

const char *reject(const void *problem, const capability &can) {
  const auto &p = *static_cast<const gk_permuted_distance *>(problem);
  if (p.columns > 65536) return "more than 65536 columns";
  if (shared_bytes(p.columns, pairwise_leaves(uint32_t(p.columns)).size()) > can.shared_bytes_per_block)
    return "a permutation of that many columns does not fit in shared memory";
  return reject_rows<gk_permuted_distance>(problem, can);
}

constexpr implementation k_list[] = {{"generic", reject, nullptr, run}};

}  // namespace

std::span<const implementation> permuted_distance_list() noexcept {
  return k_list;
}

}  // namespace gonka::cuda
