#include <cstring>

#include "matmul_pow/matmul_pow.hpp"

namespace gonka {
namespace {

uint32_t load_le32(const uint8_t *p) {
  return uint32_t(p[0]) | uint32_t(p[1]) << 8 | uint32_t(p[2]) << 16 | uint32_t(p[3]) << 24;
}

void store_le(uint8_t *p, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) p[i] = uint8_t(value >> (8 * i));
}

}  // namespace

pow_operand_seed pow_seed_of(std::span<const uint8_t, 32> nonce_seed, char operand) noexcept {
  sha256 hash;
  hash.update(nonce_seed);
  hash.update(std::string_view(&operand, 1));
  const sha256_digest d = hash.finish();
  return {{load_le32(d.data()), load_le32(d.data() + 4)}, {load_le32(d.data() + 8), load_le32(d.data() + 12)}};
}

void pow_operand_rows(const pow_operand_seed &seed, uint32_t profile, uint32_t row, uint32_t rows, uint32_t k,
                      int8_t *out) noexcept {
  for (uint32_t r = row; r < row + rows; ++r)
    for (uint32_t block = 0; block < k / 16; ++block) {
      const philox_counter words = philox4x32_10({block, r, seed.counter[0], seed.counter[1]}, seed.key);
      for (const uint32_t word : words)
        for (int byte = 0; byte < 4; ++byte) *out++ = pow_element(profile, uint8_t(word >> (8 * byte)));
    }
}

void pow_tile_product(const int8_t *a, const int8_t *b, uint32_t k, int32_t *tile) noexcept {
  for (int64_t r = 0; r < k_pow_tile; ++r)
    for (int64_t c = 0; c < k_pow_tile; ++c) {
      int32_t sum = 0;
      for (int64_t x = 0; x < int64_t(k); ++x) sum += int32_t(a[r * k + x]) * b[c * k + x];
      tile[r * k_pow_tile + c] = sum;
    }
}

sha256_digest pow_ticket(std::span<const uint8_t, 32> nonce_seed, uint32_t bi, uint32_t bj, uint64_t fold) noexcept {
  uint8_t text[48];
  std::memcpy(text, nonce_seed.data(), 32);
  store_le(text + 32, bi, 4);
  store_le(text + 36, bj, 4);
  store_le(text + 40, fold, 8);
  return sha256_of(std::span<const uint8_t>(text));
}

bool pow_wins(const sha256_digest &ticket, std::span<const uint8_t, 32> target) noexcept {
  return std::memcmp(ticket.data(), target.data(), 32) < 0;
}

void pow_add_share(gk_matmul_pow &p, uint32_t bi, uint32_t bj, const sha256_digest &ticket) noexcept {
  if (p.shares_found < p.shares_capacity) {
    gk_pow_share &share = p.shares[p.shares_found];
    share.bi = bi;
    share.bj = bj;
    std::memcpy(share.ticket, ticket.data(), 32);
  }
  ++p.shares_found;
}

pow_part pow_part_of(const gk_matmul_pow &p) noexcept {
  if (!GK_HAS(&p, gk_matmul_pow, tile_columns) || p.tile_rows == 0)
    return {0, p.m / uint32_t(k_pow_tile), 0, p.n / uint32_t(k_pow_tile)};
  return {p.tile_row, p.tile_rows, p.tile_column, p.tile_columns};
}

void matmul_pow_reference(void *problem, operand_pointers pointers) {
  auto &p = *static_cast<gk_matmul_pow *>(problem);
  const pow_operand_seed seed_a = pow_seed_of(p.nonce_seed, 'A'), seed_b = pow_seed_of(p.nonce_seed, 'B');
  std::vector<int8_t> a(size_t(k_pow_tile * p.k)), b(size_t(k_pow_tile * p.k));
  std::vector<int32_t> tile(size_t(k_pow_tile * k_pow_tile));
  const auto rows_of = [&](const void *given, const pow_operand_seed &seed, uint32_t block, std::vector<int8_t> &out) {
    if (given != nullptr)
      std::memcpy(out.data(), static_cast<const int8_t *>(given) + size_t(block) * out.size(), out.size());
    else
      pow_operand_rows(seed, p.profile, block * uint32_t(k_pow_tile), uint32_t(k_pow_tile), p.k, out.data());
  };
  p.shares_found = 0;
  const pow_part part = pow_part_of(p);
  uint64_t *fold_out = p.folds;
  for (uint32_t bi = part.row; bi < part.row + part.rows; ++bi) {
    rows_of(pointers[k_pow_a], seed_a, bi, a);
    for (uint32_t bj = part.column; bj < part.column + part.columns; ++bj) {
      rows_of(pointers[k_pow_b], seed_b, bj, b);
      pow_tile_product(a.data(), b.data(), p.k, tile.data());
      const uint64_t fold = pow_fold(tile.data());
      if (fold_out != nullptr) *fold_out++ = fold;
      const sha256_digest ticket = pow_ticket(p.nonce_seed, bi, bj, fold);
      if (pow_wins(ticket, p.target)) pow_add_share(p, bi, bj, ticket);
    }
  }
}

}  // namespace gonka
