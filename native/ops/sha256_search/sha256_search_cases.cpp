// Ranges and targets for sha256_search: every remainder of 64 lanes, the ends of the nonce space, none, few, many and
// too many hits, targets that differ from a digest in the last bit.
#include <cstring>

#include "cases.hpp"
#include "sha256_search/sha256_search.hpp"

namespace gonka {

std::vector<op_case> sha256_search_cases();

namespace {

struct search_case {
  uint64_t begin, count;
  uint32_t capacity;
  // The target: leading zero bits, or if `exact` the digest of nonce begin + planted, less `below`.
  uint32_t zero_bits = 0;
  bool exact = false;
  uint64_t planted = 0;
  uint32_t below = 0;
};

struct search_problem {
  gk_sha256_search search;
  std::vector<gk_sha256_hit> hits;
};

std::vector<std::byte> host_result(const void *problem) {
  const auto &p = *static_cast<const gk_sha256_search *>(problem);
  const uint32_t stored = std::min(p.hits_found, p.hits_capacity);
  std::vector<std::byte> out(4 + size_t(p.hits_capacity) * sizeof(gk_sha256_hit));
  std::memcpy(out.data(), &p.hits_found, 4);
  if (stored != 0) std::memcpy(out.data() + 4, p.hits, stored * sizeof(gk_sha256_hit));
  return out;
}

built_case build(const op_case &self) {
  const auto &c = *static_cast<const search_case *>(self.parameters.get());
  const auto made = std::make_shared<search_problem>();
  gk_sha256_search &p = made->search;
  p = {};
  p.struct_size = sizeof p;
  for (size_t i = 0; i < sizeof p.header; i += 32) {  // a header that follows from the seed
    const sha256_digest d = sha256_of(self.name + std::to_string(self.seed) + std::to_string(i));
    std::memcpy(p.header + i, d.data(), std::min<size_t>(32, sizeof p.header - i));
  }
  p.nonce_begin = c.begin;
  p.nonce_count = c.count;
  made->hits.resize(c.capacity);
  p.hits = made->hits.data();
  p.hits_capacity = c.capacity;
  if (c.exact) {
    const sha256_digest d = sha256_search_digest(p.header, uint32_t(c.begin + c.planted));
    for (size_t i = 0; i < 32; ++i) p.target[i] = d[31 - i];
    for (size_t i = 31; c.below != 0; --i)
      if (p.target[i]-- != 0 || i == 0) break;
  } else {
    std::memset(p.target, 0xff, 32);
    for (uint32_t bit = 0; bit < c.zero_bits; ++bit) p.target[bit / 8] &= uint8_t(~(0x80 >> bit % 8));
  }
  built_case out;
  out.problem = std::shared_ptr<void>(made, &made->search);
  out.owned = made;
  out.host_result = host_result;
  return out;
}

comparison compare(const op_case &, const built_case &, const std::vector<std::vector<std::byte>> &,
                   const std::vector<std::vector<std::byte>> &) {
  return {};  // no operands: the hits are the host result, compared exactly
}

}  // namespace

std::vector<op_case> sha256_search_cases() {
  std::vector<op_case> list;
  const auto add = [&](std::string name, uint32_t uses, const search_case &c) {
    op_case out;
    out.name = std::move(name);
    out.uses = uses;
    out.seed = 0x5348413200000000u + list.size();
    out.build = build;
    out.parameters = std::make_shared<search_case>(c);
    out.compare = compare;
    list.push_back(std::move(out));
  };
  constexpr uint32_t both = use_selftest | use_conformance;
  constexpr uint64_t top = uint64_t(1) << 32;
  add("few hits", both, {.begin = 12345, .count = 1000, .capacity = 64, .zero_bits = 6});
  add("all of 67 nonces hit, room for 5", both, {.begin = 1, .count = 67, .capacity = 5});
  add("end of the range", both, {.begin = top - 77, .count = 77, .capacity = 77, .zero_bits = 2});
  add("planted at the last nonce", both, {.begin = 99, .count = 333, .capacity = 400, .exact = true, .planted = 332});
  add("no nonces", use_conformance, {.begin = top, .count = 0, .capacity = 1});
  add("no room", use_conformance, {.begin = 0, .count = 100, .capacity = 0});
  for (uint64_t count = 1; count <= 65; ++count)
    add(std::to_string(count) + " nonces", use_conformance,
        {.begin = 7 * count, .count = count, .capacity = 65, .zero_bits = 1});
  for (const uint64_t planted : {0, 1, 15, 16, 17, 1000, 2031, 2032})
    for (const uint32_t below : {0, 1})
      add("planted at " + std::to_string(planted) + " of 2033, target " + (below ? "one below" : "equal"),
          use_conformance,
          {.begin = 0xfff0, .count = 2033, .capacity = 2033, .exact = true, .planted = planted, .below = below});
  add("many hits", use_conformance, {.begin = 3, .count = 70000, .capacity = 70000, .zero_bits = 3});
  add("none of 300000", use_conformance, {.begin = top - 300000, .count = 300000, .capacity = 4, .zero_bits = 80});
  add("4 Mi nonces", use_bench, {.begin = 0, .count = 1 << 22, .capacity = 4, .zero_bits = 80});
  add("one of 20 million", use_full, {.begin = 1 << 20, .count = 20000000, .capacity = 64, .zero_bits = 22});
  return list;
}

}  // namespace gonka
