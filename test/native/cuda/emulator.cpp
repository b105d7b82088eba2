// The emulator itself: correct kernels run clean for every order of threads, and each class of mistake is reported as
// what it is, at its line.
#include <numeric>
#include <vector>

#include "check.hpp"
#include "cuda/device/ptx.cuh"

using namespace gonka::ptx;
namespace emulator = gonka::emulator;
using emulator::fault;

namespace {

template <class F>
emulator::finding run(emulator::launch_config config, uint64_t seed, F body, emulator::counters *count = nullptr) {
  emulator::options how;
  how.seed = seed;
  how.count = count != nullptr;
  how.compute_capability = 90;
  return emulator::launch(config, how, count, [](const void *p) { (*static_cast<const F *>(p))(); }, &body);
}

template <class F>
emulator::finding run_block(uint32_t threads, uint32_t shared_bytes, F body, uint64_t seed = 0) {
  return run({{1, 1, 1}, {threads, 1, 1}, shared_bytes, 1}, seed, body);
}

template <class T>
struct device_array {
  explicit device_array(size_t n) : data(static_cast<T *>(emulator::allocate(n * sizeof(T)))), count(n) {}
  explicit device_array(const std::vector<T> &v) : device_array(v.size()) {
    emulator::write(data, v.data(), v.size() * sizeof(T));
  }
  ~device_array() { emulator::release(data); }
  gptr<T> ptr() const { return gptr<T>(data); }
  T *data;
  size_t count;
};

void expect(const emulator::finding &found, fault kind, const char *what) {
  if (!check_report(found.kind == kind, __FILE__, __LINE__, what))
    std::fprintf(stderr, "  want %s, got: %s\n", emulator::fault_name(kind), found.text().c_str());
}

// Sum of every block by shuffles and shared memory; the last block to finish adds the partial sums.
void test_reduction() {
  std::vector<uint32_t> values(1000);
  std::iota(values.begin(), values.end(), 1);
  for (uint64_t seed : {0, 1, 2, 3}) {
    const device_array<uint32_t> in(values), partial(8), out(1), done(std::vector<uint32_t>{0});
    const gptr<uint32_t> x = in.ptr(), p = partial.ptr(), y = out.ptr(), ticket = done.ptr();
    emulator::counters count;
    const auto found = run(
        {{8, 1, 1}, {128, 1, 1}, 64, 1}, seed,
        [=] {
          const uint32_t i = block_idx().x * 128 + thread_idx().x;
          uint32_t sum = i < 1000 ? ld_global(x + i) : 0;
          for (uint32_t d = 16; d != 0; d /= 2) sum += shfl_xor(sum, d);
          if (lane_id() == 0) st_shared(shared_at<uint32_t>(warp_id() * 4), sum);
          bar_sync();
          if (thread_idx().x != 0) return;
          for (uint32_t w = 1; w < 4; ++w) sum += ld_shared(shared_at<uint32_t>(w * 4));
          st_global(p + block_idx().x, sum);
          if (atom_add_acq_rel_global(ticket, 1) != 7) return;
          uint32_t total = 0;
          for (uint32_t b = 0; b < 8; ++b) total += ld_global(p + b);
          st_global(y, total);
        },
        &count);
    expect(found, fault::none, "reduction runs clean");
    CHECK_EQ(out.data[0], 500500u);
    CHECK_EQ(count.global_load_bytes, 1000u * 4 + 8 * 4);
    CHECK_EQ(count.global_load_sectors, 125u + 8);
    CHECK_EQ(count.shared_store_wavefronts, 32u);
  }
}

void test_memory_faults() {
  const device_array<float> in(std::vector<float>(64, 1.0f)), out(64);
  const gptr<float> x = in.ptr(), y = out.ptr();
  expect(run_block(65, 0, [=] { ld_global(x + thread_idx().x); }), fault::out_of_bounds, "read past the end");
  expect(run_block(32, 0, [=] { st_global(y - 1 + thread_idx().x, 0.0f); }), fault::out_of_bounds, "write before");
  expect(run_block(32, 0, [=] { ld_global(ptr_cast<u32x4>(x + thread_idx().x)); }), fault::misaligned, "vector load");
  expect(run_block(32, 0, [=] { ld_global(y + thread_idx().x); }), fault::uninitialized, "read of unwritten buffer");
  expect(run_block(32, 64, [=] { st_shared(shared_at<float>(thread_idx().x * 4), 0.0f); }), fault::out_of_bounds,
         "shared write past the end");
  expect(run_block(32, 256, [=] { ld_shared(shared_at<float>(thread_idx().x * 4)); }), fault::uninitialized,
         "read of unwritten shared memory");
  const int line = __LINE__ + 1;
  const auto found = run_block(2, 0, [=] { st_global(y, float(thread_idx().x)); });
  expect(found, fault::data_race, "two threads store to one place");
  CHECK_EQ(found.where.line, line);
  expect(run({{2, 1, 1}, {1, 1, 1}, 0, 1}, 0, [=] { st_global(y, 1.0f); }), fault::data_race, "two blocks store");
}

void test_races() {
  // Neighbours exchange through shared memory: fine with a barrier, a race without, in any order of threads.
  for (uint64_t seed : {0, 5, 9}) {
    const auto body = [](bool barrier) {
      return [barrier] {
        const uint32_t t = thread_idx().x;
        st_shared(shared_at<uint32_t>(t * 4), t);
        if (barrier) bar_sync();
        const uint32_t other = ld_shared(shared_at<uint32_t>((t ^ 32) * 4));
        if (barrier) bar_sync();
        st_shared(shared_at<uint32_t>(t * 4), other);
      };
    };
    expect(run_block(64, 256, body(true), seed), fault::none, "exchange with barriers");
    const auto found = run_block(64, 256, body(false), seed);
    check_report(found.kind == fault::data_race || found.kind == fault::uninitialized, __FILE__, __LINE__,
                 "exchange without barrier is caught");
  }
  // The write of the next round must wait for the reads of this one.
  expect(run_block(64, 256,
                   [] {
                     const uint32_t t = thread_idx().x;
                     st_shared(shared_at<uint32_t>(t * 4), t);
                     bar_sync();
                     ld_shared(shared_at<uint32_t>((t ^ 32) * 4));
                     st_shared(shared_at<uint32_t>(t * 4), t);
                   }),
         fault::data_race, "write after read without barrier");
  // A warp orders its own lanes only.
  expect(run_block(32, 256,
                   [] {
                     const uint32_t t = thread_idx().x;
                     st_shared(shared_at<uint32_t>(t * 4), t);
                     bar_warp_sync();
                     ld_shared(shared_at<uint32_t>((t ^ 1) * 4));
                   }),
         fault::none, "bar.warp.sync orders the lanes");
  expect(run_block(64, 256,
                   [] {
                     const uint32_t t = thread_idx().x;
                     st_shared(shared_at<uint32_t>(t * 4), t);
                     bar_warp_sync();
                     if (t >= 32) ld_shared(shared_at<uint32_t>((t - 32) * 4));
                   }),
         fault::data_race, "bar.warp.sync does not order warps");
  // Bytes of one word belong to different threads.
  expect(run_block(32, 64, [] { st_shared(shared_at<uint8_t>(thread_idx().x), uint8_t(1)); }), fault::none,
         "byte stores do not race");
}

void test_collectives_and_barriers() {
  expect(run_block(32, 0,
                   [] {
                     if (lane_id() < 16) shfl_xor(1u, 1);
                   }),
         fault::divergent_collective, "half a warp shuffles");
  expect(run_block(64, 0,
                   [] {
                     if (warp_id() == 0) bar_sync();
                   }),
         fault::barrier_misuse, "a warp leaves before the barrier");
  expect(run_block(64, 0,
                   [] {
                     if (warp_id() == 0)
                       bar_sync();
                     else
                       bar_sync();
                   }),
         fault::barrier_misuse, "different __syncthreads");
  expect(run_block(96, 0,
                   [] {
                     if (warp_id() == 0)
                       bar_sync(1, 64);
                     else
                       bar_sync(1, 96);
                   }),
         fault::barrier_misuse, "named barrier with two counts");
  expect(run_block(64, 0,
                   [] {
                     if (warp_id() == 0)
                       bar_sync(1, 64);
                     else
                       bar_sync(2, 64);
                   }),
         fault::deadlock, "warps wait at different named barriers");
  // Producer and consumer: arrive does not wait, sync does.
  for (uint64_t seed : {0, 1, 2})
    expect(run_block(
               64, 128,
               [] {
                 const uint32_t lane = lane_id();
                 if (warp_id() == 0) {
                   st_shared(shared_at<uint32_t>(lane * 4), lane);
                   bar_arrive(1, 64);
                 } else {
                   bar_sync(1, 64);
                   ld_shared(shared_at<uint32_t>(lane * 4));
                 }
               },
               seed),
           fault::none, "bar.arrive releases to bar.sync");
}

void test_cp_async() {
  std::vector<uint32_t> values(128);
  std::iota(values.begin(), values.end(), 0);
  const device_array<uint32_t> in(values), out(128);
  const gptr<uint32_t> x = in.ptr(), y = out.ptr();
  const auto body = [=](bool wait, bool barrier) {
    return [=] {
      const uint32_t t = thread_idx().x;
      cp_async_16(shared_at<uint32_t>(t * 16), x + t * 4, t == 31 ? 8 : 16);
      cp_async_commit();
      if (wait) cp_async_wait<0>();
      if (barrier) bar_sync();
      for (uint32_t i = 0; i < 4; ++i)
        st_global(y + t * 4 + i, ld_shared(shared_at<uint32_t>(((t + 1) % 32 * 4 + i) * 4)));
      cp_async_wait<0>();
    };
  };
  expect(run_block(32, 512, body(true, true)), fault::none, "cp.async with wait and barrier");
  CHECK_EQ(out.data[0], 4u);
  CHECK_EQ(out.data[30 * 4 + 1], 125u);
  CHECK_EQ(out.data[30 * 4 + 2], 0u);
  expect(run_block(32, 512, body(false, true)), fault::in_flight, "cp.async without wait");
  const auto unordered = run_block(32, 512, body(true, false), 3).kind;
  check_report(unordered == fault::in_flight || unordered == fault::uninitialized || unordered == fault::data_race,
               __FILE__, __LINE__, "cp.async without barrier is caught");
  expect(run_block(1, 64, [=] { cp_async_16(shared_at<uint32_t>(8), x, 16); }), fault::misaligned,
         "cp.async to a misaligned place");
  expect(run_block(1, 64, [=] { cp_async_16(shared_at<uint32_t>(0), x + 1, 16); }), fault::misaligned,
         "cp.async from a misaligned place");
}

// Fragments of mma and ldmatrix against a plain product, exact small integers in F16.
void test_matrix() {
  std::vector<uint16_t> a(16 * 16), b(8 * 16);
  for (size_t i = 0; i < a.size(); ++i) a[i] = gonka::f32_to_f16(float(int(i * 37 % 17) - 8));
  for (size_t i = 0; i < b.size(); ++i) b[i] = gonka::f32_to_f16(float(int(i * 23 % 13) - 6));
  const device_array<uint16_t> da(a), db(b);
  const device_array<float> dd(16 * 8);
  const gptr<uint16_t> pa = da.ptr(), pb = db.ptr();
  const gptr<float> pd = dd.ptr();
  const auto found = run_block(32, 16 * 32 + 8 * 32, [=] {
    const uint32_t l = lane_id();
    for (uint32_t i = l; i < 256; i += 32) st_shared(shared_at<uint16_t>(i * 2), ld_global(pa + i));
    for (uint32_t i = l; i < 128; i += 32) st_shared(shared_at<uint16_t>(512 + i * 2), ld_global(pb + i));
    bar_warp_sync();
    uint32_t fa[4], fb[2];
    float fd[4] = {1, 2, 3, 4};
    ldmatrix_x4(fa, shared_at<uint16_t>(l % 16 * 32 + l / 16 * 16));
    ldmatrix_x2(fb, shared_at<uint16_t>(512 + l % 8 * 32 + l / 8 % 2 * 16));
    mma_m16n8k16<f16>(fd, fa, fb);
    for (uint32_t r = 0; r < 4; ++r) st_global(pd + (l / 4 + r / 2 * 8) * 8 + l % 4 * 2 + r % 2, fd[r]);
  });
  expect(found, fault::none, "ldmatrix and mma run clean");
  for (uint32_t i = 0; i < 16; ++i)
    for (uint32_t j = 0; j < 8; ++j) {
      float want = float(1 + i / 8 * 2 + j % 2);
      for (uint32_t x = 0; x < 16; ++x) want += gonka::f16_to_f32(a[i * 16 + x]) * gonka::f16_to_f32(b[j * 16 + x]);
      CHECK_EQ(dd.data[i * 8 + j], want);
    }
}

void test_bank_conflicts() {
  const auto wavefronts = [](uint32_t stride) {
    emulator::counters count;
    run(
        {{1, 1, 1}, {32, 1, 1}, 32 * 128, 1}, 0, [=] { st_shared(shared_at<uint32_t>(lane_id() * stride), 0u); },
        &count);
    return count.shared_store_wavefronts;
  };
  CHECK_EQ(wavefronts(4), 1u);
  CHECK_EQ(wavefronts(8), 2u);
  CHECK_EQ(wavefronts(128), 32u);
  CHECK_EQ(wavefronts(36), 1u);
}

}  // namespace

int main() {
  test_reduction();
  test_memory_faults();
  test_races();
  test_collectives_and_barriers();
  test_cp_async();
  test_matrix();
  test_bank_conflicts();
  return check_summary();
}
