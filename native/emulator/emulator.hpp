// Runs CUDA kernels on the CPU and reports what a GPU would keep silent about.
//
// A kernel that is written against native/cuda/device/ptx.cuh is compiled by the host compiler; each of its threads is
// a fiber. One host thread runs one cluster of blocks after another; a launch returns when the grid is done or at the
// first finding. Results do not depend on timing: the order of fibers follows from options::seed alone.
//
// What is checked
//   memory      bounds, alignment and use after free of every global and shared access; reads of bytes nobody wrote;
//   races       happens-before between all threads of a cluster (vector clocks: a barrier, collective, mbarrier or
//               atomic orders exactly what the PTX memory model says it orders), across clusters by cluster;
//   async       cp.async, bulk tensor copies and wgmma take effect at the wait that completes them and no earlier;
//   until
//               then their destination is "in flight" and touching it is a finding;
//   tensor      tcgen05: allocation of tensor memory, whose lanes a warp may read, order between mma, commit, fences,
//               loads and their waits;
//   collectives all named lanes must arrive, at the same source line for .aligned instructions;
//   barriers    counts, phases, transaction counts; deadlock with what each thread waits for.
// What is not: timing, register allocation, ptxas.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace gonka::emulator {

// A place in kernel source.
struct site {
  const char *file;
  int line;
};

enum class fault : uint8_t {
  none,
  out_of_bounds,
  misaligned,
  uninitialized,
  data_race,
  in_flight,
  divergent_collective,
  barrier_misuse,
  deadlock,
  bad_operand,
  leak,
};
const char *fault_name(fault kind) noexcept;

// What went wrong first. kind == none: nothing.
struct finding {
  fault kind = fault::none;
  std::string message;  // one sentence with addresses, threads and the other party of a race
  site where = {"", 0};
  uint32_t block[3] = {0, 0, 0};
  uint32_t thread = 0;       // linear index in its block
  std::string text() const;  // "gemm_sm80.cu:120: data_race: ... (block 0,1,0 thread 37)"; empty if none
};

// How tensor cores add up. tensor_core: see accumulate.hpp. f32: products and sums in F32, ascending k.
enum class accumulation : uint8_t { tensor_core, f32 };

struct options {
  uint64_t seed = 0;  // 0: threads run in index order; otherwise the order of runnable threads is drawn from it
  accumulation sums = accumulation::tensor_core;
  uint32_t compute_capability = 80;  // 80, 89, 90, 100, 120: accumulator width and legal instructions
  bool count = false;                // fill counters: about twice slower
};

// Work of a launch as a profiler would count it. Memory requests are per warp; see counters.cpp.
struct counters {
  uint64_t global_load_requests = 0, global_load_sectors = 0, global_load_bytes = 0;
  uint64_t global_store_requests = 0, global_store_sectors = 0, global_store_bytes = 0;
  uint64_t shared_load_requests = 0, shared_load_wavefronts = 0, shared_load_bytes = 0;
  uint64_t shared_store_requests = 0, shared_store_wavefronts = 0, shared_store_bytes = 0;
  uint64_t cp_async_bytes = 0, bulk_copy_bytes = 0;
  uint64_t ldmatrix = 0, ldmatrix_wavefronts = 0;  // matrices of 8x8 loaded; shared wavefronts they took
  uint64_t mma = 0, mma_operations = 0;            // instructions; multiplications and additions
  uint64_t mma_shared_bytes = 0;  // operands that wgmma and tcgen05.mma read in shared memory themselves
  uint64_t shuffles = 0, votes = 0, barriers = 0, atomics = 0;
  uint64_t block_threads = 0, block_shared_bytes = 0;  // of the largest block launched; dynamic shared memory
};

struct index3 {
  uint32_t x = 1, y = 1, z = 1;
};

struct launch_config {
  index3 grid, block;
  uint32_t shared_bytes = 0;  // dynamic shared memory of a block
  uint32_t cluster = 1;       // blocks of a cluster, along x; divides grid.x
};

// Runs entry(argument) once per thread of the grid. count may be null. Launches of different host threads take turns.
finding launch(const launch_config &config, const options &how, counters *count, void (*entry)(const void *),
               const void *argument);

// Device memory: ordinary host memory that is known to the checks. Contents start out as "unwritten".
void *allocate(size_t bytes);    // 256-byte aligned; throws std::bad_alloc
void release(void *allocation);  // nullptr is ignored
// Host access; marks what it writes as written. False if the range is not inside one live allocation.
bool write(void *to, const void *from, size_t bytes);
bool read(void *to, const void *from, size_t bytes);
bool fill(void *to, uint8_t value, size_t bytes);
uint64_t allocated_bytes();

}  // namespace gonka::emulator
