#include "composed_matmul_pow.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <thread>
#include <vector>

#include "matmul_pow/matmul_pow.hpp"

namespace gonka {
namespace {

constexpr uint32_t k_tile = uint32_t(k_pow_tile);

gk_gemm gemm_of(uint32_t k, gk_ref a, gk_ref b, gk_ref d, uint32_t rows, uint32_t columns, int64_t ldd) {
  gk_gemm g{};
  g.struct_size = sizeof g;
  g.a_type = g.b_type = GK_I8;
  g.d_type = GK_I32;
  g.m = int64_t(rows) * k_tile, g.n = int64_t(columns) * k_tile, g.k = k;
  g.lda = g.ldb = k, g.ldc = g.ldd = ldd;
  g.alpha = 1;
  g.a = a, g.b = b, g.d = d;
  return g;
}

// Rows of an operand, in pieces on as many threads as the machine has.
void make_rows(const pow_operand_seed &seed, uint32_t profile, uint32_t first_row, uint32_t rows, uint32_t k,
               int8_t *out) {
  const uint32_t threads = std::clamp(std::thread::hardware_concurrency(), 1u, std::min(rows, 64u));
  const auto piece = [&](uint32_t t) {
    const uint32_t begin = uint32_t(uint64_t(rows) * t / threads), end = uint32_t(uint64_t(rows) * (t + 1) / threads);
    pow_operand_rows(seed, profile, first_row + begin, end - begin, k, out + uint64_t(begin) * k);
  };
  std::vector<std::jthread> others;
  for (uint32_t t = 1; t < threads; ++t) others.emplace_back(piece, t);
  piece(0);
}

class composition {
 public:
  composition(stream &on, gk_matmul_pow &p)
      : on_(on),
        p_(p),
        part_(pow_part_of(p)),
        block_{std::min(composed_block(p.k).rows, part_.rows), std::min(composed_block(p.k).columns, part_.columns)},
        ldd_(int64_t(block_.columns) * k_tile),
        seed_a_(pow_seed_of(p.nonce_seed, 'A')),
        seed_b_(pow_seed_of(p.nonce_seed, 'B')),
        folds_(size_t(part_.rows) * part_.columns) {
    device &d = on.owner();
    products_ = buffer(d, uint64_t(block_.rows) * k_tile * uint64_t(ldd_) * sizeof(int32_t));
    if (p.a_given.buffer == nullptr) a_ = buffer(d, uint64_t(block_.rows) * k_tile * p.k);
    if (p.b_given.buffer == nullptr) b_ = buffer(d, uint64_t(block_.columns) * k_tile * p.k);
    a_host_.resize(a_.size());
    b_host_.resize(b_.size());
    for (auto &host : products_host_) host.resize(products_.size() / sizeof(int32_t));
  }

  ~composition() { on_.settle(); }
  composition(const composition &) = delete;
  composition &operator=(const composition &) = delete;

  void run() {
    std::optional<place> pending;  // whose products wait to be folded, in products_host_[turn_]
    for (uint32_t row = 0; row < part_.rows; row += block_.rows)
      for (uint32_t column = 0; column < part_.columns; column += block_.columns) {
        const place at = {row, std::min(block_.rows, part_.rows - row), column,
                          std::min(block_.columns, part_.columns - column)};
        if (row == 0 && column == 0) {
          make_a(at);
          make_b(at);
        }
        if (column == 0) send(a_, a_host_, at.rows);
        send(b_, b_host_, at.columns);
        gk_gemm g = gemm_of(p_.k, operand(a_, p_.a_given, part_.row + row),
                            operand(b_, p_.b_given, part_.column + column), products_.at(), at.rows, at.columns, ldd_);
        on_.run(GK_OP_GEMM, &g);
        // While the device multiplies: fold what it gave before, and make what comes next.
        if (pending) fold(*pending);
        make_next(at);
        on_.read(products_, 0, products_host_[turn_ ^= 1].data(), products_.size());
        pending = at;
      }
    fold(*pending);
    report();
  }

 private:
  struct place {
    uint32_t row, rows, column, columns;  // within the part
  };

  gk_ref operand(const buffer &own, const gk_ref &given, uint32_t first_tile) const {
    if (given.buffer == nullptr) return own.at();
    return {given.buffer, given.offset + uint64_t(first_tile) * k_tile * p_.k};
  }

  void send(const buffer &to, const std::vector<int8_t> &from, uint32_t tiles) {
    if (to) on_.write(to, 0, from.data(), uint64_t(tiles) * k_tile * p_.k);
  }

  void make_a(const place &at) {
    if (a_) make_rows(seed_a_, p_.profile, (part_.row + at.row) * k_tile, at.rows * k_tile, p_.k, a_host_.data());
  }

  void make_b(const place &at) {
    if (b_)
      make_rows(seed_b_, p_.profile, (part_.column + at.column) * k_tile, at.columns * k_tile, p_.k, b_host_.data());
  }

  void make_next(const place &at) {
    place next = at;
    next.column = at.column + at.columns;
    if (next.column == part_.columns) {
      next.row = at.row + at.rows;
      if (next.row == part_.rows) return;
      next.column = 0;
      next.rows = std::min(block_.rows, part_.rows - next.row);
      make_a(next);
    }
    next.columns = std::min(block_.columns, part_.columns - next.column);
    make_b(next);
  }

  void fold(const place &at) {
    const int32_t *products = products_host_[turn_].data();
    int32_t tile[k_tile * k_tile];
    for (uint32_t r = 0; r < at.rows; ++r)
      for (uint32_t c = 0; c < at.columns; ++c) {
        for (uint32_t line = 0; line < k_tile; ++line)
          std::memcpy(tile + line * k_tile, products + int64_t(r * k_tile + line) * ldd_ + c * k_tile,
                      k_tile * sizeof(int32_t));
        folds_[size_t(at.row + r) * part_.columns + at.column + c] = pow_fold(tile);
      }
  }

  void report() {
    p_.shares_found = 0;
    if (p_.folds != nullptr) std::memcpy(p_.folds, folds_.data(), folds_.size() * sizeof(uint64_t));
    for (size_t i = 0; i < folds_.size(); ++i) {
      const uint32_t bi = part_.row + uint32_t(i / part_.columns), bj = part_.column + uint32_t(i % part_.columns);
      const sha256_digest ticket = pow_ticket(p_.nonce_seed, bi, bj, folds_[i]);
      if (pow_wins(ticket, p_.target)) pow_add_share(p_, bi, bj, ticket);
    }
  }

  stream &on_;
  gk_matmul_pow &p_;
  const pow_part part_;
  const composed_size block_;
  const int64_t ldd_;
  const pow_operand_seed seed_a_, seed_b_;
  buffer a_, b_, products_;  // a_, b_ empty where the operand was given
  std::vector<int8_t> a_host_, b_host_;
  std::vector<int32_t> products_host_[2];
  int turn_ = 0;
  std::vector<uint64_t> folds_;
};

}  // namespace

bool run_composed_matmul_pow(stream &on, gk_matmul_pow &problem) {
  const composed_size block = composed_block(problem.k);
  gk_gemm asked = gemm_of(problem.k, {}, {}, {}, block.rows, block.columns, int64_t(block.columns) * k_tile);
  if (!on.runs_itself(GK_OP_GEMM, &asked)) return false;
  composition(on, problem).run();
  return true;
}

}  // namespace gonka
