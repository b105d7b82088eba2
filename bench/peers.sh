#!/bin/sh
# The project's CPU kernels beside the libraries that Debian packages: OpenBLAS, BLIS, oneDNN, OpenSSL, NumPy and, with
# --torch, torch (171 packages). Prints a Markdown table of rates and ratios.
#
#   bench/peers.sh [--torch] [--threads N] [--under COMMAND] > peers.md
#
# Installs what is missing by package name, which takes root; without root it says what to install. Needs a built tree
# (npm ci or npx cmake-js compile). Both sides of a row run in turns in one process where they can; on a machine with
# other work, ratios are worth more than rates. --under puts a command before each of the runs, about a minute long: what
# gives it the processors alone, say.
set -eu
cd "$(dirname "$0")/.."
fail() {
  echo "peers.sh: $1" >&2
  exit 1
}
torch=
under=
threads=$(nproc)
while [ $# -gt 0 ]; do
  case $1 in
    --torch) torch=python3-torch ;;
    --threads)
      [ $# -gt 1 ] || fail "--threads takes a number"
      threads=$2
      shift
      ;;
    --under)
      [ $# -gt 1 ] || fail "--under takes a command"
      under=$2
      shift
      ;;
    *) fail "unknown argument $1; usage: bench/peers.sh [--torch] [--threads N] [--under COMMAND]" ;;
  esac
  shift
done
case $threads in '' | *[!0-9]* | 0*) fail "--threads takes a positive number, got '$threads'" ;; esac
[ -f build/libgonka_cpu.a ] || fail "build/libgonka_cpu.a is missing: run npx cmake-js compile first"

missing=
for package in libopenblas0-pthread libblis4-pthread libdnnl-dev openssl python3-numpy $torch; do
  dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
  [ "$(id -u)" = 0 ] || fail "not installed:$missing; run as root, or: sudo apt-get install$missing"
  # shellcheck disable=SC2086
  apt-get install -y --no-install-recommends $missing >&2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build() { # source, options
  "${CXX:-c++}" -std=c++20 -O2 -Inative/cpu -Inative/include -Inative/ops "bench/peers/$1.cpp" build/libgonka_cpu.a \
    build/libgonka_ops.a -o "$work/$1" $2
}
build blas '-ldl -lpthread'
build onednn '-fopenmp -ldnnl -lpthread'
build rates '-lpthread'

libraries=/usr/lib/$(uname -m)-linux-gnu
processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
family=$(sed -n 's/^cpu family[^:]*: //p' /proc/cpuinfo | head -1)
echo "$processor (family $family), $(nproc) processors, $(date +%F). gemm in Gop/s; f32, bf16 and i8 with packed weights on"
echo "our side; \"of peak\" is ours over a register-only loop. oneDNN $(dpkg-query -W -f '${Version}' libdnnl2), OpenBLAS"
echo "$(dpkg-query -W -f '${Version}' libopenblas0-pthread), BLIS $(dpkg-query -W -f '${Version}' libblis4-pthread)."
echo
echo "| case | beside | threads | ours | theirs | ratio | of peak |"
echo "| --- | --- | --- | --- | --- | --- | --- |"
for n in 1 "$threads"; do
  [ "$n" = 1 ] && [ "${done_one:-}" ] && continue
  done_one=1
  $under "$work/onednn" "$n"
  $under "$work/blas" OpenBLAS "$libraries/openblas-pthread/libopenblas.so.0" "$n"
  $under "$work/blas" BLIS "$libraries/blis-pthread/libblis.so.4" "$n"
done
$under /usr/bin/python3 bench/peers/generators.py "$work/rates"
# A double hash of a header whose first block is known is two blocks.
ours=$($under "$work/rates" sha256d 1)
theirs=$($under openssl speed -mr -seconds 1 -bytes 16384 sha256 2> /dev/null | awk -F: '/^\+F/ { print $4 / 64 }')
echo "$ours $theirs" | awk '{ printf "| SHA-256 blocks, M/s | OpenSSL, one stream | 1 | %.0f | %.0f | %.2f | |\n", 2 * $1 / 1e6, $2 / 1e6, 2 * $1 / $2 }'
