// bench/gpu.sh where there is no GPU, and the report it makes from what the commands print.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'

const script = resolve('bench/gpu.sh')

/** Runs the script with nothing on PATH but these programs of the system and those given. */
function runWith(folder: string, programs: Record<string, string>, ...argv: string[]) {
  const bin = join(folder, 'bin')
  mkdirSync(bin, { recursive: true })
  for (const name of ['sh', 'mkdir', 'dirname', 'tr', 'head', 'date', 'cat', 'sed', 'grep']) {
    symlinkSync(spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim(), join(bin, name))
  }
  for (const [name, text] of Object.entries(programs))
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  const out = join(folder, 'out')
  const result = spawnSync(join(bin, 'sh'), [script, ...argv, out], {
    encoding: 'utf8',
    env: { PATH: bin },
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

t.test('a device that is none', async (t) => {
  t.match(runWith(t.testdir({}), {}, 'cpu:0'), { status: 2, err: /expected a device as cuda:0, got 'cpu:0'/ })
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
    'devices.json': JSON.stringify({
      devices: [{ id: 'cuda:0', driver: 'CUDA 13.0', telemetry: { driver: '580.1' } }],
    }),
    'conformance-gemm.json': JSON.stringify({ passed: 7, failed: 1, skipped: 2, results: [] }),
    'conformance-rope.json': '{"passed":',
  })
  const { status, stdout } = spawnSync(process.execPath, ['bench/gpu-report.js', folder], { encoding: 'utf8' })
  t.equal(status, 0)
  t.match(stdout, /^NVIDIA Test, driver 580\.1, /)
  t.match(stdout, '| gemm a | 600.0 Tflop/s | 1.2 % | 750.0 Tflop/s | 0.80 | sm90_wgmma |')
  t.match(stdout, '| gemm b | not measured |')
  t.match(stdout, '| hash | 4.000 Ghash/s | 1.2 % | not measured |')
  t.match(stdout, 'PoC v1: not measured')
  t.match(stdout, 'conformance gemm: 7 passed, 1 failed, 2 skipped')
  t.match(stdout, 'conformance rope: did not end')
  const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'))
  t.match(report, { poc_v1: null, conformance: { gemm: { failed: 1 }, rope: null }, device: { id: 'cuda:0' } })
  t.equal(report.figures[0].of_cublas, 0.8)
  t.equal(spawnSync(process.execPath, ['bench/gpu-report.js']).status, 2)
})
