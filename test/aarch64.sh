#!/bin/sh
# Cross-compiles the CPU backend for aarch64 and runs its gemm tests, and those of independence of threads, under
# qemu-user:
#
#   test/aarch64.sh
#
# Debian: apt-get install g++-aarch64-linux-gnu qemu-user. Exits with 77, the skip code of test harnesses, and the
# reason if either is missing. Some minutes; not part of npm test.
set -eu
cd "$(dirname "$0")/.."
skip() {
  echo "aarch64.sh: skipped: $1" >&2
  exit 77
}
command -v aarch64-linux-gnu-g++ > /dev/null || skip "aarch64-linux-gnu-g++ is not installed (Debian: g++-aarch64-linux-gnu)"
command -v qemu-aarch64 > /dev/null || skip "qemu-aarch64 is not installed (Debian: qemu-user)"
[ -d node_modules ] || {
  echo "aarch64.sh: node_modules is missing: run npm ci --ignore-scripts first" >&2
  exit 1
}

folder=build/aarch64
# Without the vectoriser, which is not what is tested: the one of gcc 12 for aarch64 stops with an internal error.
cmake -S . -B "$folder" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DCMAKE_CXX_FLAGS=-fno-tree-vectorize \
  -DGONKA_CUDA=OFF > /dev/null
cmake --build "$folder" --parallel "$(nproc)" --target gonka_cpu gonka_ops
for name in gemm thread_independence; do
  aarch64-linux-gnu-g++ -std=c++20 -O2 -ffp-contract=off -Inative/include -Inative/ops -Inative/cpu -Itest/native \
    "test/native/$name.cpp" "$folder/libgonka_cpu.a" "$folder/libgonka_ops.a" -o "$folder/test_$name" -lpthread
done
# max: every extension qemu knows, SMMLA included; neoverse-n1 has dot products and no SMMLA.
for cpu in max neoverse-n1; do
  for name in gemm thread_independence; do
    echo "== $name on $cpu"
    qemu-aarch64 -cpu "$cpu" -L /usr/aarch64-linux-gnu "$folder/test_$name"
  done
done
