// gemm on the CPU backend: every case x every implementation x plain and packed B, through the C boundary, with guard
// zones, odd offsets and unwritten inputs; equal bits for every thread count; packed weights that do not fit.
#include "gemm/gemm.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "backend.hpp"
#include "cases.hpp"
#include "check.hpp"
#include "features.hpp"
#include "gemm_blocked.hpp"

using namespace gonka;

namespace {

using bytes = std::vector<std::byte>;
constexpr std::byte k_guard{0xa5};
constexpr uint64_t k_guard_bytes = 256;

const gk_backend &table = cpu::backend();

struct opened {
  gk_device *device = nullptr;
  gk_stream *stream = nullptr;

  explicit opened(uint32_t threads) {
    gk_device_options options{};
    options.struct_size = sizeof options;
    options.threads = threads;
    CHECK_EQ(table.device_open(0, &options, &device, nullptr), GK_OK);
    CHECK_EQ(table.stream_open(device, &stream, nullptr), GK_OK);
  }
  ~opened() {
    table.stream_close(stream);
    table.device_close(device);
  }
};

// One operand in device memory between two guard zones.
struct placed {
  gk_buffer *buffer = nullptr;
  uint64_t offset = 0;
};

placed place(const opened &cpu, const bytes &data, uint32_t element, uint64_t misalignment) {
  placed p;
  p.offset = k_guard_bytes + misalignment * element;
  const uint64_t size = p.offset + data.size() + k_guard_bytes;
  CHECK_EQ(table.buffer_alloc(cpu.device, size, &p.buffer, nullptr), GK_OK);
  auto *memory = static_cast<std::byte *>(table.buffer_pointer(p.buffer));
  std::fill(memory, memory + size, k_guard);
  std::copy(data.begin(), data.end(), memory + p.offset);
  return p;
}

bool guards_whole(const placed &p, size_t size) {
  const auto *memory = static_cast<const std::byte *>(table.buffer_pointer(p.buffer));
  const auto whole = [&](uint64_t begin, uint64_t end) {
    return std::all_of(memory + begin, memory + end, [](std::byte b) { return b == k_guard; });
  };
  return whole(0, p.offset) && whole(p.offset + size, p.offset + size + k_guard_bytes);
}

struct outcome {
  gk_status status = GK_OK;
  std::string message;
  std::vector<bytes> data;
};

// Runs a built case on one implementation. packed: B goes through gemm_pack first.
outcome run(const opened &cpu, const built_case &built, uint32_t implementation, bool packed, uint64_t misalignment,
            const std::string &name) {
  outcome out;
  gk_gemm p = *static_cast<const gk_gemm *>(built.problem.get());
  p.implementation = implementation;
  const auto operands = find_op(GK_OP_GEMM)->operands(&p);
  std::vector<placed> places(operands.size());
  const auto shared = [&](size_t i) { return built.same_place.empty() ? -1 : built.same_place[i]; };
  for (size_t i = 0; i < operands.size(); ++i) {
    if (!built.present[i]) continue;
    places[i] = shared(i) >= 0 ? places[size_t(shared(i))]
                               : place(cpu, built.data[i], dtype_size(operands[i].dtype), misalignment);
    *operands[i].ref = {places[i].buffer, places[i].offset};
  }
  gk_error err{};
  err.struct_size = sizeof err;
  gk_buffer *pack = nullptr;
  if (packed) {
    gk_gemm_pack request{};
    request.struct_size = sizeof request;
    request.implementation = implementation;
    request.a_type = p.a_type, request.b_type = p.b_type, request.epilogue = p.epilogue;
    request.n = p.n, request.k = p.k, request.ldb = p.ldb;
    request.b = p.b, request.b2 = p.b2;
    out.status = table.gemm_pack(cpu.stream, &request, &pack, &err);
    p.b_packed = 1, p.ldb = 0;
    p.b = {pack, 0}, p.b2 = {};
  }
  if (out.status == GK_OK) out.status = table.run(cpu.stream, GK_OP_GEMM, &p, 0, &err);
  out.message = err.message;
  for (size_t i = 0; i < operands.size(); ++i) {
    const auto *memory =
        places[i].buffer == nullptr
            ? nullptr
            : static_cast<const std::byte *>(table.buffer_pointer(places[i].buffer)) + places[i].offset;
    out.data.emplace_back(memory, memory == nullptr ? nullptr : memory + built.data[i].size());
    if (memory == nullptr) continue;
    check_report(guards_whole(places[i], built.data[i].size()), __FILE__, __LINE__,
                 name + ": wrote outside operand " + operands[i].name);
  }
  for (size_t i = 0; i < operands.size(); ++i)
    if (shared(i) < 0) table.buffer_free(places[i].buffer);
  table.buffer_free(pack);
  return out;
}

std::vector<bytes> reference(const built_case &built) {
  gk_gemm p = *static_cast<const gk_gemm *>(built.problem.get());
  auto data = built.data;
  std::vector<void *> pointers;
  for (size_t i = 0; i < data.size(); ++i) pointers.push_back(built.present[i] ? data[i].data() : nullptr);
  for (size_t i = 0; i < built.same_place.size(); ++i)
    if (built.same_place[i] >= 0) pointers[i] = pointers[size_t(built.same_place[i])];
  find_op(GK_OP_GEMM)->reference(&p, pointers);
  for (size_t i = 0; i < built.same_place.size(); ++i)
    if (built.same_place[i] >= 0) data[i] = data[size_t(built.same_place[i])];
  return data;
}

// Bytes of D between its rows, and all inputs, must be what they were.
bool untouched(const built_case &built, const std::vector<bytes> &got) {
  const auto &p = *static_cast<const gk_gemm *>(built.problem.get());
  for (size_t i = 0; i < got.size(); ++i) {
    const bool is_d = i == k_gemm_d || (i == k_gemm_c && !built.same_place.empty());
    if (!is_d && got[i] != built.data[i]) return false;
  }
  const size_t size = dtype_size(p.d_type), row = size_t(p.n) * size, stride = size_t(p.ldd) * size;
  for (int64_t r = 0; r + 1 < p.m && p.n > 0; ++r) {
    const auto begin = got[k_gemm_d].begin() + ptrdiff_t(size_t(r) * stride + row);
    const auto was = built.data[k_gemm_d].begin() + ptrdiff_t(size_t(r) * stride + row);
    if (!std::equal(begin, begin + ptrdiff_t(stride - row), was)) return false;
  }
  return true;
}

void judge(const op_case &c, const built_case &built, const outcome &got, const std::vector<bytes> &want,
           const std::string &name) {
  if (!check_report(got.status == GK_OK, __FILE__, __LINE__, name + ": " + got.message)) return;
  check_report(untouched(built, got.data), __FILE__, __LINE__, name + ": inputs or gaps of D were written");
  const comparison seen = c.compare(c, built, got.data, want);
  char text[256];
  std::snprintf(text, sizeof text, ": element %lld is %.9g, want %.9g (%.2f bounds); aggregate %.3g of %.3g",
                static_cast<long long>(seen.worst_index), seen.got, seen.want, seen.worst, seen.aggregate,
                seen.aggregate_limit);
  check_report(seen.passed(), __FILE__, __LINE__, name + text);
}

void conformance(const opened &cpu, uint32_t uses) {
  std::vector<int> run_by_implementation, packed_by_implementation;
  uint64_t turn = 0;
  for (const op_case &c : cases_of(GK_OP_GEMM)) {
    if ((c.uses & uses) == 0) continue;
    const built_case built = c.build(c);
    const auto want = reference(built);
    for (uint32_t i = 0;; ++i) {
      const char *implementation = table.implementation(cpu.device, GK_OP_GEMM, i);
      if (implementation == nullptr) break;
      run_by_implementation.resize(std::max<size_t>(run_by_implementation.size(), i + 1));
      packed_by_implementation.resize(run_by_implementation.size());
      const std::string name = c.name + " on " + implementation;
      const outcome plain = run(cpu, built, i + 1, false, turn++ % 5, name);
      if (plain.status == GK_UNSUPPORTED) continue;
      ++run_by_implementation[i];
      judge(c, built, plain, want, name);
      const outcome packed = run(cpu, built, i + 1, true, turn++ % 5, name + " packed");
      if (packed.status == GK_UNSUPPORTED) continue;
      ++packed_by_implementation[i];
      judge(c, built, packed, want, name + " packed");
      check_report(packed.data[k_gemm_d] == plain.data[k_gemm_d], __FILE__, __LINE__,
                   name + ": packed and plain differ in bits");
    }
  }
  for (size_t i = 0; i < run_by_implementation.size(); ++i)
    std::printf("%-12s %4d cases, %4d packed\n", table.implementation(cpu.device, GK_OP_GEMM, uint32_t(i)),
                run_by_implementation[i], packed_by_implementation[i]);
  CHECK(run_by_implementation.back() > 300);  // the reference takes everything
  // What the processor has is used, and packs.
  const std::string sets = " " + cpu::describe(cpu::this_cpu()) + " ";
  for (const char *set :
       {"amx_bf16", "amx_int8", "avx512bf16", "avx512vnni", "avx512", "avx2", "i8mm", "neondot", "neon"}) {
    if (sets.find(std::string(" ") + set + " ") == std::string::npos) continue;
    int packed = 0;
    for (size_t i = 0; i < packed_by_implementation.size(); ++i)
      if (std::strcmp(table.implementation(cpu.device, GK_OP_GEMM, uint32_t(i)), set) == 0)
        packed += packed_by_implementation[i];
    check_report(packed > 50, __FILE__, __LINE__, std::string(set) + ": too few cases ran packed");
  }
#if defined(GONKA_AMX_MODEL)
  CHECK(cpu::this_cpu().amx_int8 && cpu::this_cpu().amx_bf16);
#endif
}

// The same bits from one, two and five threads.
void thread_counts() {
  const opened one(1), two(2), five(5);
  for (const op_case &c : cases_of(GK_OP_GEMM)) {
    const bool large = c.name.find("m=257 ") != std::string::npos || c.name.find("n=1031 ") != std::string::npos ||
                       c.name.find("m=601 ") != std::string::npos;
    if ((c.uses & use_conformance) == 0 || !large) continue;
    const built_case built = c.build(c);
    for (const bool packed : {false, true})
      for (uint32_t i = 0; table.implementation(one.device, GK_OP_GEMM, i + 1) != nullptr; ++i) {
        const std::string name = c.name + " threads";
        const outcome first = run(one, built, i + 1, packed, 0, name);
        if (first.status != GK_OK) continue;
        check_report(run(two, built, i + 1, packed, 3, name).data == first.data, __FILE__, __LINE__, name + " 2");
        check_report(run(five, built, i + 1, packed, 1, name).data == first.data, __FILE__, __LINE__, name + " 5");
      }
  }
}

struct small_problem {
  gk_buffer *a, *b, *d;
  gk_gemm p{};
  gk_gemm_pack request{};

  small_problem(const opened &cpu, uint32_t type, int64_t n, int64_t k) {
    table.buffer_alloc(cpu.device, 1 << 16, &a, nullptr);
    table.buffer_alloc(cpu.device, 1 << 16, &b, nullptr);
    table.buffer_alloc(cpu.device, 1 << 16, &d, nullptr);
    for (gk_buffer *x : {a, b, d}) std::memset(table.buffer_pointer(x), 0, 1 << 16);
    p.struct_size = sizeof p;
    p.a_type = p.b_type = type, p.d_type = type == GK_I8 ? GK_I32 : GK_F32;
    p.m = 3, p.n = n, p.k = p.lda = p.ldb = k, p.ldc = p.ldd = n, p.alpha = 1;
    p.a = {a, 0}, p.b = {b, 0}, p.d = {d, 0};
    request.struct_size = sizeof request;
    request.a_type = request.b_type = type;
    request.n = n, request.k = request.ldb = k, request.b = {b, 0};
  }
  ~small_problem() {
    for (gk_buffer *x : {a, b, d}) table.buffer_free(x);
  }
};

// Packed weights that belong to something else are refused with the reason by every implementation.
void misfits(const opened &cpu) {
  small_problem s(cpu, GK_BF16, 40, 24);
  gk_error err{};
  err.struct_size = sizeof err;
  gk_buffer *pack = nullptr;
  const gk_status status = table.gemm_pack(cpu.stream, &s.request, &pack, &err);
  if (status == GK_UNSUPPORTED) return;  // no instruction set that packs
  CHECK_EQ(status, GK_OK);
  const auto expect = [&](const char *part, auto change) {
    gk_gemm p = s.p;
    p.b = {pack, 0}, p.b_packed = 1;
    change(p);
    err.message[0] = 0;
    CHECK_EQ(table.run(cpu.stream, GK_OP_GEMM, &p, 0, &err), part == nullptr ? GK_OK : GK_UNSUPPORTED);
    if (part != nullptr)
      check_report(std::strstr(err.message, part) != nullptr, __FILE__, __LINE__,
                   std::string(err.message) + " / " + part);
  };
  expect(nullptr, [](gk_gemm &) {});
  expect("another n or k", [](gk_gemm &p) { p.n = 39; });
  expect("another n or k", [](gk_gemm &p) { p.k = 23; });
  expect("another type", [](gk_gemm &p) { p.b_type = GK_F16; });
  expect("another epilogue", [](gk_gemm &p) { p.epilogue = GK_EPILOGUE_SWIGLU; });
  expect("not something gemm_pack made", [&](gk_gemm &p) { p.b = {s.a, 0}; });

  gk_buffer *tiny = nullptr;
  table.buffer_alloc(cpu.device, 16, &tiny, nullptr);
  expect("smaller than its header", [&](gk_gemm &p) { p.b = {tiny, 0}; });
  table.buffer_free(tiny);
  table.buffer_alloc(cpu.device, 256, &tiny, nullptr);
  table.buffer_write(cpu.stream, tiny, 0, table.buffer_pointer(pack), 256, nullptr);
  expect("cut short", [&](gk_gemm &p) { p.b = {tiny, 0}; });
  table.buffer_free(tiny);
  // A header that claims less than the layout needs, in a buffer that holds what it claims.
  table.buffer_alloc(cpu.device, 4096, &tiny, nullptr);
  table.buffer_write(cpu.stream, tiny, 0, table.buffer_pointer(pack), 64, nullptr);
  const uint64_t claimed = 128;
  std::memcpy(static_cast<char *>(table.buffer_pointer(tiny)) + 40, &claimed, sizeof claimed);
  expect("cut short", [&](gk_gemm &p) { p.b = {tiny, 0}; });
  table.buffer_free(tiny);

  gk_gemm p = s.p;
  p.b_packed = 1, p.b = {};
  CHECK_EQ(table.run(cpu.stream, GK_OP_GEMM, &p, 0, &err), GK_INVALID_ARGUMENT);
  table.buffer_free(pack);

  gk_gemm_pack bad = s.request;
  bad.b.offset = (1 << 16) - 40 * 24 * 2 + 2;
  CHECK_EQ(table.gemm_pack(cpu.stream, &bad, &pack, &err), GK_INVALID_ARGUMENT);
  bad = s.request, bad.b = {};
  CHECK_EQ(table.gemm_pack(cpu.stream, &bad, &pack, &err), GK_INVALID_ARGUMENT);
  bad = s.request, bad.epilogue = GK_EPILOGUE_SWIGLU;
  CHECK_EQ(table.gemm_pack(cpu.stream, &bad, &pack, &err), GK_INVALID_ARGUMENT);
  bad = s.request, bad.ldb = 3;
  CHECK_EQ(table.gemm_pack(cpu.stream, &bad, &pack, &err), GK_INVALID_ARGUMENT);
  bad = s.request, bad.n = int64_t(1) << 62;
  CHECK_EQ(table.gemm_pack(cpu.stream, &bad, &pack, &err), GK_INVALID_ARGUMENT);
  bad = s.request, bad.a_type = GK_I8;
  CHECK_EQ(table.gemm_pack(cpu.stream, &bad, &pack, &err), GK_UNSUPPORTED);
}

// The reference turns every layout back: all bit patterns of B survive, signalling NaN included.
void unpacking(const opened &cpu) {
  for (const uint32_t type : {uint32_t(GK_F16), uint32_t(GK_BF16), uint32_t(GK_F32), uint32_t(GK_I8)})
    for (uint32_t i = 1; table.implementation(cpu.device, GK_OP_GEMM, i) != nullptr; ++i) {
      small_problem s(cpu, type, 45, 33);
      auto *b = static_cast<uint8_t *>(table.buffer_pointer(s.b));
      for (uint32_t x = 0; x < 1 << 16; ++x) b[x] = uint8_t(x * 2654435761u >> 13);
      s.request.implementation = i;
      gk_buffer *pack = nullptr;
      if (table.gemm_pack(cpu.stream, &s.request, &pack, nullptr) != GK_OK) continue;
      bytes plain(45 * 33 * dtype_size(type));
      cpu::unpack_weights(table.buffer_pointer(pack), plain.data(), nullptr);
      check_report(std::memcmp(plain.data(), b, plain.size()) == 0, __FILE__, __LINE__,
                   std::string("unpacking ") + dtype_name(type) + " " + std::to_string(i));
      table.buffer_free(pack);
    }
}

}  // namespace

// --full adds the large cases.
int main(int argc, char **argv) {
#if defined(GONKA_AMX_MODEL)
  if (!cpu::this_cpu().avx512) return std::printf("skipped: what surrounds AMX's tiles needs AVX-512\n"), 77;
#endif
  const bool full = argc > 1 && std::strcmp(argv[1], "--full") == 0;
  const opened cpu(2);
  std::printf("%s\n", cpu::describe(cpu::this_cpu()).c_str());
  conformance(cpu, use_conformance | (full ? uint32_t(use_full) : 0));
  thread_counts();
  misfits(cpu);
  unpacking(cpu);
  return check_summary();
}
