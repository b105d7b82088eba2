#include "sha256_search/sha256_search.hpp"

namespace gonka {

void sha256_search_reference(void *problem, operand_pointers pointers);

namespace {

gk_status validate(const void *problem, gk_error *err) noexcept {
  const auto &p = *static_cast<const gk_sha256_search *>(problem);
  if (p.struct_size < sizeof p)
    return fail(err, GK_INVALID_ARGUMENT, "sha256_search: struct_size is %u; expected at least %zu", p.struct_size,
                sizeof p);
  constexpr uint64_t k_end = uint64_t(1) << 32;
  if (p.nonce_begin > k_end || p.nonce_count > k_end - p.nonce_begin)
    return fail(err, GK_INVALID_ARGUMENT, "sha256_search: nonces [%llu, %llu + %llu) pass 2^32",
                static_cast<unsigned long long>(p.nonce_begin), static_cast<unsigned long long>(p.nonce_begin),
                static_cast<unsigned long long>(p.nonce_count));
  if (p.hits == nullptr && p.hits_capacity != 0)
    return fail(err, GK_INVALID_ARGUMENT, "sha256_search: hits is null but hits_capacity is %u", p.hits_capacity);
  return GK_OK;
}

std::vector<operand> operands(void *) {
  return {};
}

work count(const void *problem) {
  return {.operations = double(static_cast<const gk_sha256_search *>(problem)->nonce_count), .bytes = 0};
}

}  // namespace

extern const op_spec sha256_search_op;
constinit const op_spec sha256_search_op = {.op = GK_OP_SHA256_SEARCH,
                                            .name = "sha256_search",
                                            .operation_unit = "hash",
                                            .problem_size = sizeof(gk_sha256_search),
                                            .exact = true,
                                            .validate = validate,
                                            .operands = operands,
                                            .count = count,
                                            .reference = sha256_search_reference};

}  // namespace gonka
