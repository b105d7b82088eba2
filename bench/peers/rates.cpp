// Rates of the project's generators and hash search, for the scripts that time another library: rates CASE THREADS
// prints values (hashes) per second, the median of a fifth of a second.
//   pcg64    F64 normals of NumPy's generator, 256 seeds
//   murmur3  F32 normals of PoC v2, 16 rows of 65536
//   sha256d  double SHA-256 of 80-byte headers
#include <cstring>

#include "beside.hpp"
#include "normal_fill/normal_fill.hpp"

namespace {

void run(const gonka::cpu::implementation *best, void *problem, gonka::operand_pointers pointers,
         gonka::cpu::context &context, double items) {
  std::vector<double> rates;
  best->run(problem, pointers, context);
  for (const double end = peers::now() + 0.2; peers::now() < end;) {
    const double begin = peers::now();
    best->run(problem, pointers, context);
    rates.push_back(items / (peers::now() - begin));
  }
  std::printf("%.6g\n", peers::median(rates));
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: rates pcg64|murmur3|sha256d THREADS\n"), 2;
  gonka::cpu::thread_pool pool(uint32_t(std::atoi(argv[2])));
  gonka::cpu::context context{pool, gonka::cpu::this_cpu()};
  if (std::strcmp(argv[1], "sha256d") == 0) {
    gk_sha256_search search{};
    search.struct_size = sizeof search;
    search.nonce_count = 1 << 21;  // under a target of zero: nothing is found and nothing skipped
    run(peers::best_of(GK_OP_SHA256_SEARCH, &search, context.cpu), &search, {}, context, double(search.nonce_count));
    return 0;
  }
  const bool murmur3 = std::strcmp(argv[1], "murmur3") == 0;
  gk_normal_fill fill{};
  fill.struct_size = sizeof fill;
  fill.generator = murmur3 ? GK_NORMAL_MURMUR3 : GK_NORMAL_PCG64;
  fill.out_type = murmur3 ? GK_F32 : GK_F64;
  fill.segments = 1;
  fill.rows = murmur3 ? 16 : 256;
  fill.columns = fill.ldo = murmur3 ? 65536 : 4096;
  fill.sigma = 1;
  std::vector<uint32_t> seeds_u32(size_t(fill.rows));
  std::vector<uint64_t> seeds_u64(size_t(fill.rows) * 4);
  for (size_t i = 0; i < seeds_u32.size(); ++i) seeds_u32[i] = uint32_t(i);
  for (size_t i = 0; i < seeds_u64.size(); ++i) seeds_u64[i] = i * 0x9e3779b97f4a7c15u | 1;
  fill.seeds_u32 = seeds_u32.data();
  fill.seeds_u64 = seeds_u64.data();
  auto out = peers::aligned<double>(size_t(fill.rows * fill.columns));
  void *pointers[] = {out.get()};
  run(peers::best_of(GK_OP_NORMAL_FILL, &fill, context.cpu), &fill, gonka::operand_pointers(pointers, 1), context,
      double(fill.rows * fill.columns));
}
