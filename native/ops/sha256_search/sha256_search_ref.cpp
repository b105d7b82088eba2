#include <cstring>

#include "sha256_search/sha256_search.hpp"

namespace gonka {

void sha256_search_reference(void *problem, operand_pointers pointers);

sha256_digest sha256_search_digest(const uint8_t header[80], uint32_t nonce) noexcept {
  uint8_t bytes[80];
  std::memcpy(bytes, header, 76);
  for (int i = 0; i < 4; ++i) bytes[76 + i] = uint8_t(nonce >> (8 * i));
  return sha256_of(sha256_of(std::span<const uint8_t>(bytes)));
}

bool sha256_search_wins(const sha256_digest &digest, const uint8_t target[32]) noexcept {
  for (size_t i = 0; i < 32; ++i) {  // most significant byte first
    if (digest[31 - i] != target[i]) return digest[31 - i] < target[i];
  }
  return true;
}

void sha256_search_add(gk_sha256_search &search, uint32_t nonce, const sha256_digest &digest) noexcept {
  if (search.hits_found < search.hits_capacity) {
    gk_sha256_hit &hit = search.hits[search.hits_found];
    hit.nonce = nonce;
    std::memcpy(hit.digest, digest.data(), 32);
  }
  ++search.hits_found;
}

void sha256_search_reference(void *problem, operand_pointers) {
  auto &p = *static_cast<gk_sha256_search *>(problem);
  p.hits_found = 0;
  for (uint64_t i = 0; i < p.nonce_count; ++i) {
    const uint32_t nonce = uint32_t(p.nonce_begin + i);
    const sha256_digest digest = sha256_search_digest(p.header, nonce);
    if (sha256_search_wins(digest, p.target)) sha256_search_add(p, nonce, digest);
  }
}

}  // namespace gonka
