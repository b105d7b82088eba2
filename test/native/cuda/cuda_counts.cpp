// What the main kernels do to the memory system, counted by the emulator: no product more than the problem has, no bank
// conflict where the layout promises none, whole sectors where rows are whole. Prints the figures behind the tables in
// native/cuda/MODEL.md.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "check.hpp"
#include "cuda/backend.hpp"
#include "number.hpp"
#include "op.hpp"
#include "runtime_emulator.hpp"
#include "time_model.hpp"

using namespace gonka;

namespace {

struct device_run {
  explicit device_run(uint32_t index) {
    CHECK_EQ(table.device_open(index, nullptr, &device, nullptr), GK_OK);
    CHECK_EQ(table.stream_open(device, &stream, nullptr), GK_OK);
  }
  ~device_run() {
    for (gk_buffer *b : buffers) table.buffer_free(b);
    table.stream_close(stream);
    table.device_close(device);
  }
  gk_ref halves(size_t count) {
    std::vector<uint16_t> v(count);
    for (size_t i = 0; i < count; ++i) v[i] = f32_to_f16(float(int(i * 7 % 13) - 6) / 8);
    return put(v.data(), count * 2);
  }
  // Small integers, or finite F8 of either kind.
  gk_ref bytes(size_t count) {
    std::vector<uint8_t> v(count);
    for (size_t i = 0; i < count; ++i) v[i] = uint8_t(i * 7 % 64);
    return put(v.data(), count);
  }
  gk_ref put(const void *data, size_t size) {
    gk_buffer *b = nullptr;
    CHECK_EQ(table.buffer_alloc(device, size, &b, nullptr), GK_OK);
    CHECK_EQ(table.buffer_write(stream, b, 0, data, size, nullptr), GK_OK);
    buffers.push_back(b);
    return {b, 0};
  }
  // Runs and returns what was counted.
  emulator::counters run(gk_op op, void *problem) {
    emulator::emulated_options() = {};
    emulator::emulated_options().count = true;
    emulator::emulated_counters() = {};
    gk_error err{};
    err.struct_size = sizeof err;
    if (!check_report(table.run(stream, op, problem, 0, &err) == GK_OK, __FILE__, __LINE__, err.message)) return {};
    emulator::emulated_options().count = false;
    return emulator::emulated_counters();
  }
  const gk_backend &table = cuda::backend();
  gk_device *device = nullptr;
  gk_stream *stream = nullptr;
  std::vector<gk_buffer *> buffers;
};

// problem: as run() had it, for its compulsory bytes.
void print(const std::string &name, const emulator::counters &c, device_run &d, gk_op op, const void *problem,
           uint32_t operand_bytes = 2) {
  gk_device_info info{};
  info.struct_size = sizeof info;
  CHECK_EQ(d.table.device_info(d.device, &info, nullptr), GK_OK);
  const emulator::architecture *on = emulator::architecture_of(uint32_t(std::atoi(info.arch + 3)));
  if (!CHECK(on != nullptr)) return;
  const emulator::modelled_time t = emulator::model_time(c, *on, operand_bytes, find_op(op)->count(problem).bytes);
  CHECK(t.total >= t.roofline && t.total > 0);
  std::printf(
      "%s\n  blocks of %llu threads with %llu bytes of dynamic shared memory; %llu operations in %llu warp "
      "instructions; %llu bytes by cp.async, %llu by bulk copies\n"
      "  ldmatrix: %llu matrices in %llu wavefronts; shared stores: %llu requests, %llu wavefronts; shared loads: "
      "%llu, "
      "%llu\n  global loads: %llu requests, %llu sectors, %llu bytes; global stores: %llu requests, %llu sectors, %llu "
      "bytes\n  modelled on %s, all SMs alike: %s\n",
      name.c_str(), static_cast<unsigned long long>(c.block_threads),
      static_cast<unsigned long long>(c.block_shared_bytes), static_cast<unsigned long long>(c.mma_operations),
      static_cast<unsigned long long>(c.mma), static_cast<unsigned long long>(c.cp_async_bytes),
      static_cast<unsigned long long>(c.bulk_copy_bytes), static_cast<unsigned long long>(c.ldmatrix),
      static_cast<unsigned long long>(c.ldmatrix_wavefronts), static_cast<unsigned long long>(c.shared_store_requests),
      static_cast<unsigned long long>(c.shared_store_wavefronts),
      static_cast<unsigned long long>(c.shared_load_requests),
      static_cast<unsigned long long>(c.shared_load_wavefronts),
      static_cast<unsigned long long>(c.global_load_requests), static_cast<unsigned long long>(c.global_load_sectors),
      static_cast<unsigned long long>(c.global_load_bytes), static_cast<unsigned long long>(c.global_store_requests),
      static_cast<unsigned long long>(c.global_store_sectors), static_cast<unsigned long long>(c.global_store_bytes),
      on->name, to_text(t).c_str());
}

gk_gemm gemm_problem(device_run &d, int64_t m, int64_t n, int64_t k, uint32_t implementation) {
  gk_gemm p{};
  p.struct_size = sizeof p;
  p.implementation = implementation;
  p.a_type = p.b_type = p.d_type = GK_F16;
  p.m = m, p.n = n, p.k = k, p.lda = p.ldb = k, p.ldd = n;
  p.alpha = 1;
  p.a = d.halves(size_t(m * k));
  p.b = d.halves(size_t(n * k));
  p.d = d.halves(size_t(m * n));
  return p;
}

void test_gemm_mma() {
  device_run d(0);
  gk_gemm p = gemm_problem(d, 128, 128, 128, 5);  // few tiles: the medium one, 64 x 64
  const emulator::counters c = d.run(GK_OP_GEMM, &p);
  print("gemm sm80_mma f16 128 x 128 x 128", c, d, GK_OP_GEMM, &p);
  CHECK_EQ(c.mma_operations, 2u * 128 * 128 * 128);
  CHECK_EQ(c.cp_async_bytes, 4u * (64 + 64) * 128 * 2);              // every tile reads its rows of A and B once
  CHECK_EQ(c.ldmatrix_wavefronts, c.ldmatrix);                       // no bank conflicts
  CHECK_EQ(c.shared_store_wavefronts, 2 * c.shared_store_requests);  // 8 bytes per lane: two wavefronts at best
  CHECK_EQ(c.global_store_bytes, 128u * 128 * 2);
  CHECK_EQ(c.global_store_sectors * 32, c.global_store_bytes);
}

void test_gemm_wgmma() {
  device_run d(2);
  gk_gemm p = gemm_problem(d, 128, 128, 128, 2);
  const emulator::counters c = d.run(GK_OP_GEMM, &p);
  print("gemm sm90_wgmma f16 128 x 128 x 128", c, d, GK_OP_GEMM, &p);
  CHECK_EQ(c.mma_operations, 2u * 128 * 128 * 128);
  CHECK_EQ(c.bulk_copy_bytes, (128u + 128) * 128 * 2);
  CHECK_EQ(c.global_store_bytes, 128u * 128 * 2);
  CHECK_EQ(c.global_store_sectors * 32, c.global_store_bytes);
}

void test_gemm_tcgen05() {
  device_run d(3);
  gk_gemm p = gemm_problem(d, 128, 256, 128, 1);
  const emulator::counters c = d.run(GK_OP_GEMM, &p);
  print("gemm sm100_tcgen05 f16 128 x 256 x 128", c, d, GK_OP_GEMM, &p);  // two tiles of 128 x 128
  CHECK_EQ(c.mma_operations, 2u * 128 * 256 * 128);
  CHECK_EQ(c.bulk_copy_bytes, 2u * (128 + 128) * 128 * 2);
  CHECK_EQ(c.global_store_bytes, 128u * 256 * 2);
  CHECK_EQ(c.global_store_sectors * 32, c.global_store_bytes);  // four lanes fill a sector
}

// One byte per element: F8 with sums in the units' own precision, or I8.
gk_gemm byte_problem(device_run &d, uint32_t type, uint32_t d_type, int64_t m, int64_t n, int64_t k,
                     uint32_t implementation) {
  gk_gemm p{};
  p.struct_size = sizeof p;
  p.implementation = implementation;
  p.a_type = p.b_type = type;
  p.d_type = d_type;
  p.m = m, p.n = n, p.k = k, p.lda = p.ldb = k, p.ldd = n;
  p.alpha = 1;
  p.accumulation = GK_ACCUMULATE_SHORT;
  p.a = d.bytes(size_t(m * k));
  p.b = d.bytes(size_t(n * k));
  p.d = d.bytes(size_t(m * n * 4));
  return p;
}

// tile: rows and columns of D that read their rows of A and B once.
void test_bytes(uint32_t device, uint32_t type, uint32_t d_type, uint32_t implementation, int64_t tile_m,
                int64_t tile_n, const char *name) {
  device_run d(device);
  const int64_t m = 128, n = 128, k = 256;
  gk_gemm p = byte_problem(d, type, d_type, m, n, k, implementation);
  const emulator::counters c = d.run(GK_OP_GEMM, &p);
  print(std::string("gemm ") + name + " 128 x 128 x 256", c, d, GK_OP_GEMM, &p, 1);
  CHECK_EQ(c.mma_operations, uint64_t(2 * m * n * k));
  const uint64_t tiles = uint64_t(m / tile_m * (n / tile_n));
  CHECK_EQ(c.bulk_copy_bytes + c.cp_async_bytes, tiles * uint64_t((tile_m + tile_n) * k));
  CHECK_EQ(c.ldmatrix_wavefronts, c.ldmatrix);  // no bank conflicts
  const uint64_t d_bytes = uint64_t(m * n) * (d_type == GK_F16 ? 2 : 4);
  CHECK_EQ(c.global_store_bytes, d_bytes);
  CHECK_EQ(c.global_store_sectors * 32, d_bytes);  // whole sectors, once
}

void test_attention(uint32_t device, uint32_t implementation, const char *name, int32_t head_dim) {
  device_run d(device);
  const int64_t offsets[] = {0, 128};
  gk_attention p{};
  p.struct_size = sizeof p;
  p.implementation = implementation;
  p.qkv_type = p.o_type = GK_F16;
  p.batch = 1;
  p.num_heads = p.num_heads_kv = 1;
  p.head_dim = head_dim;
  p.softmax_scale = 0.088f;
  p.cu_seqlens_q = p.cu_seqlens_k = offsets;
  p.q_token_stride = p.k_token_stride = p.v_token_stride = p.o_token_stride = head_dim;
  p.q_head_stride = p.k_head_stride = p.v_head_stride = p.o_head_stride = head_dim;
  p.q = d.halves(128 * head_dim), p.k = d.halves(128 * head_dim), p.v = d.halves(128 * head_dim);
  p.o = d.halves(128 * head_dim);
  const emulator::counters c = d.run(GK_OP_ATTENTION, &p);
  print(std::string("attention ") + name + " f16 128 rows, 128 keys, head_dim " + std::to_string(head_dim), c, d,
        GK_OP_ATTENTION, &p);
  CHECK_EQ(c.mma_operations, 2u * 2 * 128 * 128 * uint32_t(head_dim));
  CHECK_EQ(c.ldmatrix_wavefronts, c.ldmatrix);
  CHECK_EQ(c.global_store_bytes, 128u * uint32_t(head_dim) * 2);
}

// A hand-made account: each unit in turn is the slowest.
void test_time_model() {
  const emulator::architecture on = {90, "test", 10, 1e9, 1000, 50, 1e12};  // 10^10 cycles of an SM a second
  emulator::counters c{};
  c.mma_operations = 4000000;  // 4000 cycles of an SM
  const auto near = [](double got, double want) { return std::abs(got - want) < 1e-9 * want; };
  emulator::modelled_time t = emulator::model_time(c, on, 2, 1000);
  CHECK(near(t.tensor_cores, 4e-7) && near(t.total, 4e-7) && near(t.roofline, 4e-7) && near(t.memory, 1e-9));
  CHECK_EQ(std::string(t.limit), "tensor cores");
  CHECK(near(emulator::model_time(c, on, 1, 1000).tensor_cores, 2e-7));
  c.bulk_copy_bytes = 300000, c.global_store_sectors = 3125;  // 400 000 bytes: 8000 cycles
  t = emulator::model_time(c, on, 2, 1000);
  CHECK(near(t.l2, 8e-7) && near(t.total, 8e-7) && near(t.roofline, 4e-7));
  CHECK_EQ(std::string(t.limit), "L2");
  c.mma_shared_bytes = 128 * 6000 - 300000, c.ldmatrix_wavefronts = 2000, c.shared_load_wavefronts = 1500;
  c.shared_store_wavefronts = 500;  // 10 000 cycles
  t = emulator::model_time(c, on, 2, 1000);
  CHECK(near(t.shared_memory, 1e-6) && near(t.peak_share, 0.4));
  CHECK_EQ(std::string(t.limit), "shared memory");
  t = emulator::model_time(c, on, 2, 2e6);
  CHECK(near(t.memory, 2e-6) && near(t.roofline, 2e-6) && near(t.total, 2e-6));
  CHECK_EQ(std::string(t.limit), "device memory");
  CHECK(emulator::to_text(t).find("2 us by device memory; roofline 2 us, 100 % of it") != std::string::npos);
  CHECK(emulator::architecture_of(70) == nullptr);
}

}  // namespace

int main() {
  test_time_model();
  test_gemm_mma();
  test_gemm_wgmma();
  test_gemm_tcgen05();
  test_bytes(2, GK_F8_E4M3, GK_F16, 3, 128, 128, "sm90_wgmma_f8 e4m3");
  test_bytes(2, GK_I8, GK_I32, 2, 128, 128, "sm90_wgmma i8");
  test_bytes(1, GK_F8_E4M3, GK_F16, 4, 64, 64, "sm89_mma_f8 e4m3");
  test_bytes(0, GK_I8, GK_I32, 5, 64, 64, "sm80_mma i8");
  test_bytes(3, GK_F8_E4M3, GK_F16, 1, 128, 128, "sm100_tcgen05 e4m3");
  test_attention(0, 2, "sm80_mma", 128);
  test_attention(2, 1, "sm90_wgmma", 128);
  test_attention(2, 1, "sm90_wgmma", 256);
  return check_summary();
}
