// Are the number formats a device claims the ones its gemm multiplies, and are its accumulators as wide as it says?
//
// Width is shown by sums in which every partial sum, in whatever order they are formed, is an integer that needs no
// more than the claimed bits, while one bit less loses the ones beside a large term: 2^(bits-1) + 1 + ... + 1 -
// 2^(bits-1). The result must be exact.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "conformance_run.hpp"
#include "number.hpp"
#include "status.hpp"

namespace gonka {
namespace {

constexpr uint32_t k_operand_types[] = {GK_F32, GK_F16, GK_BF16, GK_I8, GK_F8_E4M3, GK_F8_E5M2};

uint32_t result_type(uint32_t type) {
  return type == GK_I8 ? GK_I32 : GK_F32;
}

gk_gemm problem_of(uint32_t type, int64_t m, int64_t n, int64_t k) {
  gk_gemm p{};
  p.struct_size = sizeof p;
  p.a_type = p.b_type = type;
  p.d_type = result_type(type);
  p.m = m, p.n = n, p.k = k;
  p.lda = p.ldb = k;
  p.ldc = p.ldd = n;
  p.alpha = 1;
  return p;
}

// What gk_gemm asks of any device that multiplies the type.
uint32_t least_accumulator_bits(uint32_t type) {
  if (type == GK_I8) return 32;
  return type == GK_F8_E4M3 || type == GK_F8_E5M2 ? 0 : 24;
}

// Largest power of two that a float type holds, as exponent; large enough for any accumulator where the range is F32's.
int largest_exponent(uint32_t type) {
  switch (type) {
    case GK_F16:
    case GK_F8_E5M2:
      return 15;
    case GK_F8_E4M3:
      return 8;
    default:
      return 60;
  }
}

// Exact for 0 and for powers of two that the type holds.
void put(std::vector<std::byte> &data, uint32_t type, size_t index, double value) {
  const auto write = [&](auto v) { std::memcpy(data.data() + index * sizeof v, &v, sizeof v); };
  const uint8_t sign = value < 0 ? 0x80 : 0;
  const int exponent = value == 0 ? 0 : std::ilogb(value);
  switch (type) {
    case GK_F32:
      return write(float(value));
    case GK_F16:
      return write(f32_to_f16(float(value)));
    case GK_BF16:
      return write(f32_to_bf16(float(value)));
    case GK_F8_E4M3:
      return write(uint8_t(value == 0 ? 0 : sign | uint8_t((exponent + 7) << 3)));
    case GK_F8_E5M2:
      return write(uint8_t(value == 0 ? 0 : sign | uint8_t((exponent + 15) << 2)));
    default:
      return write(int8_t(value));
  }
}

struct adversarial {
  int64_t m = 0, n = 0, k = 0;
  std::vector<std::byte> a, b;
  std::vector<double> want;  // [m, n]
};

uint64_t next_random(uint64_t &state) {  // xorshift64*, Marsaglia 2003, Vigna 2016
  state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
  return state * 0x2545f4914f6cdd1d;
}

adversarial float_sums(uint32_t type, uint32_t bits) {
  const int e = largest_exponent(type), target = int(bits) - 1;
  const int exponent_a = std::min(e, (target + 1) / 2), exponent_b = std::min(e, target - exponent_a);
  // Where one product cannot be large enough, several add up to it.
  const int64_t large = int64_t(1) << std::max(0, target - exponent_a - exponent_b);
  adversarial out;
  out.m = 12, out.n = 5;
  const int64_t places = std::max<int64_t>(16, 4 * large);
  out.k = places + 61;
  out.a.resize(size_t(out.m * out.k) * dtype_size(type));
  out.b.resize(size_t(out.n * out.k) * dtype_size(type));
  uint64_t random = 0x6163637500000001 + type;

  // Which positions of k hold the large terms, spread over all of it and the first and last among them.
  std::vector<int64_t> order(size_t(out.k), 0);
  for (int64_t i = 0; i < out.k; ++i) order[size_t(i)] = i;
  for (size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[next_random(random) % (i + 1)]);
  order.resize(size_t(places));
  order[0] = 0, order[1] = out.k - 1;
  std::sort(order.begin(), order.end());
  order.erase(std::unique(order.begin(), order.end()), order.end());
  std::vector<bool> is_large(size_t(out.k), false);
  for (const int64_t at : order) is_large[size_t(at)] = true;
  const double ones = double(out.k) - double(order.size());

  for (int64_t j = 0; j < out.n; ++j)
    for (int64_t x = 0; x < out.k; ++x)
      put(out.b, type, size_t(j * out.k + x), is_large[size_t(x)] ? std::ldexp(1.0, exponent_b) : 1.0);
  for (int64_t i = 0; i < out.m; ++i) {
    std::vector<int64_t> chosen = order;
    // The first row is in order: all plus first, all minus last. The others are mixed.
    if (i > 0)
      for (size_t x = chosen.size() - 1; x > 0; --x) std::swap(chosen[x], chosen[next_random(random) % (x + 1)]);
    for (int64_t x = 0; x < out.k; ++x) put(out.a, type, size_t(i * out.k + x), is_large[size_t(x)] ? 0.0 : 1.0);
    for (int64_t x = 0; x < large; ++x) {
      put(out.a, type, size_t(i * out.k + chosen[size_t(x)]), std::ldexp(1.0, exponent_a));
      put(out.a, type, size_t(i * out.k + chosen[chosen.size() - 1 - size_t(x)]), -std::ldexp(1.0, exponent_a));
    }
    for (int64_t j = 0; j < out.n; ++j) out.want.push_back(ones);
  }
  return out;
}

// Sums of bytes that pass every bound of a narrower or a floating accumulator; exact modulo 2^bits.
adversarial integer_sums(uint32_t bits) {
  adversarial out;
  out.m = 4, out.n = 3;
  // (-128)(-128) k passes 2^bits.
  out.k = (int64_t(1) << (bits - 14)) + 5;
  out.a.resize(size_t(out.m * out.k));
  out.b.resize(size_t(out.n * out.k));
  uint64_t random = 0x6163637500000020;
  const auto fill = [&](std::vector<std::byte> &data, int64_t row, int64_t pattern) {
    for (int64_t x = 0; x < out.k; ++x) {
      const int values[] = {-128, x < out.k / 2 ? 127 : -127, 127, int(int8_t(next_random(random) >> 56))};
      data[size_t(row * out.k + x)] = std::byte(uint8_t(values[pattern]));
    }
  };
  for (int64_t i = 0; i < out.m; ++i) fill(out.a, i, i);
  for (int64_t j = 0; j < out.n; ++j) fill(out.b, j, j == 0 ? 0 : j + 1);
  for (int64_t i = 0; i < out.m; ++i)
    for (int64_t j = 0; j < out.n; ++j) {
      int64_t sum = 0;
      for (int64_t x = 0; x < out.k; ++x)
        sum += int64_t(int8_t(out.a[size_t(i * out.k + x)])) * int64_t(int8_t(out.b[size_t(j * out.k + x)]));
      out.want.push_back(double(int32_t(uint32_t(uint64_t(sum)))));
    }
  return out;
}

class format_check {
 public:
  explicit format_check(conformance_run &run)
      : run_(run), gemm_(*find_op(GK_OP_GEMM)), stream_(open_stream(run.table, run.device_handle)) {}

  void claims_hold() {
    for (uint32_t i = 0; i < run_.info.format_count; ++i) {
      const gk_format &format = run_.info.formats[i];
      const std::string name = "claims " + std::string(dtype_name(format.dtype));
      if (std::find(std::begin(k_operand_types), std::end(k_operand_types), format.dtype) ==
          std::end(k_operand_types)) {
        run_.fail(gemm_, "device", name, "gemm has no operands of type " + std::to_string(format.dtype));
        continue;
      }
      error_report err;
      const gk_status answer = ask(format.dtype, 0, &err);
      if (answer != GK_OK)
        run_.fail(gemm_, "device", name, "device_info claims it, but gemm answers: " + err.text(answer));
      else if (format.accumulator_bits < least_accumulator_bits(format.dtype))
        run_.fail(gemm_, "device", name,
                  "accumulates in " + std::to_string(format.accumulator_bits) + " bits; gk_gemm asks for " +
                      std::to_string(least_accumulator_bits(format.dtype)));
      else
        run_.pass(gemm_, "device", name);
    }
  }

  void nothing_is_hidden() {
    for (const uint32_t type : k_operand_types) {
      const auto *end = run_.info.formats + run_.info.format_count;
      if (std::any_of(run_.info.formats, end, [&](const gk_format &f) { return f.dtype == type; })) continue;
      const std::string name = "does not claim " + std::string(dtype_name(type));
      error_report err;
      const gk_status answer = ask(type, 0, &err);
      if (answer == GK_UNSUPPORTED)
        run_.pass(gemm_, "device", name);
      else
        run_.fail(gemm_, "device", name,
                  answer == GK_OK ? "gemm multiplies it, but device_info does not list it"
                                  : std::string("gemm answers ") + status_name(answer) + ", expected unsupported");
    }
  }

  void accumulator(const gk_format &format, const tested_implementation &t) {
    const std::string name =
        std::string(dtype_name(format.dtype)) + " adds up in " + std::to_string(format.accumulator_bits) + " bits";
    const bool integer = format.dtype == GK_I8;
    // Wider than F32's or I32's results can show.
    const uint32_t bits = std::min(format.accumulator_bits, integer ? 32u : 24u);
    if (ask(format.dtype, t.index, nullptr) != GK_OK) return;
    if (bits < 16) return run_.skip(gemm_, t.name, name, "every format adds up in 16 bits or more");
    const adversarial sums = integer ? integer_sums(bits) : float_sums(format.dtype, bits);
    gk_gemm p = problem_of(format.dtype, sums.m, sums.n, sums.k);
    p.implementation = t.index;
    const raw_buffer a = allocate(run_.table, run_.device_handle, sums.a.size());
    const raw_buffer b = allocate(run_.table, run_.device_handle, sums.b.size());
    std::vector<uint32_t> result(sums.want.size(), 0xffffffff);
    const raw_buffer d = allocate(run_.table, run_.device_handle, result.size() * 4);
    write(a, sums.a.data(), sums.a.size());
    write(b, sums.b.data(), sums.b.size());
    write(d, result.data(), result.size() * 4);
    p.a = {a.get(), 0}, p.b = {b.get(), 0}, p.d = {d.get(), 0};
    error_report err;
    if (const gk_status status = run_.table.run(stream_.get(), GK_OP_GEMM, &p, 1, &err); status == GK_UNSUPPORTED)
      return run_.skip(gemm_, t.name, name, err.text(status));
    check(run_.table.run(stream_.get(), GK_OP_GEMM, &p, 0, &err), err, name);
    check(run_.table.buffer_read(stream_.get(), d.get(), 0, result.data(), result.size() * 4, &err), err, name);
    for (size_t i = 0; i < result.size(); ++i) {
      const double got = integer ? double(int32_t(result[i])) : double(std::bit_cast<float>(result[i]));
      if (got == sums.want[i]) continue;
      char text[200];
      std::snprintf(text, sizeof text, "m=%lld n=%lld k=%lld: d[%zu] is %.17g, expected exactly %.17g",
                    static_cast<long long>(sums.m), static_cast<long long>(sums.n), static_cast<long long>(sums.k), i,
                    got, sums.want[i]);
      return run_.fail(gemm_, t.name, name, text);
    }
    run_.pass(gemm_, t.name, name);
  }

 private:
  gk_status ask(uint32_t type, uint32_t implementation, gk_error *err) {
    gk_gemm p = problem_of(type, 16, 16, 32);
    p.implementation = implementation;
    return run_.table.run(stream_.get(), GK_OP_GEMM, &p, 1, err);
  }

  void write(const raw_buffer &to, const void *from, uint64_t size) {
    error_report err;
    check(run_.table.buffer_write(stream_.get(), to.get(), 0, from, size, &err), err, "buffer_write");
  }

  conformance_run &run_;
  const op_spec &gemm_;
  const raw_stream stream_;
};

}  // namespace

void check_formats(conformance_run &run, const std::vector<tested_implementation> &implementations) {
  format_check formats(run);
  if (run.options.implementation.empty()) {
    formats.claims_hold();
    formats.nothing_is_hidden();
  }
  for (uint32_t i = 0; i < run.info.format_count; ++i)
    for (const tested_implementation &t : implementations) {
      if (run.cancelled()) return;
      try {
        formats.accumulator(run.info.formats[i], t);
      } catch (const status_error &e) {
        run.fail(*find_op(GK_OP_GEMM), t.name, std::string(dtype_name(run.info.formats[i].dtype)) + " accumulator",
                 e.what());
        if (e.status == GK_DEVICE_LOST) throw;
      }
    }
}

}  // namespace gonka
