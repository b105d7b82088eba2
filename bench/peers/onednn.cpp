// gemm beside oneDNN's matmul with weights in the layout it prefers ("packed") and as they come ("plain"):
// onednn THREADS. Built with -fopenmp, which is how oneDNN runs its threads.
#include <omp.h>

#include <bit>
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>

#include "beside.hpp"

namespace {

using dnnl::memory;

memory::data_type type_of(uint32_t type) {
  return type == GK_F32 ? memory::data_type::f32 : type == GK_BF16 ? memory::data_type::bf16 : memory::data_type::s8;
}

void run(gonka::cpu::thread_pool &pool, const dnnl::engine &engine, const peers::shape &s, uint32_t type, bool packed) {
  const size_t size = gonka::dtype_size(type);
  auto a = peers::aligned<std::byte>(size_t(s.m * s.k) * size), b = peers::aligned<std::byte>(size_t(s.n * s.k) * size);
  const auto fill = [&](std::byte *to, size_t count) {
    const auto values = peers::small_integers(count);
    for (size_t i = 0; i < count; ++i) {
      const float v = values[i];
      const auto whole = int8_t(v);
      const uint16_t upper = uint16_t(std::bit_cast<uint32_t>(v) >> 16);  // small integers are exact in bf16
      std::memcpy(to + i * size,
                  type == GK_F32    ? static_cast<const void *>(&v)
                  : type == GK_BF16 ? static_cast<const void *>(&upper)
                                    : &whole,
                  size);
    }
  };
  fill(a.get(), size_t(s.m * s.k)), fill(b.get(), size_t(s.n * s.k));
  auto d = peers::aligned<uint32_t>(size_t(s.m * s.n)), c = peers::aligned<uint32_t>(size_t(s.m * s.n));
  peers::our_gemm ours(pool, type, s, a.get(), b.get(), d.get());

  const auto out_type = type == GK_I8 ? memory::data_type::s32 : memory::data_type::f32;
  const memory::desc a_desc({s.m, s.k}, type_of(type), memory::format_tag::ab);
  const memory::desc plain_desc({s.k, s.n}, type_of(type), memory::format_tag::ba);  // stored [n,k]
  const memory::desc any_desc({s.k, s.n}, type_of(type), memory::format_tag::any);
  const memory::desc c_desc({s.m, s.n}, out_type, memory::format_tag::ab);
  const dnnl::matmul::primitive_desc description({a_desc, packed ? any_desc : plain_desc, c_desc}, engine);
  dnnl::stream stream(engine);
  memory a_memory(a_desc, engine, a.get()), plain(plain_desc, engine, b.get()), c_memory(c_desc, engine, c.get());
  memory weights = plain;
  if (description.weights_desc() != plain_desc) {
    weights = memory(description.weights_desc(), engine);
    dnnl::reorder(plain, weights).execute(stream, plain, weights);
    stream.wait();
  }
  dnnl::matmul matmul(description);
  const auto theirs = [&] {
    matmul.execute(stream, {{DNNL_ARG_SRC, a_memory}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, c_memory}});
    stream.wait();
  };
  const std::string what = peers::case_name(s, type);
  const char *peer = packed ? "oneDNN packed" : "oneDNN plain";
  ours(), theirs();
  peers::require_equal(what, peer, d.get(), c.get(), size_t(s.m * s.n));
  const double ceiling = peers::ceiling_of(type, gonka::cpu::measure_peaks(pool, gonka::cpu::this_cpu()));
  peers::compare(
      what, peer, pool.size(), 2.0 * double(s.m) * double(s.n) * double(s.k), ceiling, [&] { ours(); }, theirs);
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: onednn THREADS\n"), 2;
  const int threads = std::atoi(argv[1]);
  omp_set_num_threads(threads);
  gonka::cpu::thread_pool pool{uint32_t(threads)};
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  for (const uint32_t type : {uint32_t(GK_F32), uint32_t(GK_BF16), uint32_t(GK_I8)}) try {
      for (const peers::shape &s : peers::k_shapes) run(pool, engine, s, type, true);
    } catch (const dnnl::error &e) {
      if (e.status != dnnl_unimplemented) throw;
      std::fprintf(stderr, "onednn: has no %s gemm on this processor\n", peers::name_of(type));
    }
  run(pool, engine, {16, 4096, 4096}, GK_F32, false);
}
