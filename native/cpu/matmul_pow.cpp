#include "matmul_pow.hpp"

#include <algorithm>
#include <cstring>

#include "workspace.hpp"

namespace gonka::cpu {
namespace {

constexpr uint64_t k_pow_b_bytes = uint64_t(64) << 20;
constexpr uint32_t k_panels_per_tile = uint32_t(k_pow_tile) / k_pow_panel_rows;
constexpr uint64_t k_scratch_bytes = uint64_t(k_pow_tile * k_pow_tile) * 4;
// Making A again for every task costs 64 k bytes of generator; eight tiles of product hide it.
constexpr uint32_t k_least_tiles = 8;

class rounds {
 public:
  rounds(const pow_kernel &kernel, gk_matmul_pow &p, operand_pointers pointers, context &ctx)
      : kernel_(kernel),
        p_(p),
        ctx_(ctx),
        a_given_(static_cast<const int8_t *>(pointers[k_pow_a])),
        b_given_(static_cast<const int8_t *>(pointers[k_pow_b])),
        seed_a_(pow_seed_of(p.nonce_seed, 'A')),
        seed_b_(pow_seed_of(p.nonce_seed, 'B')),
        part_(pow_part_of(p)),
        panel_bytes_(uint64_t(k_pow_panel_rows) * p.k * kernel.bytes_per_element),
        tile_bytes_(panel_bytes_ * k_panels_per_tile),
        block_tiles_(uint32_t(std::clamp<uint64_t>(k_pow_b_bytes / tile_bytes_, 1, part_.columns))),
        worker_bytes_(tile_bytes_ + k_scratch_bytes + uint64_t(k_pow_tile) * sizeof(int32_t)),
        b_(block_tiles_ * tile_bytes_),
        workers_(worker_bytes_ * ctx.pool.size()),
        tiles_(uint64_t(part_.rows) * part_.columns),
        results_(tiles_ * (sizeof(uint64_t) + 1)),
        folds_(reinterpret_cast<uint64_t *>(results_.data())),
        won_(reinterpret_cast<uint8_t *>(folds_ + tiles_)) {}

  void run() {
    for (uint32_t done = 0; done < part_.columns; done += block_tiles_) {
      const uint32_t first = part_.column + done, tiles = std::min(block_tiles_, part_.columns - done);
      ctx_.pool.parallel_for(tiles * k_panels_per_tile, [&](uint32_t panel, uint32_t) {
        make_panel(false, first * k_panels_per_tile + panel, b_.data() + panel * panel_bytes_, nullptr);
      });
      // Enough tasks for every thread to have several, unless that would leave too little work beside making A.
      const uint32_t wanted = (4 * ctx_.pool.size() + part_.rows - 1) / part_.rows;
      const uint32_t parts = std::clamp<uint32_t>(wanted, 1, std::max(1u, tiles / k_least_tiles));
      ctx_.pool.parallel_for(part_.rows * parts, [&](uint32_t task, uint32_t worker) {
        const uint32_t part = task % parts;
        tile_row(part_.row + task / parts, first, tiles * part / parts, tiles * (part + 1) / parts, worker);
      });
    }
    collect();
  }

 private:
  void make_panel(bool is_a, uint32_t panel, void *out, int32_t *sums) const {
    const int8_t *given = is_a ? a_given_ : b_given_;
    const uint32_t row = panel * k_pow_panel_rows;
    kernel_.make_panel({.seed = is_a ? seed_a_ : seed_b_,
                        .profile = p_.profile,
                        .row = row,
                        .k = p_.k,
                        .given = given == nullptr ? nullptr : given + uint64_t(row) * p_.k,
                        .is_a = is_a},
                       out, sums);
  }

  // Tiles [begin, end) of the block of columns that starts at tile `first`.
  void tile_row(uint32_t bi, uint32_t first, uint32_t begin, uint32_t end, uint32_t worker) {
    std::byte *a = workers_.data() + worker * worker_bytes_, *scratch = a + tile_bytes_;
    auto *sums = reinterpret_cast<int32_t *>(scratch + k_scratch_bytes);
    for (uint32_t i = 0; i < k_panels_per_tile; ++i)
      make_panel(true, bi * k_panels_per_tile + i, a + i * panel_bytes_, sums + i * k_pow_panel_rows);
    for (uint32_t t = begin; t < end; ++t) {
      const uint32_t bj = first + t;
      const uint64_t tile = uint64_t(bi - part_.row) * part_.columns + (bj - part_.column);
      folds_[tile] = kernel_.fold(a, b_.data() + t * tile_bytes_, p_.k, sums, scratch);
      won_[tile] = pow_wins(pow_ticket(p_.nonce_seed, bi, bj, folds_[tile]), p_.target);
    }
  }

  void collect() {
    p_.shares_found = 0;
    if (p_.folds != nullptr) std::memcpy(p_.folds, folds_, tiles_ * sizeof(uint64_t));
    for (uint64_t tile = 0; tile < tiles_; ++tile) {
      if (!won_[tile]) continue;
      const uint32_t bi = part_.row + uint32_t(tile / part_.columns),
                     bj = part_.column + uint32_t(tile % part_.columns);
      pow_add_share(p_, bi, bj, pow_ticket(p_.nonce_seed, bi, bj, folds_[tile]));
    }
  }

  const pow_kernel &kernel_;
  gk_matmul_pow &p_;
  context &ctx_;
  const int8_t *a_given_, *b_given_;
  const pow_operand_seed seed_a_, seed_b_;
  const pow_part part_;
  const uint64_t panel_bytes_, tile_bytes_;
  const uint32_t block_tiles_;  // tiles of a block of columns
  const uint64_t worker_bytes_;
  const workspace b_, workers_;
  const uint64_t tiles_;  // of the part
  const workspace results_;
  uint64_t *const folds_;
  uint8_t *const won_;
};

}  // namespace

void matmul_pow_with(const pow_kernel &kernel, gk_matmul_pow &problem, operand_pointers pointers, context &ctx) {
  rounds(kernel, problem, pointers, ctx).run();
}

}  // namespace gonka::cpu
