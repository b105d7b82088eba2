#!/bin/sh
# Everything there is to do on a machine with an NVIDIA GPU, in one go: build for that GPU, conformance on the device,
# bench of all ops, a PoC v1 round. Results as JSON files in a folder of their own.
#
#   bench/gpu.sh [device] [folder]      device: cuda:0 by default; folder: gpu-results by default
#
# Stops at the first step that cannot be done, with cause and fix. A failed conformance case does not keep the bench
# from running, but the exit status tells.
set -eu
device=${1:-cuda:0}
out=${2:-gpu-results}
cd "$(dirname "$0")/.."

fail() {
  echo "gpu.sh: $1" >&2
  exit 1
}
command -v nvidia-smi > /dev/null || fail "nvidia-smi was not found: install the NVIDIA driver, or run this where the GPU is"
command -v nvcc > /dev/null || fail "nvcc was not found: install the CUDA toolkit 13 and put its bin folder on PATH"
[ -d node_modules ] || fail "node_modules is missing: run npm ci --ignore-scripts first"

index=${device#cuda:}
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader -i "$index" | tr -d '. \n')
[ -n "$capability" ] || fail "the driver reports no device $index"
case $capability in
  90 | 100 | 103 | 120) arch=${capability}a-real ;;
  *) arch=$capability-real ;;
esac

mkdir -p "$out"
nvidia-smi -q -i "$index" > "$out/nvidia-smi.txt"
started=$(date +%s)
step() { echo "== $1 ($(($(date +%s) - started)) s)" >&2; }

step "build for sm_$capability"
npx cmake-js compile --CDGONKA_CUDA=ON --CDGONKA_CUDA_ARCHS="$arch" > "$out/build.log" 2>&1 || {
  tail -20 "$out/build.log" >&2
  fail "the build failed; see $out/build.log"
}
npx tsc -p tsconfig.json

miner="node bin/gonka-miner.js"
step "devices"
$miner devices --json > "$out/devices.json"
step "conformance"
status=0
$miner conformance --device "$device" --json > "$out/conformance.json" || status=$?
step "bench"
$miner bench --device "$device" --json > "$out/bench.json"
step "PoC v1"
$miner poc v1 --device "$device" --block-hash gpu.sh --public-key gpu.sh --nonces 0-1023 --json > "$out/poc-v1.json"
step "done"
[ "$status" = 0 ] || fail "conformance failed with status $status; see $out/conformance.json"
