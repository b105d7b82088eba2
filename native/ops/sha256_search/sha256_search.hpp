// Double SHA-256 under a target: see gk_sha256_search in gonka_backend.h for the definition.
#pragma once

#include <cstdint>
#include <span>

#include "op.hpp"
#include "sha256.hpp"

namespace gonka {

// SHA-256 of SHA-256 of the header with `nonce` in its bytes 76..79, little-endian.
sha256_digest sha256_search_digest(const uint8_t header[80], uint32_t nonce) noexcept;

// Whether the digest, read as a little-endian 256-bit number, is at most the big-endian target.
bool sha256_search_wins(const sha256_digest &digest, const uint8_t target[32]) noexcept;

// Counts a hit and stores it if there is room.
void sha256_search_add(gk_sha256_search &search, uint32_t nonce, const sha256_digest &digest) noexcept;

}  // namespace gonka
