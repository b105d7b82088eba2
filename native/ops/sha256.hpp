// SHA-256 (FIPS 180-4), one message at a time. Plain C++; searches over many messages have their own op.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gonka {

using sha256_digest = std::array<uint8_t, 32>;  // as SHA-256 prints it
using sha256_words = std::array<uint32_t, 8>;   // chaining value a..h

extern const sha256_words k_sha256_initial;
extern const std::array<uint32_t, 64> k_sha256_round;

// One application of the compression function: state <- state + rounds(state, block). 64 bytes.
void sha256_compress(sha256_words &state, const uint8_t *block) noexcept;

// Incremental hash. update() in any pieces, then finish() once. Any length below 2^61 bytes.
class sha256 {
 public:
  void update(std::span<const uint8_t> bytes) noexcept;
  void update(std::string_view text) noexcept;
  sha256_digest finish() noexcept;

 private:
  sha256_words state_ = k_sha256_initial;
  std::array<uint8_t, 64> block_{};
  uint64_t length_ = 0;  // bytes so far
};

sha256_digest sha256_of(std::span<const uint8_t> bytes) noexcept;
sha256_digest sha256_of(std::string_view text) noexcept;

// 64 lower-case hexadecimal digits.
std::string to_hex(const sha256_digest &digest);

}  // namespace gonka
