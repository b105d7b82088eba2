// The translator's instructions, one by one: hand-written kernels (instructions.ptx), translated when the tests are
// built, run on the emulator, against what the PTX ISA document says, computed here in another way.
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "check.hpp"
#include "emulator.hpp"
#include "number.hpp"
#include "ptx/kernel_table.hpp"

using namespace gonka;

namespace {

__extension__ using u128 = unsigned __int128;
__extension__ using s128 = __int128;

const emulator::translated::kernel &kernel_named(const char *name) {
  const auto &m = *emulator::translated::k_translated_modules.modules[0];
  for (uint32_t i = 0; i < m.kernel_count; ++i)
    if (std::strcmp(m.kernels[i].name, name) == 0) return m.kernels[i];
  std::fprintf(stderr, "no kernel %s\n", name);
  std::exit(1);
}

// Runs a kernel over `threads` threads of one block; out comes back.
template <class In, class Out>
std::vector<Out> run(const char *name, std::vector<In> &in, size_t out_count, uint32_t threads, bool keep_in = false) {
  void *device_in = emulator::allocate(in.size() * sizeof(In));
  void *device_out = emulator::allocate(out_count * sizeof(Out));
  emulator::write(device_in, in.data(), in.size() * sizeof(In));
  const uint64_t arguments[] = {reinterpret_cast<uint64_t>(device_in), reinterpret_cast<uint64_t>(device_out)};
  const emulator::finding found =
      emulator::launch({{1, 1, 1}, {threads, 1, 1}, threads * 16, 1}, {}, nullptr, kernel_named(name).entry, arguments);
  check_report(found.kind == emulator::fault::none, __FILE__, __LINE__, std::string(name) + ": " + found.text());
  std::vector<Out> out(out_count);
  emulator::read(out.data(), device_out, out_count * sizeof(Out));
  if (keep_in) emulator::read(in.data(), device_in, in.size() * sizeof(In));
  emulator::release(device_in);
  emulator::release(device_out);
  return out;
}

// Compares results of thread t, in the order the kernel stores them.
template <class T>
void expect(const char *kernel, const std::vector<T> &out, size_t t, const std::vector<T> &want) {
  for (size_t i = 0; i < want.size(); ++i)
    check_equal(out[t * want.size() + i], want[i],
                (std::string(kernel) + " thread " + std::to_string(t) + " result " + std::to_string(i)).c_str(),
                __FILE__, __LINE__);
}

// ------------------------------------------------------------------------------------------------------------ words

uint32_t shifted(uint64_t value, uint32_t n, bool left) {  // one bit at a time
  for (uint32_t i = 0; i < n && i < 64; ++i) value = left ? value << 1 : value >> 1;
  return uint32_t(value);
}

std::vector<uint32_t> words_of(uint32_t a, uint32_t b, uint32_t c) {
  const int64_t sa = int32_t(a), sb = int32_t(b);
  const uint64_t pair = uint64_t(b) << 32 | a;
  const auto funnel_left = [&](uint32_t n) {
    uint64_t v = pair;
    for (uint32_t i = 0; i < n; ++i) v <<= 1;
    return uint32_t(v >> 32);
  };
  const auto field = [&](bool sign) {
    uint32_t r = 0;
    const uint32_t start = c & 0xff;
    const uint32_t last = start + 6 < 31 ? start + 6 : 31;
    for (uint32_t i = 0; i < 32; ++i) {
      const uint32_t from = i < 7 ? start + i : 32;
      const uint32_t bit = from < 32 ? a >> from & 1 : sign ? a >> last & 1 : 0;
      r |= bit << i;
    }
    return r;
  };
  uint32_t picked = 0, inserted = b, reversed = 0, ones = 0, zeros = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t n = c >> (4 * i) & 15;
    uint32_t byte = uint32_t(pair >> (n % 8 * 8)) & 0xff;
    if (n > 7) byte = byte > 127 ? 0xff : 0;
    picked |= byte << (8 * i);
  }
  for (uint32_t i = 0; i < 5; ++i)
    if ((c & 0xff) + i < 32) {
      const uint32_t at = (c & 0xff) + i;
      inserted = (inserted & ~(1u << at)) | (a >> i & 1) << at;
    }
  for (uint32_t i = 0; i < 32; ++i) {
    reversed |= (a >> i & 1) << (31 - i);
    ones += a >> i & 1;
  }
  while (zeros < 32 && (a >> (31 - zeros) & 1) == 0) ++zeros;
  const uint32_t all_signs = sa < 0 ? 0xffffffff : 0;
  const uint32_t shift_signed = b >= 32 ? all_signs : uint32_t(sa >> b);
  const int16_t h = int16_t(a), g = int16_t(b);
  return {a + b, a - b, a * b, uint32_t(uint64_t(a) * b >> 32), uint32_t(uint64_t(sa * sb) >> 32), a * b + c,
          uint32_t(uint64_t(a) * b >> 32) + c, a / b, uint32_t(sa / sb), a % b, uint32_t(sa % sb), a < b ? a : b,
          uint32_t(sa < sb ? sa : sb), a > b ? a : b, uint32_t(sa > sb ? sa : sb), uint32_t(sa < 0 ? -sa : sa),
          uint32_t(-sa), ~a, a & b, a | b, a ^ b, shifted(a, b, true), b >= 32 ? 0 : shifted(a, b, false), shift_signed,
          funnel_left(c % 32), shifted(pair, c % 32, false), funnel_left(c < 32 ? c : 32),
          shifted(pair, c < 32 ? c : 32, false), picked, inserted, field(false), field(true), ones, zeros, reversed,
          // 16 bits, shown as zero-extended words
          a & 0xffff, uint16_t(int8_t(a)), uint16_t(uint32_t(uint16_t(h)) * uint16_t(g)),
          uint16_t(b >= 16 ? (h < 0 ? -1 : 0) : h >> b), uint16_t(b >= 16 ? 0 : uint16_t(h) << b),
          uint32_t(uint16_t(h)) * uint16_t(g), uint32_t(int32_t(h) * g),
          uint32_t(sa < 0     ? 0
                   : sa > 255 ? 255
                              : sa)};
}

void test_words() {
  std::vector<uint32_t> in = {7,          3,          0,          0xffffffff, 5,          31,  0x80000000, 31,
                              32,         0x80000001, 32,         33,         0x12345678, 33,  0x00003210, 0xfedcba98,
                              40,         0x0000ba98, 0x7fffffff, 2,          0x0000ffff, 100, 16,         28,
                              0xfffffff9, 3,          40,         0x00018000, 17,         255};
  const size_t threads = in.size() / 3;
  const std::vector<uint32_t> inputs = in;
  const auto out = run<uint32_t, uint32_t>("words", in, threads * 43, uint32_t(threads));
  for (size_t t = 0; t < threads; ++t)
    expect("words", out, t, words_of(inputs[t * 3], inputs[t * 3 + 1], inputs[t * 3 + 2]));
}

std::vector<uint64_t> double_words_of(uint64_t a, uint64_t b, uint64_t c) {
  const uint64_t a32 = uint32_t(a), b32 = uint32_t(b);
  const int64_t s32 = int32_t(a), t32 = int32_t(b), sa = int64_t(a), sb = int64_t(b);
  const uint64_t n = b32 < 64 ? b32 : 64, start = c & 0xff;
  uint64_t inserted = b;
  for (uint64_t i = 0; i < 9; ++i)
    if (start + i < 64) inserted = (inserted & ~(uint64_t(1) << (start + i))) | (a >> i & 1) << (start + i);
  const bool carry = a + b < a, carry2 = c + carry < c, borrow = a < b;
  return {a32 * b32,
          uint64_t(s32 * t32),
          a32 * b32 + c,
          uint64_t(s32 * t32) + c,
          a * b,
          uint64_t(u128(a) * b >> 64),
          uint64_t(u128(s128(sa) * sb) >> 64),
          a + b,
          a - b,
          a / b,
          uint64_t(sa / sb),
          a % b,
          uint64_t(sa % sb),
          uint64_t(sa < sb ? sa : sb),
          a > b ? a : b,
          uint64_t(0) - a,
          ~a,
          n == 64 ? 0 : a << n,
          n == 64 ? 0 : a >> n,
          n == 64 ? (sa < 0 ? ~uint64_t(0) : 0) : uint64_t(sa >> n),
          inserted,
          uint64_t(s32),
          a32,
          uint64_t(int64_t(int8_t(a))),
          a + b,
          c + carry,
          carry2 ? 1u : 0u,
          a - b,
          c - (borrow ? 1 : 0),
          a32 << 32 | b32};
}

void test_double_words() {
  std::vector<uint64_t> in = {7,
                              3,
                              1,
                              ~uint64_t(0),
                              1,
                              ~uint64_t(0),
                              0x8000000000000000,
                              63,
                              60,
                              0x123456789abcdef0,
                              64,
                              0,
                              5,
                              0x8000000000000000,
                              70,
                              0xfedcba9876543281,
                              0xffffffff00000041,
                              0x7fffffffffffffff};
  const size_t threads = in.size() / 3;
  const std::vector<uint64_t> inputs = in;
  const auto out = run<uint64_t, uint64_t>("double_words", in, threads * 30, uint32_t(threads));
  for (size_t t = 0; t < threads; ++t)
    expect("double_words", out, t, double_words_of(inputs[t * 3], inputs[t * 3 + 1], inputs[t * 3 + 2]));
}

// ----------------------------------------------------------------------------------------------------------- floats

// The processor's own rounding modes; volatile keeps the compiler from computing with the wrong one.
float fma_in(int mode, float a, float b, float c) {
  volatile float x = a, y = b, z = c;
  std::fesetround(mode);
  volatile float r = std::fma(x, y, z);
  std::fesetround(FE_TONEAREST);
  return r;
}

uint32_t bits(float x) {
  return std::isnan(x) ? 0x7fffffff : std::bit_cast<uint32_t>(x);  // the device's NaN has no payload
}
double to_range(float x, double low, double high) {
  return std::isnan(x) ? 0 : x < low ? low : x > high ? high : double(x);
}

std::vector<uint32_t> floats_of(float a, float b, float c) {
  const auto clamp = [](float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; };
  const auto pick = [](float x, float y, bool low) {
    if (std::isnan(x)) return y;
    if (std::isnan(y)) return x;
    if (x == y) return std::signbit(x) == low ? x : y;
    return (x < y) == low ? x : y;
  };
  const float flushed = std::fpclassify(a) == FP_SUBNORMAL ? 0.0f : a;
  const float power = std::exp2(flushed);
  const auto packed16 = [](float high, float low) { return uint32_t(f32_to_f16(high)) << 16 | f32_to_f16(low); };
  const auto half_product = [](float x, float y) {
    return uint32_t(f32_to_f16(f16_to_f32(f32_to_f16(x)) * f16_to_f32(f32_to_f16(y))));
  };
  const int32_t as_int = std::bit_cast<int32_t>(a);
  const uint64_t upper =
      std::bit_cast<uint64_t>(1 / std::bit_cast<double>(std::bit_cast<uint64_t>(double(b)) >> 32 << 32));
  const auto integer = [&](float x) { return uint32_t(int32_t(int64_t(to_range(x, -2147483648.0, 2147483647.0)))); };
  return {bits(a + b),
          bits(a - b),
          bits(a * b),
          bits(a / b),
          bits(clamp(a + b)),
          bits(fma_in(FE_TONEAREST, a, b, c)),
          bits(fma_in(FE_DOWNWARD, a, b, c)),
          bits(fma_in(FE_UPWARD, a, b, c)),
          bits(fma_in(FE_TOWARDZERO, a, b, c)),
          bits(pick(a, b, true)),
          bits(pick(a, b, false)),
          bits(-a),
          bits(std::fabs(a)),
          bits(std::sqrt(a)),
          bits(1.0f / a),
          bits(clamp(a)),
          bits(std::nearbyint(a)),
          bits(std::floor(a)),
          bits(std::ceil(a)),
          bits(std::trunc(a)),
          bits(std::fpclassify(power) == FP_SUBNORMAL ? 0.0f : power),
          integer(std::nearbyint(a)),
          integer(std::trunc(a)),
          integer(std::floor(a)),
          uint32_t(to_range(std::ceil(a), 0, 4294967295.0)),
          packed16(a, b),
          uint32_t(f32_to_bf16(a)) << 16 | f32_to_bf16(b),
          half_product(a, b) << 16 | half_product(b, c),
          bits(f16_to_f32(f32_to_f16(a))),
          bits(bf16_to_f32(f32_to_bf16(a))),
          bits(float(as_int)),
          bits(float(uint32_t(as_int))),
          bits(float(std::fma(double(a), double(b), 1.0 / 3))),
          bits(float(std::bit_cast<double>(b == 0 ? std::bit_cast<uint64_t>(1 / double(b)) : upper >> 32 << 32)))};
}

void test_floats() {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float tiny = std::numeric_limits<float>::denorm_min(), most = std::numeric_limits<float>::max();
  std::vector<float> in = {
      1.5f,  2.25f, -3.0f,  1 + 0x1p-23f, 1 + 0x1p-23f, 0x1p-60f,  1 + 0x1p-23f, -1 - 0x1p-23f, -0x1p-60f,
      most,  most,  -1.0f,  -most,        2.0f,         1.0f,      tiny,         0.5f,          0.0f,
      -tiny, 0.5f,  0.0f,   0.1f,         10.0f,        -1.0f,     -0.0f,        0.0f,          0.0f,
      2.5f,  -0.5f, 1e-30f, -2.5f,        3.5f,         1e30f,     65520.0f,     2049.0f,       0.25f,
      3e9f,  1e-8f, 1.0f,   -3e9f,        7.0f,         0x1p-149f, 252.0f,       0.3333f,       12582913.0f,
      inf,   1.0f,  2.0f,   nan,          1.0f,         2.0f,      1.0f,         nan,           0.5f};
  const size_t threads = in.size() / 3;
  const std::vector<float> inputs = in;
  auto out = run<float, uint32_t>("floats", in, threads * 34, uint32_t(threads));
  for (size_t t = 0; t < threads; ++t) {
    const float a = inputs[t * 3], b = inputs[t * 3 + 1], c = inputs[t * 3 + 2];
    std::vector<uint32_t> want = floats_of(a, b, c);
    for (size_t i = 0; i < want.size(); ++i) {
      const bool packed = i >= 21 && i < 28;
      uint32_t &got = out[t * 34 + i];
      if (!packed) got = bits(std::bit_cast<float>(got));
      if (packed && (std::isnan(a) || std::isnan(b)) && i >= 25) got = want[i];  // NaN inside a pair: any NaN
    }
    expect("floats", out, t, want);
  }
}

void test_predicates() {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> in = {1, 2, 2, 1, 1, 1, -1, 1, 1, -1, -2, -2, 0.0f, -0.0f, nan, 1, 1, nan, nan, nan};
  const size_t threads = in.size() / 2;
  const std::vector<float> inputs = in;
  const auto out = run<float, uint32_t>("predicates", in, threads * 2, uint32_t(threads));
  for (size_t t = 0; t < threads; ++t) {
    const float a = inputs[t * 2], b = inputs[t * 2 + 1];
    const bool unordered = std::isnan(a) || std::isnan(b);
    const bool results[] = {!unordered && a == b, !unordered && a != b, a<b, a <= b, a> b,  a >= b,
                            unordered || a == b,  unordered || a != b,  unordered || a < b, unordered || a <= b,
                            unordered || a > b,   unordered || a >= b,  !unordered,         unordered};
    const int32_t i = std::bit_cast<int32_t>(a), j = std::bit_cast<int32_t>(b);
    const bool integers[] = {i<j, uint32_t(i) < uint32_t(j), i >= j, uint32_t(i)> uint32_t(j),
                             uint32_t(i) <= uint32_t(j)};
    uint32_t mask = 0, bit = 0;
    for (bool r : results) mask |= uint32_t(r) << bit++;
    for (bool r : integers) mask |= uint32_t(r) << bit++;
    const bool p = i < 0, q = i == j && p, r = i != j && p;
    const uint32_t second =
        (q ? 1 : 0) | (r ? 2 : 0) | (!r ? 4 : 0) | (!q && p ? 8 : 0) | (q != p ? 16 : 0) | (i == j || !p ? 32 : 0);
    expect("predicates", out, t, {mask, second});
  }
}

// ------------------------------------------------------------------------------------------------- memory and lanes

void test_memory() {
  constexpr uint32_t threads = 32;
  std::vector<uint32_t> in(threads * 4);
  for (uint32_t i = 0; i < in.size(); ++i) in[i] = i * 0x9e3779b9 + 0x80;
  const auto out = run<uint32_t, uint32_t>("memory", in, threads * 8, threads);
  const uint32_t local[] = {11, 22, 33, 44}, constants[] = {1, 2, 3, 5, 8, 13, 21, 255};
  for (uint32_t t = 0; t < threads; ++t) {
    const uint32_t *neighbour = &in[(t ^ 1) * 4];
    expect("memory", out, t,
           {neighbour[3], neighbour[2], neighbour[1], 0, uint32_t(int8_t(neighbour[0] >> 24)), in[t * 4 + 3] >> 24,
            local[t % 4], constants[t % 8]});
  }
}

void test_lanes() {
  std::vector<int32_t> in = {1, 1000, 5};
  const auto out = run<int32_t, uint32_t>("lanes", in, 32 * 12, 32, true);
  for (uint32_t t = 0; t < 32; ++t)
    expect("lanes", out, t,
           {(t ^ 3) * 10, t >= 5 ? (t - 5) * 10 + 1000 : t * 10, t < 27 ? (t + 5) * 10 + 1000 : t * 10, 70,
            (t / 8 * 8 + 2) * 10, 0xfff00000, 1, t < 16 ? (t ^ 1) * 10 : (t ^ 2) * 10, t > 1 ? t : 1, t < 99 ? t : 99,
            1, 3201});
  CHECK_EQ(in[0], 65);
  CHECK_EQ(in[1], 0);
  CHECK_EQ(in[2], 310);
}

}  // namespace

int main() {
  test_words();
  test_double_words();
  test_floats();
  test_predicates();
  test_memory();
  test_lanes();
  return check_summary();
}
