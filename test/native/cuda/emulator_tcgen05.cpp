// tcgen05 in the emulator: a correct kernel gives exact products for every order of completion, and each mistake in the
// use of tensor memory, descriptors, commits, fences and waits is reported as what it is.
#include <vector>

#include "check.hpp"
#include "cuda/device/ptx.cuh"
#include "number.hpp"

using namespace gonka::ptx;
namespace emulator = gonka::emulator;
using emulator::fault;

namespace {

enum class mistake {
  none,
  wrong_columns_allocated,
  no_dealloc,
  dealloc_too_early,
  alloc_after_relinquish,
  column_outside,
  no_commit,
  no_commit_wait,
  no_after_fence,
  no_wait_ld,
  no_before_fence,
  second_product_at_once,
  no_after_fence_of_mma,
  other_warps_lanes,
  first_adds,
  stage_overwritten,
  commits_too_many,
  no_proxy_fence,
  wrong_swizzle,
  sparse,
  base_offset,
  two_columns_early,
  address_assumed_zero,
};

// D [128][32] in two rounds: A_r B_r^T for r = 0, 1, each over 128 bytes of k; the second round reuses accumulator and
// stage.
constexpr uint32_t k_n = 32, k_columns = 32, k_a = 0, k_b = 128 * 128, k_barriers = k_b + k_n * 128;
constexpr uint32_t k_shared = k_barriers + 64;

struct arguments {
  gptr<const uint8_t> a, b;  // [round][rows][128]
  gptr<uint32_t> d;          // [round][128][k_n]
  uint32_t instruction;
  mistake wrong;
};

sptr<uint64_t> full() {
  return shared_at<uint64_t>(k_barriers);
}
sptr<uint64_t> empty() {
  return shared_at<uint64_t>(k_barriers + 8);
}
sptr<uint32_t> place() {
  return shared_at<uint32_t>(k_barriers + 16);
}

void fill_rows(gptr<const uint8_t> from, uint32_t rows, uint32_t to, mistake wrong) {
  for (uint32_t i = thread_idx().x; i < rows * 8; i += 160) {
    const uint32_t row = i / 8, chunk = i % 8;
    const uint32_t at = to + row * 128 + (wrong == mistake::wrong_swizzle ? chunk : chunk ^ (row % 8)) * 16;
    st_shared(shared_at<u32x4>(at), ld_global(ptr_cast<const u32x4>(from + (row * 128 + chunk * 16))));
  }
}

template <tcgen05_kind Kind>
void kernel(const arguments &a) {
  const uint32_t warp = warp_id(), lane = lane_id();
  const mistake wrong = a.wrong;
  if (warp == 4) {
    if (wrong == mistake::alloc_after_relinquish) tcgen05_relinquish_alloc_permit();
    tcgen05_alloc<k_columns>(place());
    tcgen05_relinquish_alloc_permit();
    if (lane == 0) {
      mbarrier_init(full(), 1);
      mbarrier_init(empty(), 4);
    }
  }
  bar_sync();
  const uint32_t taken = wrong == mistake::address_assumed_zero ? 0 : ld_shared(place());
  for (uint32_t round = 0; round < 2; ++round) {
    fill_rows(a.a + round * 128 * 128, 128, k_a, wrong);
    fill_rows(a.b + round * k_n * 128, k_n, k_b, wrong);
    if (wrong != mistake::no_proxy_fence) fence_proxy_async();
    bar_sync();
    if (warp == 4 && lane == 0) {
      mbarrier_wait_parity(empty(), round & 1 ? 0 : 1);
      if (wrong != mistake::no_after_fence_of_mma) tcgen05_fence_after_thread_sync();
      const uint32_t instruction = wrong == mistake::sparse ? a.instruction | 4 : a.instruction;
      for (uint32_t part = 0; part < 128; part += 32) {
        uint64_t da = tcgen05_operand(k_a + part, 1024);
        if (wrong == mistake::base_offset) da |= uint64_t(1) << 49;
        tcgen05_mma<Kind>(taken + (wrong == mistake::column_outside ? 16 : 0), da, tcgen05_operand(k_b + part, 1024),
                          instruction, part != 0 || wrong == mistake::first_adds);
      }
      if (wrong != mistake::no_commit) tcgen05_commit(full());
      if (wrong == mistake::commits_too_many) tcgen05_commit(full());
      if (wrong == mistake::second_product_at_once)
        tcgen05_mma<Kind>(taken, tcgen05_operand(k_a, 1024), tcgen05_operand(k_b, 1024), instruction, true);
    }
    if (warp < 4) {
      if (wrong != mistake::no_commit_wait && wrong != mistake::no_commit) mbarrier_wait_parity(full(), round & 1);
      if (wrong != mistake::no_after_fence) tcgen05_fence_after_thread_sync();
      uint32_t r[k_n / 2], more[k_n / 2];
      const uint32_t lanes = (wrong == mistake::other_warps_lanes ? 3 - warp : warp) * 32;
      tcgen05_ld_32x32b(r, taken + (lanes << 16));
      tcgen05_ld_32x32b(more, taken + (lanes << 16) + (wrong == mistake::two_columns_early ? k_n : k_n / 2));
      if (wrong != mistake::no_wait_ld) tcgen05_wait_ld(r);
      for (uint32_t i = 0; i < k_n; ++i)
        st_global(a.d + ((round * 128 + warp * 32 + lane) * k_n + i), i < k_n / 2 ? r[i] : more[i - k_n / 2]);
      if (wrong != mistake::no_before_fence) tcgen05_fence_before_thread_sync();
      bar_warp_sync();
      if (lane == 0) mbarrier_arrive(empty());
    }
    if (warp == 4 && wrong == mistake::dealloc_too_early) {
      tcgen05_dealloc<k_columns>(taken);
      return;
    }
    // The stage is free once the commit has arrived.
    if (wrong != mistake::stage_overwritten && wrong != mistake::no_commit) mbarrier_wait_parity(full(), round & 1);
    if (wrong != mistake::stage_overwritten) bar_sync();
  }
  bar_sync();
  if (warp == 4 && wrong != mistake::no_dealloc)
    tcgen05_dealloc<k_columns>(taken + (wrong == mistake::wrong_columns_allocated ? 32 : 0));
}

struct device_bytes {
  explicit device_bytes(const std::vector<uint8_t> &v) : data(static_cast<uint8_t *>(emulator::allocate(v.size()))) {
    emulator::write(data, v.data(), v.size());
  }
  ~device_bytes() { emulator::release(data); }
  uint8_t *data;
};

struct element_type {
  tcgen05_element element;
  uint32_t bytes;
  double (*widen)(const uint8_t *);
};
const element_type k_f16 = {tcgen05_element::f16, 2,
                            [](const uint8_t *p) { return double(gonka::f16_to_f32(uint16_t(p[0] | p[1] << 8))); }};
const element_type k_bf16 = {tcgen05_element::bf16, 2,
                             [](const uint8_t *p) { return double(gonka::bf16_to_f32(uint16_t(p[0] | p[1] << 8))); }};
const element_type k_e4m3 = {tcgen05_element::e4m3, 1, [](const uint8_t *p) { return double(gonka::e4m3_to_f32(*p)); }};
const element_type k_e5m2 = {tcgen05_element::e5m2, 1, [](const uint8_t *p) { return double(gonka::e5m2_to_f32(*p)); }};
const element_type k_s8 = {tcgen05_element::s8, 1, [](const uint8_t *p) { return double(int8_t(*p)); }};

// Operands whose sums are exact in F32: small multiples of 1/8.
std::vector<uint8_t> values(const element_type &type, uint32_t rows, uint32_t salt) {
  std::vector<uint8_t> out(size_t(2) * rows * 128);
  uint32_t state = salt;
  for (size_t i = 0; i < out.size(); i += type.bytes) {
    const int v = int((state = state * 1664525 + 1013904223) >> 24) % 9 - 4;
    if (type.bytes == 2) {
      const uint16_t bits =
          type.element == tcgen05_element::f16 ? gonka::f32_to_f16(float(v) / 2) : gonka::f32_to_bf16(float(v) / 2);
      out[i] = uint8_t(bits), out[i + 1] = uint8_t(bits >> 8);
    } else if (type.widen == k_s8.widen) {
      out[i] = uint8_t(v * 31);
    } else {
      // 0, 1/2, 1, 3/2, 2 and their negatives.
      const uint8_t e4m3[] = {0x00, 0x30, 0x38, 0x3c, 0x40}, e5m2[] = {0x00, 0x38, 0x3c, 0x3e, 0x40};
      const int magnitude = v < 0 ? -v : v;
      out[i] = uint8_t((type.widen == k_e4m3.widen ? e4m3 : e5m2)[magnitude] | (v < 0 ? 0x80 : 0));
    }
  }
  return out;
}

template <tcgen05_kind Kind>
emulator::finding run(const element_type &ta, const element_type &tb, uint64_t seed, mistake wrong,
                      uint32_t capability = 100) {
  constexpr bool integer = Kind == tcgen05_kind::i8;
  const std::vector<uint8_t> va = values(ta, 128, 7), vb = values(tb, k_n, 11);
  const device_bytes a(va), b(vb), d(std::vector<uint8_t>(2 * 128 * k_n * 4));
  const arguments given = {gptr<const uint8_t>(a.data), gptr<const uint8_t>(b.data),
                           ptr_cast<uint32_t>(gptr<uint8_t>(d.data)),
                           tcgen05_instruction(ta.element, tb.element, integer, 128, k_n), wrong};
  emulator::options how;
  how.seed = seed;
  how.compute_capability = capability;
  const auto found = emulator::launch(
      {{1, 1, 1}, {160, 1, 1}, k_shared, 1}, how, nullptr,
      [](const void *p) { kernel<Kind>(*static_cast<const arguments *>(p)); }, &given);
  if (wrong != mistake::none || found.kind != fault::none) return found;
  const uint32_t k = 128 / ta.bytes;
  uint32_t differ = 0;
  for (uint32_t round = 0; round < 2; ++round)
    for (uint32_t i = 0; i < 128; ++i)
      for (uint32_t j = 0; j < k_n; ++j) {
        double want = 0;
        for (uint32_t x = 0; x < k; ++x)
          want += ta.widen(&va[(round * 128 + i) * 128 + x * ta.bytes]) *
                  tb.widen(&vb[(round * k_n + j) * 128 + x * tb.bytes]);
        uint32_t bits;
        std::memcpy(&bits, d.data + ((round * 128 + i) * k_n + j) * 4, 4);
        differ += (integer ? double(int32_t(bits)) : double(f32_of_bits(bits))) != want;
      }
  CHECK_EQ(differ, 0u);
  return found;
}

// Which of the two is found first may depend on the order of threads.
void expect(const emulator::finding &found, fault kind, fault other, const char *words, const char *what) {
  const bool right = (found.kind == kind && (kind == fault::none || found.text().find(words) != std::string::npos)) ||
                     (found.kind == other && other != fault::none);
  if (!check_report(right, __FILE__, __LINE__, what))
    std::fprintf(stderr, "  want %s with \"%s\", got: %s\n", emulator::fault_name(kind), words, found.text().c_str());
}

}  // namespace

int main() {
  for (uint64_t seed : {0, 1, 2, 3}) {
    expect(run<tcgen05_kind::f16>(k_f16, k_f16, seed, mistake::none), fault::none, fault::none, "", "f16");
    expect(run<tcgen05_kind::f16>(k_bf16, k_bf16, seed, mistake::none), fault::none, fault::none, "", "bf16");
    expect(run<tcgen05_kind::f8f6f4>(k_e4m3, k_e4m3, seed, mistake::none), fault::none, fault::none, "", "e4m3");
    expect(run<tcgen05_kind::f8f6f4>(k_e5m2, k_e4m3, seed, mistake::none), fault::none, fault::none, "",
           "e5m2 by e4m3");
    expect(run<tcgen05_kind::i8>(k_s8, k_s8, seed, mistake::none), fault::none, fault::none, "", "s8");
  }
  const struct {
    mistake wrong;
    fault kind;
    const char *words, *what;
    fault other = fault::none;
  } mistakes[] = {
      {mistake::wrong_columns_allocated, fault::bad_operand, "no such allocation", "dealloc of other columns"},
      {mistake::no_dealloc, fault::leak, "without tcgen05.dealloc", "missing dealloc"},
      {mistake::dealloc_too_early, fault::data_race, "tcgen05.dealloc", "dealloc before the loads"},
      {mistake::alloc_after_relinquish, fault::barrier_misuse, "relinquish", "alloc after the permit was given up"},
      {mistake::column_outside, fault::out_of_bounds, "columns", "mma beyond the allocation"},
      {mistake::address_assumed_zero, fault::out_of_bounds, "not allocated", "address taken for 0"},
      {mistake::no_commit, fault::data_race, "no commit", "ld without a commit", fault::uninitialized},
      {mistake::no_commit_wait, fault::data_race, "no commit", "ld without a wait for the commit",
       fault::uninitialized},
      {mistake::no_after_fence, fault::data_race, "after_thread_sync", "ld without a fence after the wait"},
      {mistake::no_wait_ld, fault::data_race, "not waited for", "ld never waited for"},
      {mistake::no_before_fence, fault::data_race, "before_thread_sync", "no fence before the arrival"},
      {mistake::second_product_at_once, fault::data_race, "", "mma while others read"},
      {mistake::no_after_fence_of_mma, fault::data_race, "after_thread_sync", "no fence before the mma"},
      {mistake::other_warps_lanes, fault::bad_operand, "may read lanes", "lanes of another warp"},
      {mistake::two_columns_early, fault::out_of_bounds, "columns", "ld beyond the allocation"},
      {mistake::first_adds, fault::uninitialized, "nobody wrote", "accumulator never cleared"},
      {mistake::stage_overwritten, fault::data_race, "tcgen05", "stage written while an mma reads it"},
      {mistake::commits_too_many, fault::barrier_misuse, "", "two arrivals where one is expected", fault::data_race},
      {mistake::no_proxy_fence, fault::data_race, "fence.proxy.async", "generic writes without a proxy fence"},
      {mistake::sparse, fault::bad_operand, "sparsity", "reserved bits of the instruction descriptor"},
      {mistake::base_offset, fault::bad_operand, "base offset", "base offset of a descriptor"},
  };
  for (const auto &m : mistakes)
    for (uint64_t seed : {0, 1, 2})
      expect(run<tcgen05_kind::f16>(k_f16, k_f16, seed, m.wrong), m.kind, m.other, m.words, m.what);
  expect(run<tcgen05_kind::f16>(k_f16, k_f16, 0, mistake::none, 90), fault::bad_operand, fault::none, "sm_100a",
         "on sm_90");
  return check_summary();
}
