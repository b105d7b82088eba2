// bench/gpu.sh where there is no GPU, and the report it makes from what the commands print.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { namedParams } from '../../lib/protocol/params.ts'

const script = resolve('bench/gpu.sh')

let visible: string | undefined

/** Runs the script with nothing on PATH but these programs of the system and those given. */
function runWith(folder: string, programs: Record<string, string>, ...argv: string[]) {
  // Where nothing stands, as on a machine without the CUDA compiler.
  const build = join(folder, 'build')
  const bin = join(folder, 'bin')
  mkdirSync(bin, { recursive: true })
  for (const name of ['sh', 'mkdir', 'dirname', 'tr', 'head', 'tail', 'date', 'cat', 'sed', 'grep', 'timeout', 'cut']) {
    symlinkSync(spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim(), join(bin, name))
  }
  for (const [name, text] of Object.entries(programs))
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  const out = join(folder, 'out')
  const result = spawnSync(join(bin, 'sh'), [script, ...argv, out], {
    encoding: 'utf8',
    env: { PATH: bin, GONKA_BUILD: build, ...(visible === undefined ? {} : { CUDA_VISIBLE_DEVICES: visible }) },
  })
  return { status: result.status, err: result.stderr, out: result.stdout }
}

t.test('without a GPU: cause and fix, nothing built', async (t) => {
  t.match(runWith(t.testdir({}), {}, 'cuda:0'), {
    status: 1,
    out: '',
    err: /^gpu\.sh: nvidia-smi was not found: install the NVIDIA driver/,
  })
})

t.test('a driver that sees nothing', async (t) => {
  const blind = 'echo "No devices were found"; exit 6'
  t.match(runWith(t.testdir({}), { 'nvidia-smi': blind }, 'cuda:0'), {
    status: 1,
    err: /^gpu\.sh: the driver reports no device 0: No devices were found/,
  })
})

t.test('an old GPU, and no compiler', async (t) => {
  const smi = (capability: string) => `echo ${capability}`
  t.match(runWith(t.testdir({}), { 'nvidia-smi': smi('7.5') }, 'cuda:0'), {
    status: 1,
    err: /capability 75; 80 \(Ampere\)/,
  })
  t.match(runWith(t.testdir({}), { 'nvidia-smi': smi('9.0') }, 'cuda:0'), { status: 1, err: /nvcc was not found/ })
})

t.test('no Node.js, and a device among those that are visible', async (t) => {
  const programs = { 'nvidia-smi': 'echo 9.0', nvcc: 'exit 0' }
  t.match(runWith(t.testdir({}), programs, 'cuda:0'), { status: 1, err: /node was not found: install Node\.js 20/ })
  visible = '3,GPU-5f'
  t.teardown(() => {
    visible = undefined
  })
  const asked = { 'nvidia-smi': 'test "$4" = GPU-5f && echo 7.5', nvcc: 'exit 0' }
  t.match(runWith(t.testdir({}), asked, 'cuda:1'), { status: 1, err: /device 1 has compute capability 75/ })
  t.match(runWith(t.testdir({}), asked, 'cuda:2'), {
    status: 1,
    err: /CUDA_VISIBLE_DEVICES=3,GPU-5f has no device 2/,
  })
})

t.test('a device that cannot be opened ends the run; a build for it is not configured anew', async (t) => {
  const folder = t.testdir({
    build: {
      'CMakeCache.txt': 'GONKA_CUDA_ARCHS:STRING=80-real;90a-real;100a-real\n',
      Release: { 'gonka_cuda.so': '' },
    },
  })
  const stand = {
    'nvidia-smi': 'echo 9.0',
    nvcc: 'exit 0',
    npx: 'echo "$@"',
    node: `exec ${process.execPath} "$@"`,
  }
  t.match(runWith(folder, stand, 'cuda:77'), { status: 1, err: /cuda:77 cannot be opened, for the reason above/ })
  t.match(readFileSync(join(folder, 'out', 'build.log'), 'utf8'), /^cmake-js build --parallel [1-9]\d*\n$/)
})

t.test('a device that is none', async (t) => {
  t.match(runWith(t.testdir({}), {}, 'cpu:0'), { status: 2, err: /expected a device as cuda:0, got 'cpu:0'/ })
})

// Every command line of the script is run by the program itself, on the CPU: only the names of the device, of suites and
// of slow ops are put in the place of the script's, and the driver, the compiler and npx are stand-ins.
t.test('a whole run, rehearsed on the CPU', async (t) => {
  const suite = { suite: 'tiny', cases: [{ op: 'gemm', m: 8, n: 32, k: 32, type: 'f32' }] }
  const params = {
    ...namedParams.default,
    dim: 64,
    n_layers: 1,
    n_heads: 4,
    n_kv_heads: 4,
    vocab_size: 128,
    seq_len: 4,
  }
  const folder = t.testdir({ 'tiny.json': JSON.stringify(suite), 'params.json': JSON.stringify(params) })
  const node = [
    'poc= command=',
    'for word; do shift',
    'case $word in',
    'cuda:0) word=cpu:0 ;;',
    'cublas:0 | cudnn:0) word=example:0 ;;',
    `default | rows | gpu | gpu-gemm | gpu-attention) word=${folder}/tiny.json ;;`,
    `gemm | attention) if [ "$command" = bench ]; then word=${folder}/tiny.json; else word=gather; fi ;;`,
    'matmul_pow | sha256_search) word=gather ;;',
    'bench | conformance) command=$word ;;',
    '10) word=0.2 ;;',
    `bench/gpu-poc.js) poc='--params ${folder}/params.json --batch 8' ;;`,
    'esac',
    'set -- "$@" "$word"; done',
    `exec ${process.execPath} "$@" $poc`,
  ].join('\n')
  // For NVIDIA's libraries stands the example backend.
  const built = join(folder, 'build', 'Release')
  mkdirSync(join(built, 'peers'), { recursive: true })
  for (const peer of ['cublas', 'cudnn'])
    symlinkSync(resolve('build/Release/examples/gonka_example_backend.so'), join(built, 'peers', `gonka_${peer}.so`))
  const stand = { 'nvidia-smi': 'echo 9.0', nvcc: 'exit 0', npx: 'echo "$@"', node }
  const { status, out, err } = runWith(folder, stand, 'cuda:0')
  t.equal(status, 0, err)
  const results = join(folder, 'out')
  t.equal(out.trim().split('\n').at(-1), join(results, 'report.json'))
  const report = JSON.parse(readFileSync(join(results, 'report.json'), 'utf8'))
  t.match(report.figures, [{ name: 'gemm 8x32x32 f32 packed', unit: 'flop' }])
  t.ok(report.figures[0].rate > 0 && report.poc_v1.nonces_per_second > 0)
  t.ok(report.figures[0].peer === 'cublas' && report.figures[0].of_peer > 0, err)
  t.ok(readFileSync(join(results, 'bench-cudnn.json'), 'utf8').includes('gemm 8x32x32'), err)
  t.match(report.device, { id: 'cpu:0' })
  for (const op of ['gemm', 'normal_fill', 'rms_norm', 'rope', 'silu_mul', 'householder', 'permuted_distance'])
    t.ok(report.conformance[op].passed > 0 && report.conformance[op].failed === 0, op)
  t.match(
    readFileSync(join(results, 'build.log'), 'utf8'),
    /cmake-js configure --CDGONKA_CUDA=ON --CDGONKA_CUDA_ARCHS=90a-real\ncmake-js build --parallel [1-9]\d*\n/,
  )
  t.match(JSON.parse(readFileSync(join(results, 'selftest.json'), 'utf8')), { device: 'cpu:0', failed: 0 })
})

t.test('the report joins ours and theirs by case', async (t) => {
  const figure = (name: string, rate: number | null, more: object) => ({
    name,
    suite: 'gemm',
    implementation: 'sm90_wgmma',
    skipped: null,
    samples: 10,
    median_ns: 1,
    spread: 0.012,
    rate,
    unit: 'flop',
    peak_fraction: null,
    ...more,
  })
  const folder = t.testdir({
    'bench.json': JSON.stringify({
      devices: [{ id: 'cuda:0', name: 'NVIDIA Test' }],
      figures: [
        figure('gemm a', 6e14, {}),
        figure('gemm b', null, { skipped: 'not here', implementation: null }),
        figure('hash', 4e9, { unit: 'hash' }),
      ],
    }),
    'bench-cublas.json': JSON.stringify({ figures: [figure('gemm a', 7.5e14, {}), figure('gemm b', 1e14, {})] }),
    'bench-cudnn.json': JSON.stringify({ figures: [figure('gemm a', null, {}), figure('hash', 2e9, {})] }),
    'devices.json': JSON.stringify({
      devices: [{ id: 'cuda:0', driver: 'CUDA 13.0', telemetry: { driver: '580.1' } }],
    }),
    'conformance-gemm.json': JSON.stringify({ passed: 7, failed: 1, skipped: 2, results: [] }),
    'conformance-rope.json': '{"passed":',
  })
  const { status, stdout } = spawnSync(process.execPath, ['bench/gpu-report.js', folder], { encoding: 'utf8' })
  t.equal(status, 0)
  t.match(stdout, /^NVIDIA Test, driver 580\.1, /)
  t.match(stdout, '| gemm a | 600.0 Tflop/s | 1.2 % | cublas 750.0 Tflop/s | 0.80 | sm90_wgmma |')
  t.match(stdout, '| gemm b | not measured |')
  t.match(stdout, '| hash | 4.000 Ghash/s | 1.2 % | cudnn 2.000 Ghash/s | 2.00 |')
  t.match(stdout, 'PoC v1: not measured')
  t.match(stdout, 'conformance gemm: 7 passed, 1 failed, 2 skipped')
  t.match(stdout, 'conformance rope: did not end')
  const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'))
  t.match(report, { poc_v1: null, conformance: { gemm: { failed: 1 }, rope: null }, device: { id: 'cuda:0' } })
  t.equal(report.figures[0].of_peer, 0.8)
  t.equal(spawnSync(process.execPath, ['bench/gpu-report.js']).status, 2)
})
