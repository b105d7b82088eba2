// The loop of every peak_*.cpp, which include it and nobody else; local to each of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace gonka::cpu {
namespace {

template <class Register>
__attribute__((always_inline)) inline Register kept(Register value) {
  __asm__ volatile("" : "+v"(value));
  return value;
}

// `rounds` times one operation on each accumulator. Left to itself the compiler renames accumulators across an unrolled
// loop and pays with a move for every fourth vpdpbusd: 640 of 880 Gop/s on Zen 5. So each stays in its own register.
template <class Operation, class Register, size_t... Chain>
__attribute__((always_inline)) inline void run_chains(uint64_t rounds, Register (&accumulators)[sizeof...(Chain)],
                                                      Operation operation, std::index_sequence<Chain...>) {
  for (uint64_t round = 0; round < rounds; ++round) ((accumulators[Chain] = kept(operation(accumulators[Chain]))), ...);
}

}  // namespace
}  // namespace gonka::cpu
