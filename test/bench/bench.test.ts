import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { BenchCase } from '../../lib/bench/case.ts'
import { flopsPerNonce } from '../../lib/bench/case.ts'
import { describeMachine, disturbances, watchLoad } from '../../lib/bench/machine.ts'
import { defaultMethod, measure } from '../../lib/bench/measure.ts'
import { confidenceText } from '../../lib/bench/render.ts'
import { parseResult, toResultFile } from '../../lib/bench/result-file.ts'
import { expandCases, loadSuite, parseCase, suiteNames } from '../../lib/bench/suite.ts'
import { main } from '../../lib/cli.ts'
import { bench, openDevice } from '../../lib/index.ts'
import type { NativeDevice } from '../../lib/native-api.ts'
import { namedParams } from '../../lib/protocol/params.ts'
import { formatTable, siNumber, threeDigits } from '../../lib/terminal.ts'
import { testIo } from '../io.ts'

t.setTimeout(0)

const temporary = mkdtempSync(join(tmpdir(), 'gonka-bench-'))
t.teardown(() => rmSync(temporary, { recursive: true, force: true }))

const run = async (...argv: string[]) => {
  const io = testIo()
  return { code: await main(argv, io), out: io.outText(), err: io.errText() }
}

t.test('numbers and tables', async (t) => {
  t.equal(siNumber(0), '0')
  t.equal(siNumber(999.4), '999')
  t.equal(siNumber(999.6), '1.00 k')
  t.equal(siNumber(1234), '1.23 k')
  t.equal(siNumber(215e9), '215 G')
  t.equal(threeDigits(0.01234), '0.0123')
  t.equal(threeDigits(99.94), '99.9')
  t.equal(threeDigits(99.96), '100')
  t.equal(threeDigits(1e-7), '1.00e-7')
  for (const [confidence, text] of [
    [0.95, '95%'],
    [0.99, '99%'],
    [0.999, '99.9%'],
    [0.9999, '99.99%'],
  ] as const)
    t.equal(confidenceText(confidence), text)
  t.equal(formatTable(['a', 'bb'], [['ccc', '1']], new Set([1])), 'a    bb\nccc   1\n')
})

t.test('work of a nonce', async (t) => {
  // 16 positions through 15 whole layers of 3 x 2048 x 7168 + 4 x 2048^2 weights each, two operations per weight.
  const layers = 2 * 16 * 15 * (3 * 2048 * 7168 + 4 * 2048 * 2048)
  const flops = flopsPerNonce(namedParams.default)
  t.ok(flops > layers && flops < layers * 1.05, `${flops} against ${layers}`)
})

t.test('suites of the package', async (t) => {
  for (const name of suiteNames()) {
    const suite = await loadSuite(name)
    t.equal(suite.name, name, 'a suite is called as its file')
    t.ok(suite.cases.length > 0 && suite.summary !== '', name)
    t.equal(new Set(suite.cases.map((one) => one.name)).size, suite.cases.length, `${name}: names are unique`)
  }
  const decode = await loadSuite('decode-8b')
  t.match(decode.cases.find(({ name }) => name === '8B decode qkv 1x6144x4096 bf16 packed')?.problem, {
    op: 'gemm',
    m: 1,
    n: 6144,
    k: 4096,
    aType: 'bf16',
    packed: true,
  })
})

t.test('suites of the user', async (t) => {
  const file = join(temporary, 'mine.json')
  const write = (suite: unknown): void => writeFileSync(file, JSON.stringify(suite))
  const gemm = { op: 'gemm', m: [1, 2], n: 64, k: 32, type: ['f32', 'i8'], threads: [1, 2] }
  write({ suite: 'mine', include: ['sha256'], device: 'cpu:0', cases: [gemm] })
  const { cases } = await loadSuite(file)
  t.equal(cases.length, 1 + 8)
  t.match(cases[1], { suite: 'mine', name: 'gemm 1x64x32 f32 packed t1', device: 'cpu:0', threads: 1 })
  t.match(cases.at(-1), { name: 'gemm 2x64x32 i8 packed t2', threads: 2, problem: { dType: 'i32' } })
  const f8 = { op: 'gemm', m: 1, n: 64, k: 32, type: 'f8_e4m3', packed: false, accumulation: ['f32', 'short'] }
  write({ suite: 'mine', cases: [f8] })
  t.match((await loadSuite(file)).cases, [
    { name: 'gemm 1x64x32 f8_e4m3', problem: { accumulation: 'f32' } },
    { name: 'gemm 1x64x32 f8_e4m3 short', problem: { accumulation: 'short' } },
  ])
  const refusals: [unknown, RegExp][] = [
    [
      { suite: 'mine', cases: [{ op: 'gemm', m: 0, n: 1, k: 1, type: 'f32' }] },
      /cases\.0\.m: Too small: expected number to be >=1/,
    ],
    [{ suite: 'mine', cases: [{ op: 'gemm', m: 1, n: 1, k: 1 }] }, /type: expected one of f32, .* got nothing/],
    [{ suite: 'mine', cases: [{ op: 'conv' }] }, /is not a suite/],
    [{ suite: 'mine', cases: [{ op: 'sha256_search', nonce: 1 }] }, /unknown field "nonce"/],
    [{ suite: 'mine', include: ['nothing'], cases: [] }, /no suite "nothing"; there are: attention, /],
    [{ suite: 'mine', cases: [{ ...gemm, m: Array(200).fill(1), n: Array(200).fill(1) }] }, /more than 10000/],
    [
      { suite: 'mine', cases: [{ op: 'attention', seqlen: 8, heads: 3, heads_kv: 2, head_dim: 8, type: 'f32' }] },
      /multiple/,
    ],
    [{ suite: 'mine', cases: [{ ...gemm, accumulation: 'short' }] }, /short is for f8_e4m3 and f8_e5m2, not for f32/],
    [{ suite: 'mine', cases: [{ ...f8, accumulation: 'bf16' }] }, /accumulation: expected one of f32, short/],
  ]
  for (const [suite, message] of refusals) {
    write(suite)
    await t.rejects(loadSuite(file), { code: 'ERR_GK_USAGE', message }, JSON.stringify(suite).slice(0, 80))
  }
  await t.rejects(loadSuite(join(temporary, 'absent.json')), { code: 'ERR_GK_FILE' })
})

const small = async (): Promise<BenchCase[]> =>
  expandCases(
    [
      parseCase({ op: 'gemm', m: 64, n: 64, k: 64, type: 'f32' }, 'test'),
      parseCase({ op: 'sha256_search', nonces: 4096 }, 'test'),
      parseCase({ op: ['rms_norm', 'silu_mul', 'householder'][1], rows: 4, columns: 64, type: 'bf16' }, 'test'),
      parseCase({ op: 'gather', rows: 4, columns: 64, type: 'f32', out_type: 'bf16' }, 'test'),
      parseCase({ op: 'matmul_pow', m: 64, n: 64, k: 256 }, 'test'),
    ],
    { suite: 'small' },
  )

t.test('measuring', async (t) => {
  const device = await openDevice({ threads: 1 })
  const cases = await small()
  const seen: string[] = []
  const method = { seconds: 0.05, samples: 200 }
  const report = await bench({ device, cases, method, onFigure: ({ name }) => seen.push(name) })
  t.same(seen, [
    'gemm 64x64x64 f32 packed',
    'double SHA-256 of headers 4096',
    'silu_mul 4x64 bf16',
    'convert rows 4x64 f32 to bf16',
    'matmul_pow 64x64x256 i8',
  ])
  for (const figure of report.figures) {
    const { samples, medianNs, intervalNs, minNs, rate, blocks, name } = figure
    t.equal(figure.skipped, null, name)
    t.ok(samples >= 3 && samples <= 200, `${name}: ${samples} samples`)
    t.equal(blocks.flat().length, samples, name)
    t.ok(minNs <= medianNs && intervalNs.low <= medianNs && medianNs <= intervalNs.high && rate > 0, name)
    t.ok(figure.warmUp !== null && figure.warmUp.calls >= 2, name)
  }
  t.match(report.figures, [
    { unit: 'flop', ceiling: { bound: 'compute' }, operations: 2 * 64 ** 3 },
    { unit: 'hash', operations: 4096 },
    { unit: 'value', ceiling: null },
    { unit: 'value', bytes: 4 * 64 * 6 },
    { unit: 'op', operations: 2 * 64 * 64 * 256 },
  ])
  t.equal(report.calibrations.length, cases.length + 1, 'before, between and after')
  for (const { f32Gflops, copyGbPerS, clockGhz } of report.calibrations)
    t.ok(f32Gflops > 0 && copyGbPerS > 0 && (process.arch !== 'x64' || (clockGhz > 0.2 && clockGhz < 10)))
  t.ok(report.load.seconds > 0)
  const again = parseResult(JSON.parse(JSON.stringify(toResultFile(report))), 'test')
  t.equal(again.figures[0]?.median_ns, report.figures[0]?.medianNs)
  const reference = await bench({ device, cases: cases.slice(0, 1), implementation: 'ref', method })
  t.equal(reference.figures[0]?.implementation, 'ref')
  const cold = await bench({ device, cases: cases.slice(0, 1), method: { ...method, samples: 5, cold: true } })
  t.ok((cold.figures[0]?.medianNs ?? 0) > (report.figures[0]?.medianNs ?? 0), 'operands from memory take longer')
  await t.rejects(bench({ device, cases, signal: AbortSignal.abort() }), { code: 'ERR_GK_CANCELLED' })
  const stop = new AbortController()
  const stopped = bench({
    device,
    cases,
    method: { seconds: 60, precision: 0 },
    signal: stop.signal,
    onStep: (_, part) => part > 0 || setImmediate(() => stop.abort()),
  })
  await t.rejects(stopped, { code: 'ERR_GK_CANCELLED' })
  await device.close()
})

t.test('PoC rounds are cases too', async (t) => {
  const params = join(temporary, 'params.json')
  writeFileSync(
    params,
    JSON.stringify({ ...namedParams.default, dim: 64, n_layers: 2, n_heads: 4, n_kv_heads: 4, vocab_size: 128 }),
  )
  const result = await run(
    'bench',
    'poc_v1',
    '--params',
    params,
    '--batch',
    '4',
    '--seconds',
    '0.05',
    '--threads',
    '1',
    '--json',
  )
  t.equal(result.code, 0, result.err)
  t.match(JSON.parse(result.out), { figures: [{ unit: 'nonce', operations: 1, fresh_operands: false }] })
})

t.test('every operation that was done is counted, and nothing else', async (t) => {
  const device = await openDevice({ threads: 1 })
  const warmed: number[] = []
  let calls = 0
  const counting = {
    ...device,
    benchOpen: async (...given: Parameters<NativeDevice['benchOpen']>) => {
      const session = await device.benchOpen(...given)
      const warm = async (seconds: number, signal?: AbortSignal) => {
        const done = await session.warm(seconds, signal)
        warmed.push(done.calls)
        return done
      }
      const timed = async (...limits: Parameters<typeof session.run>) => {
        const times = await session.run(...limits)
        calls += times.length
        return times
      }
      return { ...session, warm, run: timed }
    },
  } as unknown as NativeDevice
  const problemOfRows = { op: 'silu_mul', rows: 4, columns: 64, type: 'f32' } as const
  const one: BenchCase = { name: 'rows', suite: 'test', problem: problemOfRows }
  const method = { ...defaultMethod, seconds: 0.3, precision: 0 }
  const measured = await measure(one, counting, method, {})
  const all = calls + warmed.reduce((sum, count) => sum + count, 0)
  t.equal(measured.done, all * measured.operations)
  t.ok(measured.fresh && warmed.length > 1, 'blocks had operands of their own')

  // Batches of 512 of a small model: more nonces than one run of a session has are computed, and none is lost.
  const params = { ...namedParams.default, dim: 64, n_layers: 1, n_heads: 4, n_kv_heads: 4, vocab_size: 128 }
  let runs = 0
  const short = {
    ...device,
    pocV1Open: async () => ({
      implementation: 'of the test',
      run: async (
        { nonces }: { nonces: BigInt64Array },
        onBatch: (nonces: BigInt64Array, dist: Float64Array, computed: number) => void,
      ) => {
        runs++
        const half = nonces.length / 2
        for (let i = 0; i < 2; i++) onBatch(nonces.subarray(0, 1), Float64Array.of(1), half)
        return { computed: nonces.length, kept: 2, batches: 2, seconds: 1 }
      },
      close: async () => undefined,
    }),
  } as unknown as NativeDevice
  const problem = { name: 'poc', suite: 'test', problem: { op: 'poc_v1', params } } as unknown as BenchCase
  const rounds = await measure(problem, short, { ...method, samples: 7 }, {})
  const times = rounds.blocks.flat()
  t.equal(times.length, 7)
  t.ok(times.every((ns) => Number.isFinite(ns) && ns >= 0))
  t.ok(runs >= 4, `${runs} runs of two batches`)
  t.equal(rounds.done, (times.length + 1) * 2 ** 19)
  await device.close()
})

t.test('the machine, from files as the kernel writes them', async (t) => {
  const root = join(temporary, 'root')
  const { mkdirSync } = await import('node:fs')
  const cpu = join(root, 'sys/devices/system/cpu/cpu0')
  for (const folder of ['cpufreq', 'thermal_throttle', 'cache/index3'])
    mkdirSync(join(cpu, folder), { recursive: true })
  mkdirSync(join(root, 'proc'))
  mkdirSync(join(root, 'sys/bus/event_source/devices/cpu'), { recursive: true })
  writeFileSync(join(cpu, 'cpufreq/scaling_governor'), 'powersave\n')
  writeFileSync(join(cpu, 'cpufreq/scaling_cur_freq'), '2500000\n')
  writeFileSync(join(cpu, 'cache/index3/size'), '16384K\n')
  writeFileSync(join(cpu, 'thermal_throttle/core_throttle_count'), '3\n')
  writeFileSync(join(root, 'proc/stat'), 'cpu  100 0 50 1000 0 0 0 7 0 0\n')
  t.match(describeMachine(root), { governor: 'powersave', boost: null, cacheMib: 16, instructionCounter: 'available' })
  const end = watchLoad(root)
  writeFileSync(join(root, 'proc/stat'), 'cpu  100100 0 50 1000 0 0 0 100007 0 0\n')
  writeFileSync(join(cpu, 'thermal_throttle/core_throttle_count'), '5\n')
  const load = end()
  t.match(load, { throttled: 2, reportedGhz: 2.5 })
  t.match(disturbances(load).join('; '), /other processes used .* withheld .* throttled 2 times/)
  const nothing = watchLoad(join(root, 'absent'))()
  t.match(nothing, { otherCpus: null, stolenCpus: null, throttled: null, reportedGhz: null })
  t.same(disturbances(nothing), [])
  t.match(describeMachine(join(root, 'absent')).instructionCounter, /^not available: /)
})

t.test('by command', async (t) => {
  const brief = ['--seconds', '0.02', '--samples', '20', '--threads', '1']
  const shape = ['bench', 'gemm', '--m', '1,16', '--n', '64', '--k', '64', '--dtype', 'f32']
  const json = await run(...shape, ...brief, '--json')
  t.equal(json.code, 0, json.err)
  t.match(JSON.parse(json.out), {
    schema: 'gonka-bench',
    version: 1,
    devices: [{ id: 'cpu:0', backend: 'cpu' }],
    figures: [{ name: 'gemm 1x64x64 f32 packed' }, { name: 'gemm 16x64x64 f32 packed' }],
  })
  t.match(await run('bench', 'sha256', ...brief), { code: 0, out: /Mhash\/s(.|\n)*measured ceilings/ })
  t.match(await run(...shape, ...brief, '--markdown'), { code: 0, out: /^\| case \| rate /m })
  const csv = await run(...shape, ...brief, '--csv')
  t.equal(csv.out.split('\r\n').length, 1 + 2 + 1)
  t.match(csv.out, /^name,suite,device,threads,/)
  const f8 = ['--m', '2', '--n', '32', '--k', '32', '--dtype', 'f8_e4m3', '--no-packed', '--accumulation', 'f32,short']
  t.match(await run('bench', 'gemm', ...f8, ...brief), { code: 0, out: /f8_e4m3 +[\d.](.|\n)*f8_e4m3 short +[\d.]/ })
  t.match(await run('bench', '--list'), { code: 0, out: /decode-70b +17/ })
  t.equal(JSON.parse((await run('bench', '--schema')).out).type, 'object')
  const refusals: [string[], RegExp][] = [
    [['nothing'], /no suite "nothing"; there are: attention/],
    [['gemm', '--m', '1'], /n: expected an integer .* k: expected/],
    [['gemm', '--m', '1', '--seqlen', '5'], /gemm has no seqlen; it takes m, n, k/],
    [['gemm', 'attention', '--m', '1'], /exactly one op/],
    [['gemm', '--m', 'x'], /Expected integers separated by commas/],
    [['--baseline', 'absent.json'], /cannot read absent.json/],
    [['--baseline', 'package.json'], /not a result of bench --json/],
    [['--baseline', 'a', '--against', 'b'], /exclude each other/],
    [['--against', 'absent.so', 'sha256'], /absent.so: no such file/],
    [['--backend', 'absent.so', 'sha256'], /absent.so: no such file/],
    [['--backend', 'lib', 'sha256'], /lib: not a file/],
    [['sha256', '--json', '--csv'], /one form of output at a time: got --json and --csv/],
    [['sha256', '--save', 'absent/folder/x.json'], /cannot write absent\/folder\/x.json/],
    [['gemm', '--cpus', '99999'], /none of these processors|does not exist/],
    [['sha256', '--threshold', '-1'], /Expected a fraction/],
    [['sha256', '--threshold', '2'], /Expected a fraction in 0..1, as 0.02 or 2%/],
  ]
  for (const [argv, message] of refusals) {
    const { code, err } = await run('bench', ...argv)
    t.equal(code, 2, argv.join(' '))
    t.match(err, message)
  }
  const saved = join(temporary, 'saved.json')
  t.equal((await run('bench', 'sha256', ...brief, '--save', saved)).code, 0)
  t.match(JSON.parse(readFileSync(saved, 'utf8')), { schema: 'gonka-bench' })
})
