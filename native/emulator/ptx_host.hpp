// The host side of ptx.cuh: every instruction as the emulator performs and checks it. Include ptx.cuh.
// The last parameter of everything that can be wrong is the caller's place in the source, filled in by the compiler.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "barrier.hpp"
#include "machine.hpp"
#include "matrix.hpp"
#include "number.hpp"
#include "tensor_map.hpp"
#include "tensor_memory.hpp"
#include "wgmma.hpp"

#define GK_DEVICE inline
#define GK_KERNEL(threads, blocks_per_sm) void
#define GK_UNROLL
#define GK_UNROLL_4
#define GK_NO_UNROLL
#define GK_GRID_CONSTANT const
#define GK_SITE ::gonka::emulator::site at = {__builtin_FILE(), __builtin_LINE()}

namespace gonka::ptx {

using emulator::index3;

inline emulator::thread &self() {
  return emulator::self();
}

inline index3 thread_idx() {
  return self().index;
}
inline index3 block_idx() {
  return self().block->index;
}
inline index3 block_dim() {
  return emulator::g_machine->config.block;
}
inline index3 grid_dim() {
  return emulator::g_machine->config.grid;
}
inline uint32_t lane_id() {
  return self().lane;
}
inline uint32_t warp_id() {
  return self().index.x / 32;
}

// ---------------------------------------------------------------------------------------------------------- memory

// Address in device memory. Arithmetic only; ld_global and st_global access it.
template <class T>
class gptr {
 public:
  gptr() = default;
  gptr(std::nullptr_t) {}
  explicit gptr(T *address) : address_(address) {}
  template <class U>
    requires(std::is_same_v<const U, T>)
  gptr(gptr<U> other) : address_(other.raw()) {}
  T *raw() const { return address_; }
  gptr operator+(std::ptrdiff_t n) const {  // addresses may leave the buffer as long as nobody uses them
    return gptr(reinterpret_cast<T *>(reinterpret_cast<uintptr_t>(address_) + uintptr_t(n) * sizeof(T)));
  }
  gptr operator-(std::ptrdiff_t n) const { return *this + -n; }
  gptr &operator+=(std::ptrdiff_t n) { return *this = *this + n; }
  bool operator==(std::nullptr_t) const { return address_ == nullptr; }

 private:
  T *address_ = nullptr;
};

// Address in the block's shared memory, as an offset from its start.
template <class T>
class sptr {
 public:
  sptr() = default;
  explicit sptr(uint32_t offset) : offset_(offset) {}
  template <class U>
    requires(std::is_same_v<const U, T>)
  sptr(sptr<U> other) : offset_(other.offset()) {}
  uint32_t offset() const { return offset_; }
  sptr operator+(std::ptrdiff_t n) const { return sptr(uint32_t(int64_t(offset_) + n * int64_t(sizeof(T)))); }
  sptr operator-(std::ptrdiff_t n) const { return *this + -n; }
  sptr &operator+=(std::ptrdiff_t n) { return *this = *this + n; }

 private:
  uint32_t offset_ = 0;
};

template <class T>
sptr<T> shared_at(uint32_t offset) {
  return sptr<T>(offset);
}
template <class U, class T>
gptr<U> ptr_cast(gptr<T> p) {
  return gptr<U>(reinterpret_cast<U *>(p.raw()));
}
template <class U, class T>
sptr<U> ptr_cast(sptr<T> p) {
  return sptr<U>(p.offset());
}
template <class T>
uint32_t shared_address(sptr<T> p) {
  return p.offset();
}
template <class T>
bool is_aligned(gptr<T> p, uint32_t bytes) {
  return reinterpret_cast<uintptr_t>(p.raw()) % bytes == 0;
}

namespace detail {

template <class T>
T *shared_access(sptr<T> p, bool writes, emulator::touch how, emulator::site at) {
  emulator::thread &t = self();
  const uint32_t offset = p.offset();
  if (offset % alignof(T) != 0)
    emulator::stop(emulator::fault::misaligned, at, "shared access of %zu bytes at offset %u", sizeof(T), offset);
  if (uint64_t(offset) + sizeof(T) > t.block->shadow.size())
    emulator::stop(emulator::fault::out_of_bounds, at, "shared access of %zu bytes at offset %u of %zu", sizeof(T),
                   offset, t.block->shadow.size());
  if (writes)
    t.block->shadow.write(t, offset, sizeof(T), how, at);
  else
    t.block->shadow.read(t, offset, sizeof(T), how, at);
  if (emulator::g_machine->how.count)
    emulator::log_access(t, writes ? emulator::request::shared_store : emulator::request::shared_load, offset,
                         sizeof(T), at);
  return reinterpret_cast<T *>(t.block->shared + offset);
}

template <class T>
void count_global(gptr<T> p, emulator::request kind, emulator::site at) {
  if (emulator::g_machine->how.count)
    emulator::log_access(self(), kind, reinterpret_cast<uintptr_t>(p.raw()), sizeof(T), at);
}

template <class F>
uint32_t atom_global(gptr<uint32_t> p, emulator::site at, F next) {
  emulator::check_global_read(p.raw(), 4, 4, emulator::touch::atomic, at);
  emulator::check_global_write(p.raw(), 4, 4, emulator::touch::atomic, at);
  ++emulator::g_machine->count->atomics;
  const uint32_t old = *p.raw();
  *p.raw() = next(old);
  return old;
}
}  // namespace detail

template <class T>
std::remove_const_t<T> ld_global(gptr<T> p, GK_SITE) {
  emulator::check_global_read(p.raw(), sizeof(T), alignof(T), emulator::touch::plain, at);
  detail::count_global(p, emulator::request::global_load, at);
  std::remove_const_t<T> value;
  std::memcpy(&value, p.raw(), sizeof value);
  return value;
}
template <class T>
void st_global(gptr<T> p, std::type_identity_t<T> value, GK_SITE) {
  emulator::check_global_write(p.raw(), sizeof(T), alignof(T), emulator::touch::plain, at);
  detail::count_global(p, emulator::request::global_store, at);
  std::memcpy(p.raw(), &value, sizeof value);
}
template <class T>
std::remove_const_t<T> ld_shared(sptr<T> p, GK_SITE) {
  std::remove_const_t<T> value;
  std::memcpy(&value, detail::shared_access(p, false, emulator::touch::plain, at), sizeof value);
  return value;
}
template <class T>
void st_shared(sptr<T> p, std::type_identity_t<T> value, GK_SITE) {
  std::memcpy(detail::shared_access(p, true, emulator::touch::plain, at), &value, sizeof value);
}

inline uint32_t atom_add_global(gptr<uint32_t> p, uint32_t v, GK_SITE) {
  return detail::atom_global(p, at, [v](uint32_t old) { return old + v; });
}
inline uint32_t atom_min_global(gptr<uint32_t> p, uint32_t v, GK_SITE) {
  return detail::atom_global(p, at, [v](uint32_t old) { return old < v ? old : v; });
}
inline uint32_t atom_add_acq_rel_global(gptr<uint32_t> p, uint32_t v, GK_SITE) {
  const uint32_t old = atom_add_global(p, v, at);
  emulator::synchronize_through(p.raw());
  return old;
}
inline uint32_t atom_add_shared(sptr<uint32_t> p, uint32_t v, GK_SITE) {
  detail::shared_access(p, false, emulator::touch::atomic, at);
  uint32_t *word = detail::shared_access(p, true, emulator::touch::atomic, at);
  ++emulator::g_machine->count->atomics;
  const uint32_t old = *word;
  *word = old + v;
  return old;
}

// ------------------------------------------------------------------------------------------------ barriers and lanes

inline void bar_sync(GK_SITE) {
  emulator::barrier_sync(0, 0, at);
}
inline void bar_sync(uint32_t id, uint32_t threads, GK_SITE) {
  emulator::barrier_sync(id, threads, at);
}
inline void bar_arrive(uint32_t id, uint32_t threads, GK_SITE) {
  emulator::barrier_arrive(id, threads, at);
}
inline void bar_warp_sync(GK_SITE) {
  emulator::collective("bar.warp.sync", self().warp->present, false, nullptr, nullptr, at);
}

namespace detail {

enum class shuffle { idx, bfly, up, down };

struct shuffle_operand {
  uint64_t in, out;
  uint32_t control;
};

template <shuffle Kind>
void perform_shuffle(emulator::warp &w, uint32_t, void *const *arguments) {
  for (uint32_t lane = 0; lane < 32; ++lane) {
    if ((w.present >> lane & 1) == 0) continue;
    auto &own = *static_cast<shuffle_operand *>(arguments[lane]);
    uint32_t from = lane;
    if constexpr (Kind == shuffle::idx) from = own.control % 32;
    if constexpr (Kind == shuffle::bfly) from = lane ^ (own.control % 32);
    if constexpr (Kind == shuffle::up) from = lane >= own.control ? lane - own.control : lane;
    if constexpr (Kind == shuffle::down) from = lane + own.control < 32 ? lane + own.control : lane;
    if ((w.present >> from & 1) == 0)
      emulator::stop(emulator::fault::divergent_collective, {"", 0}, "shfl.sync reads lane %u, which does not exist",
                     from);
    own.out = static_cast<shuffle_operand *>(arguments[from])->in;
  }
}

template <shuffle Kind, class T>
T exchange(T value, uint32_t control, emulator::site at) {
  static_assert(sizeof(T) <= 8);
  shuffle_operand own{0, 0, control};
  std::memcpy(&own.in, &value, sizeof value);
  emulator::g_machine->count->shuffles += sizeof(T) <= 4 ? 1 : 2;
  emulator::collective("shfl.sync", self().warp->present, false, &own, perform_shuffle<Kind>, at);
  std::memcpy(&value, &own.out, sizeof value);
  return value;
}

inline uint32_t ballot(bool predicate, emulator::site at) {
  struct operand {
    bool predicate;
    uint32_t result;
  } own{predicate, 0};
  ++emulator::g_machine->count->votes;
  emulator::collective(
      "vote.sync", self().warp->present, false, &own,
      [](emulator::warp &, uint32_t mask, void *const *arguments) {
        uint32_t result = 0;
        for (uint32_t lane = 0; lane < 32; ++lane)
          if (mask >> lane & 1) result |= uint32_t(static_cast<operand *>(arguments[lane])->predicate) << lane;
        for (uint32_t lane = 0; lane < 32; ++lane)
          if (mask >> lane & 1) static_cast<operand *>(arguments[lane])->result = result;
      },
      at);
  return own.result;
}

}  // namespace detail

template <class T>
T shfl_idx(T value, uint32_t lane, GK_SITE) {
  return detail::exchange<detail::shuffle::idx>(value, lane, at);
}
template <class T>
T shfl_xor(T value, uint32_t mask, GK_SITE) {
  return detail::exchange<detail::shuffle::bfly>(value, mask, at);
}
template <class T>
T shfl_up(T value, uint32_t distance, GK_SITE) {
  return detail::exchange<detail::shuffle::up>(value, distance, at);
}
template <class T>
T shfl_down(T value, uint32_t distance, GK_SITE) {
  return detail::exchange<detail::shuffle::down>(value, distance, at);
}
inline uint32_t vote_ballot(bool predicate, GK_SITE) {
  return detail::ballot(predicate, at);
}
inline bool vote_any(bool predicate, GK_SITE) {
  return detail::ballot(predicate, at) != 0;
}
inline bool vote_all(bool predicate, GK_SITE) {
  return detail::ballot(predicate, at) == self().warp->present;
}

// ---------------------------------------------------------------------------------------------------- copies (sm_80)

template <class D, class S>
void cp_async_16(sptr<D> to, gptr<S> from, uint32_t valid_bytes, GK_SITE) {
  emulator::copy_async(to.offset(), from.raw(), 16, valid_bytes, at);
}
template <class D, class S>
void cp_async_8(sptr<D> to, gptr<S> from, uint32_t valid_bytes, GK_SITE) {
  emulator::copy_async(to.offset(), from.raw(), 8, valid_bytes, at);
}
template <class D, class S>
void cp_async_4(sptr<D> to, gptr<S> from, uint32_t valid_bytes, GK_SITE) {
  emulator::copy_async(to.offset(), from.raw(), 4, valid_bytes, at);
}
inline void cp_async_commit() {
  emulator::copy_async_commit();
}
template <int Left>
void cp_async_wait(GK_SITE) {
  emulator::copy_async_wait(Left, at);
}

// ---------------------------------------------------------------------------------------------------------- matrices

template <class T>
void ldmatrix_x4(uint32_t (&r)[4], sptr<T> row, GK_SITE) {
  emulator::ldmatrix(r, 4, false, row.offset(), at);
}
template <class T>
void ldmatrix_x4_trans(uint32_t (&r)[4], sptr<T> row, GK_SITE) {
  emulator::ldmatrix(r, 4, true, row.offset(), at);
}
template <class T>
void ldmatrix_x2(uint32_t (&r)[2], sptr<T> row, GK_SITE) {
  emulator::ldmatrix(r, 2, false, row.offset(), at);
}
template <class T>
void stmatrix_x4(sptr<T> row, const uint32_t (&r)[4], GK_SITE) {
  emulator::stmatrix(r, 4, false, row.offset(), at);
}

template <class T>
constexpr emulator::element element_of() {
  if constexpr (std::is_same_v<T, f16>) return emulator::element::f16;
  if constexpr (std::is_same_v<T, bf16>) return emulator::element::bf16;
  if constexpr (std::is_same_v<T, e5m2>) return emulator::element::e5m2;
  return emulator::element::e4m3;
}
template <class T>
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], GK_SITE) {
  static_assert(std::is_same_v<T, f16> || std::is_same_v<T, bf16>);
  emulator::mma(element_of<T>(), d, a, b, at);
}
template <class T>
void mma_m16n8k32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], GK_SITE) {
  static_assert(std::is_same_v<T, e4m3> || std::is_same_v<T, e5m2>);
  emulator::mma(element_of<T>(), d, a, b, at);
}
inline void mma_m16n8k32_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], GK_SITE) {
  emulator::mma_s8(d, a, b, at);
}

// ------------------------------------------------------------------------------------ mbarriers, bulk copies, wgmma

inline void mbarrier_init(sptr<uint64_t> bar, uint32_t arrivals, GK_SITE) {
  emulator::mbarrier_init(bar.offset(), arrivals, at);
}
inline void mbarrier_arrive(sptr<uint64_t> bar, GK_SITE) {
  emulator::mbarrier_arrive(self().block->rank, bar.offset(), 1, at);
}
inline void mbarrier_arrive_expect_tx(sptr<uint64_t> bar, uint32_t bytes, GK_SITE) {
  emulator::mbarrier_expect(self().block->rank, bar.offset(), bytes, at);
  emulator::mbarrier_arrive(self().block->rank, bar.offset(), 1, at);
}
inline void mbarrier_wait_parity(sptr<uint64_t> bar, uint32_t parity, GK_SITE) {
  emulator::mbarrier_wait_parity(bar.offset(), parity, at);
}
inline void fence_mbarrier_init() {}  // matters to other blocks of a cluster only
inline void fence_proxy_async() {
  self().proxy_fence_clock = self().clock;
}

template <class D>
void cp_async_bulk_tensor_2d(sptr<D> to, const tensor_map &map, int32_t x, int32_t y, sptr<uint64_t> bar, GK_SITE) {
  const int32_t index[] = {x, y};
  emulator::copy_tensor_async(self().block->rank, to.offset(), map, 2, index, bar.offset(), at);
}
template <class D>
void cp_async_bulk_tensor_2d_multicast(sptr<D> to, const tensor_map &map, int32_t x, int32_t y, sptr<uint64_t> bar,
                                       uint32_t mask, GK_SITE) {
  const int32_t index[] = {x, y};
  for (uint32_t rank = 0; rank < 16; ++rank)
    if (mask >> rank & 1) emulator::copy_tensor_async(rank, to.offset(), map, 2, index, bar.offset(), at);
}
inline uint32_t cluster_rank() {
  return self().block->rank;
}
inline void cluster_sync(GK_SITE) {
  emulator::cluster_sync(at);
}
inline void mbarrier_arrive_cluster(sptr<uint64_t> bar, uint32_t rank, GK_SITE) {
  emulator::mbarrier_arrive(rank, bar.offset(), 1, at);
}
template <class D>
void cp_async_bulk_tensor_3d(sptr<D> to, const tensor_map &map, int32_t x, int32_t y, int32_t z, sptr<uint64_t> bar,
                             GK_SITE) {
  const int32_t index[] = {x, y, z};
  emulator::copy_tensor_async(self().block->rank, to.offset(), map, 3, index, bar.offset(), at);
}

template <class T>
uint64_t wgmma_descriptor(sptr<T> first, uint32_t leading, uint32_t stride) {
  return uint64_t(first.offset() >> 4 & 0x3fff) | uint64_t(leading >> 4 & 0x3fff) << 16 |
         uint64_t(stride >> 4 & 0x3fff) << 32 | uint64_t(1) << 62;
}
inline uint64_t wgmma_advance(uint64_t descriptor, uint32_t bytes) {
  return (descriptor & 0xffffffff00000000) | uint32_t(uint32_t(descriptor) + (bytes >> 4));
}
template <class T, bool TransposeB = false, int N>
void wgmma_m64(float (&d)[N], uint64_t a, uint64_t b, bool accumulate, GK_SITE) {
  constexpr auto type = is_bf16<T> ? emulator::wgmma_type::bf16 : emulator::wgmma_type::f16;
  emulator::wgmma_issue({type, 2 * N, d, a, b, nullptr, TransposeB, accumulate}, at);
}
template <class T, bool TransposeB, int N>
void wgmma_m64(float (&d)[N], const uint32_t (&a)[4], uint64_t b, bool accumulate, GK_SITE) {
  constexpr auto type = is_bf16<T> ? emulator::wgmma_type::bf16 : emulator::wgmma_type::f16;
  emulator::wgmma_issue({type, 2 * N, d, 0, b, a, TransposeB, accumulate}, at);
}
template <class T, int N>
void wgmma_m64_f8(float (&d)[N], uint64_t a, uint64_t b, bool accumulate, GK_SITE) {
  constexpr auto type = is_e5m2<T> ? emulator::wgmma_type::e5m2 : emulator::wgmma_type::e4m3;
  emulator::wgmma_issue({type, 2 * N, d, a, b, nullptr, false, accumulate}, at);
}
template <int N>
void wgmma_m64_s8(int32_t (&d)[N], uint64_t a, uint64_t b, bool accumulate, GK_SITE) {
  emulator::wgmma_issue({emulator::wgmma_type::s8, 2 * N, d, a, b, nullptr, false, accumulate}, at);
}
inline void wgmma_fence(GK_SITE) {
  emulator::wgmma_fence(at);
}
inline void wgmma_commit(GK_SITE) {
  emulator::wgmma_commit(at);
}
template <int Left>
void wgmma_wait(GK_SITE) {
  emulator::wgmma_wait(Left, at);
}
template <class D, int N>
void wgmma_hold(D (&)[N]) {}
template <int Registers>
void setmaxnreg_inc(GK_SITE) {
  static_assert(Registers % 8 == 0 && Registers >= 24 && Registers <= 256);
  emulator::set_registers(Registers, at);
}
template <int Registers>
void setmaxnreg_dec(GK_SITE) {
  static_assert(Registers % 8 == 0 && Registers >= 24 && Registers <= 256);
  emulator::set_registers(Registers, at);
}

// ----------------------------------------------------------------------------------------------------------- tcgen05

template <uint32_t Columns>
void tcgen05_alloc(sptr<uint32_t> to, GK_SITE) {
  emulator::tensor_allocate(to.offset(), Columns, at);
}
template <uint32_t Columns>
void tcgen05_dealloc(uint32_t address, GK_SITE) {
  emulator::tensor_release(address, Columns, at);
}
inline void tcgen05_relinquish_alloc_permit(GK_SITE) {
  emulator::tensor_relinquish(at);
}
template <tcgen05_kind Kind>
void tcgen05_mma(uint32_t d, uint64_t a, uint64_t b, uint32_t instruction, bool accumulate, GK_SITE) {
  emulator::tensor_mma(Kind, d, a, b, instruction, accumulate, at);
}
inline void tcgen05_commit(sptr<uint64_t> bar, GK_SITE) {
  emulator::tensor_commit(bar.offset(), at);
}
inline void tcgen05_fence_before_thread_sync() {
  emulator::tensor_fence_before();
}
inline void tcgen05_fence_after_thread_sync() {
  emulator::tensor_fence_after();
}
template <int N>
void tcgen05_ld_32x32b(uint32_t (&r)[N], uint32_t address, GK_SITE) {
  emulator::tensor_read(r, N, address, at);
}
template <int N>
void tcgen05_wait_ld(uint32_t (&)[N], GK_SITE) {
  emulator::tensor_wait_read(at);
}

// ----------------------------------------------------------------------------------------------------------- numbers

inline float fma(float a, float b, float c) {
  return std::fma(a, b, c);
}
inline double fma(double a, double b, double c) {
  return std::fma(a, b, c);
}
inline float max_f32(float a, float b) {
  return std::fmax(a, b);
}
inline float ex2_approx(float x) {
  const float y = std::exp2(x);
  return y < 0x1p-126f ? 0.0f : y;
}
inline float rcp_approx(float x) {
  const float y = 1 / x;
  return std::fabs(y) < 0x1p-126f ? std::copysign(0.0f, y) : y;
}
inline float lg2_approx(float x) {
  return std::log2(x);
}
inline float sqrt_rn(float x) {
  return std::sqrt(x);
}
inline float div_rn(float a, float b) {
  return a / b;
}
inline float exp_f32(float x) {
  return std::exp(x);
}
inline float log_f32(float x) {
  return std::log(x);
}
inline float sin_f32(float x) {
  return std::sin(x);
}
inline float cos_f32(float x) {
  return std::cos(x);
}
inline double sqrt_f64(double x) {
  return std::sqrt(x);
}
inline double exp_f64(double x) {
  return std::exp(x);
}
inline double log1p_f64(double x) {
  return std::log1p(x);
}
inline uint32_t bits_of(float x) {
  return std::bit_cast<uint32_t>(x);
}
inline float f32_of_bits(uint32_t x) {
  return std::bit_cast<float>(x);
}
inline uint64_t mul_hi(uint64_t a, uint64_t b) {
  __extension__ using wide = unsigned __int128;
  return uint64_t(wide(a) * b >> 64);
}
inline uint32_t mul_hi(uint32_t a, uint32_t b) {
  return uint32_t(uint64_t(a) * b >> 32);
}
inline uint32_t rotate_right(uint32_t x, uint32_t n) {
  return std::rotr(x, int(n));
}

inline float to_f32(float x) {
  return x;
}
inline float to_f32(f16 x) {
  return f16_to_f32(x.bits);
}
inline float to_f32(bf16 x) {
  return bf16_to_f32(x.bits);
}
inline uint32_t cvt_f16x2_e4m3x2(uint32_t pair) {
  const auto widen = [](uint32_t byte) { return uint32_t(f32_to_f16(e4m3_to_f32(uint8_t(byte)))); };
  return widen(pair & 0xff) | widen(pair >> 8 & 0xff) << 16;
}
template <class T>
T from_f32(float x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else if constexpr (std::is_same_v<T, f16>)
    return f16{f32_to_f16(x)};
  else
    return bf16{f32_to_bf16(x)};
}
template <class T>
uint32_t pack_f32x2(float low, float high) {
  return from_f32<T>(low).bits | uint32_t(from_f32<T>(high).bits) << 16;
}

}  // namespace gonka::ptx
