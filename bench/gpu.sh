#!/bin/sh
# Everything there is to do on a machine with an NVIDIA GPU, in one go and under 8 minutes: build for that GPU, devices,
# conformance on the device, bench of all ops beside cuBLAS and cuDNN where those are installed, a PoC v1 round with
# joules. What came out lies in a folder as one JSON file per step and as report.json, which the last line of output
# names.
#
#   bench/gpu.sh [device] [folder]      device: cuda:0 by default; folder: gpu-results by default
#   GONKA_BUILD                         where cmake-js builds: build by default
#
# Stops at the first step that cannot be done, with cause and fix. A failed conformance case does not keep the bench from
# running, and an op for which no time is left is named, but the exit status tells: 0 only if everything ran and passed.
set -eu
device=${1:-cuda:0}
out=${2:-gpu-results}
budget=460 # seconds

fail() {
  echo "gpu.sh: $1" >&2
  exit 1
}
case $device in
  cuda:[0-9] | cuda:[0-9][0-9]) index=${device#cuda:} ;;
  *)
    echo "gpu.sh: expected a device as cuda:0, got '$device'" >&2
    exit 2
    ;;
esac
mkdir -p "$out" || fail "$out cannot be made; name another folder as the second argument"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")/.."
# Devices counted as nvidia-smi counts them; where only some are visible, the index is that among those.
export CUDA_DEVICE_ORDER=PCI_BUS_ID
gpu=$index
[ -z "${CUDA_VISIBLE_DEVICES:-}" ] || gpu=$(echo "$CUDA_VISIBLE_DEVICES" | cut -d , -f $((index + 1)))
[ -n "$gpu" ] || fail "CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES has no device $index"
command -v nvidia-smi > /dev/null || fail "nvidia-smi was not found: install the NVIDIA driver, or run this where the GPU is"
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader -i "$gpu" 2>&1 | tr -d '. \n') || capability=
case $capability in
  [0-9][0-9] | [0-9][0-9][0-9]) ;;
  *) fail "the driver reports no device $index: $(nvidia-smi -L 2>&1 | head -3 | tr '\n' ' ')" ;;
esac
[ "$capability" -ge 80 ] || fail "device $index has compute capability $capability; 80 (Ampere) or newer is needed"
command -v nvcc > /dev/null || fail "nvcc was not found: install the CUDA toolkit 13 and put its bin folder on PATH"
command -v node > /dev/null || fail "node was not found: install Node.js 20 or newer and put its bin folder on PATH"
[ -d node_modules ] || fail "node_modules is missing: run npm ci --ignore-scripts first"
case $capability in
  90 | 100 | 103 | 120) arch=${capability}a-real ;;
  *) arch=$capability-real ;;
esac

started=$(date +%s)
spent() { echo $(($(date +%s) - started)); }
step() { echo "== $1 ($(spent) s)" >&2; }
status=0
problem() {
  echo "gpu.sh: $1" >&2
  status=1
}

nvidia-smi -q -i "$gpu" > "$out/nvidia-smi.txt"
step "build for sm_$capability"
build=${GONKA_BUILD:-build}
building() {
  npx cmake-js "$@" >> "$out/build.log" 2>&1 || {
    tail -20 "$out/build.log" >&2
    fail "the build failed; see $out/build.log"
  }
}
: > "$out/build.log"
# A build that has this architecture already, of npm ci say, is only brought up to date.
grep -q "^GONKA_CUDA_ARCHS:.*[=;]$arch\(;\|\$\)" "$build/CMakeCache.txt" 2> /dev/null && [ -e "$build/Release/gonka_cuda.so" ] \
  || building configure --CDGONKA_CUDA=ON --CDGONKA_CUDA_ARCHS="$arch"
building build --parallel "$(node native/scripts/build-jobs.js)"
npx tsc -p tsconfig.json || fail "the TypeScript build failed"

miner="node bin/gonka-miner.js"
step "devices"
$miner devices --json > "$out/devices.json"
# The shortest statement of what is wrong with a device is the one that opening it gives.
code=0
$miner selftest --device "$device" --json > "$out/selftest.json" || code=$?
[ "$code" != 2 ] || fail "$device cannot be opened, for the reason above"
[ "$code" = 0 ] || problem "the self-test failed; see $out/selftest.json"

# The figures first: they are what a machine that is only lent for minutes is for.
step "bench"
$miner bench default rows gpu --device "$device" --seconds 0.3 --json > "$out/bench.json" || problem "bench failed"
# cuBLAS and cuDNN as the toolkit has them on the library path, or as Python packages have them.
for package in cu13 cublas cudnn; do
  folder=$(python3 -c "import nvidia.$package as p; print(list(p.__path__)[0])" 2> /dev/null) \
    && LD_LIBRARY_PATH=$folder/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} && export LD_LIBRARY_PATH
done
for peer in cublas cudnn; do
  library=$build/Release/peers/gonka_$peer.so
  [ -e "$library" ] || continue
  step "bench of $peer"
  case $peer in cublas) cases="gemm gpu-gemm" ;; *) cases="attention gpu-attention" ;; esac
  $miner bench $cases --backend "$library" --device "$peer:$index" --seconds 0.3 --json > "$out/bench-$peer.json" \
    || echo "gpu.sh: no figures of $peer: $out/bench-$peer.json has the reasons" >&2
done
step "PoC v1"
node bench/gpu-poc.js --device "$device" --seconds 10 > "$out/poc-v1.json" || problem "the PoC v1 round failed"

for op in gemm attention matmul_pow sha256_search normal_fill rms_norm rope silu_mul householder gather l2_normalize permuted_distance; do
  left=$((budget - $(spent)))
  if [ "$left" -lt 10 ]; then
    problem "conformance of $op: no time left"
    continue
  fi
  step "conformance of $op"
  timeout "$left" $miner conformance --device "$device" --op "$op" --json > "$out/conformance-$op.json" \
    || problem "conformance of $op failed or did not end in $left s; see $out/conformance-$op.json"
done

step "report"
node bench/gpu-report.js "$out" > "$out/report.txt" || problem "the report could not be made"
cat "$out/report.txt"
echo "$out/report.json"
exit "$status"
