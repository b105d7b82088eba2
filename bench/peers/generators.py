# Normal generators of NumPy, and of torch where it is installed, beside the project's: generators.py RATES
# Prints rows of the table of bench/peers.sh. One thread; in turns, five times each.
import statistics
import subprocess
import sys
import time

import numpy

rates = sys.argv[1]


def ours(case):
    return float(subprocess.run([rates, case, "1"], check=True, capture_output=True, text=True).stdout)


def per_second(call, values):
    call()
    samples = []
    end = time.perf_counter() + 0.2
    while time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        samples.append(values / (time.perf_counter() - begin))
    return statistics.median(samples)


def row(name, peer, case, call, values):
    pairs = [(ours(case), per_second(call, values)) for _ in range(5)]
    mine, theirs = (statistics.median(side) for side in zip(*pairs))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"| {name}, M/s | {peer} | 1 | {mine / 1e6:.0f} | {theirs / 1e6:.0f} | {ratio:.2f} | |", flush=True)


generator = numpy.random.Generator(numpy.random.PCG64(1))
out = numpy.empty(1 << 20)
row("PCG64 + ziggurat f64", f"NumPy {numpy.__version__}", "pcg64", lambda: generator.standard_normal(out=out), out.size)

try:
    import torch
except ImportError:
    print("torch is not installed: murmur3 + Box-Muller not compared", file=sys.stderr)
    sys.exit()

torch.set_num_threads(1)


def murmur3(keys, seed):
    # torch has no unsigned 32-bit arithmetic: 64-bit, masked after every product and shift.
    mask = 0xFFFFFFFF
    k = keys * 0xCC9E2D51 & mask
    k = (k << 15 | k >> 17) & mask
    k = k * 0x1B873593 & mask
    h = seed ^ k
    h = (h << 13 | h >> 19) & mask
    h = h * 5 + 0xE6546B64 & mask
    h = (h ^ h >> 16) * 0x85EBCA6B & mask
    h = (h ^ h >> 13) * 0xC2B2AE35 & mask
    return h ^ h >> 16


def normals(seed, count):
    uniform = murmur3(torch.arange(count, dtype=torch.int64), seed).to(torch.float32) / 4294967296.0
    half = count // 2
    radius = torch.sqrt(-2.0 * torch.log(torch.clamp(uniform[:half], min=1e-10)))
    angle = uniform[half:] * (2.0 * torch.pi)
    return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)])


count = 1 << 20
row("murmur3 + Box-Muller f32", f"torch {torch.__version__}", "murmur3", lambda: normals(7, count), count)
