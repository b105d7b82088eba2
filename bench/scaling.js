// How the cost of gemm, attention and PoC v1 grows with size, threads and batch, with the fitted exponent of each.
//
//   node bench/scaling.js [--seconds 0.25] [--threads 2] [--json] > scaling.md
//
// The time of a case is that of its shortest call, the least disturbed one, with the median beside it; of PoC v1, whose nonces
// come in bursts, the median. Exponents are
// fitted by least squares on logarithms: of time, and of the operations, which are what time should follow. PoC v1: models
// of four layers, 16 positions; time of a nonce (of a forward pass where the batch grows).
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { flopsPerNonce } from '../dist/lib/bench/case.js'
import { disturbances } from '../dist/lib/bench/machine.js'
import { durationText, rateText } from '../dist/lib/bench/render.js'
import { expandCases } from '../dist/lib/bench/suite.js'
import { bench, openDevice } from '../dist/lib/index.js'

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '0.25' },
    threads: { type: 'string', default: String(Math.min(2, cpus().length)) },
    json: { type: 'boolean', default: false },
  },
})
const most = Number(options.threads)
const folder = mkdtempSync(join(tmpdir(), 'gonka-scaling-'))

/** A file of PoC v1 parameters. */
function paramsOf(dim) {
  const path = join(folder, `dim${dim}.json`)
  const head = 64
  const params = {
    dim,
    n_layers: 4,
    n_heads: dim / head,
    n_kv_heads: dim / head,
    vocab_size: 2 * dim,
    ffn_dim_multiplier: 1,
    multiple_of: 64,
    norm_eps: 1e-5,
    rope_theta: 10000,
    use_scaled_rope: false,
    seq_len: 16,
  }
  writeFileSync(path, JSON.stringify(params))
  return path
}

const gemm = (m, n, k) => ({ op: 'gemm', m, n, k, type: 'f32' })
const attention = (seqlen, batch = 1) => ({ op: 'attention', seqlen, heads: 4, head_dim: 64, batch, type: 'f32' })
const poc = (dim, batch) => ({ op: 'poc_v1', params: paramsOf(dim), batch })
const threadCounts = []
for (let n = 1; n <= most; n *= 2) threadCounts.push(n)
const each = (values, spec, threads = 1) => values.map((x) => ({ x, threads, spec: spec(x) }))
const perThreads = (spec) => threadCounts.map((x) => ({ x, threads: x, spec }))

const series = [
  { what: 'gemm n x n x n f32', axis: 'n', points: each([128, 256, 512, 1024], (n) => gemm(n, n, n)) },
  { what: 'gemm m x 1024 x 1024 f32', axis: 'rows m', points: each([16, 64, 256, 1024], (m) => gemm(m, 1024, 1024)) },
  { what: 'gemm 1024 x 1024 x 1024 f32', axis: 'threads', points: perThreads(gemm(1024, 1024, 1024)) },
  { what: 'attention f32, 4 heads of 64', axis: 'positions', points: each([128, 256, 512, 1024, 2048], attention) },
  {
    what: 'attention f32, 256 positions, 4 heads of 64',
    axis: 'batch',
    points: each([1, 2, 4, 8, 16], (batch) => attention(256, batch)),
  },
  { what: 'attention f32, 1024 positions, 4 heads of 64', axis: 'threads', points: perThreads(attention(1024)) },
  { what: 'PoC v1, batch of 16', axis: 'dim', points: each([128, 256, 512, 1024], (dim) => poc(dim, 16)) },
  { what: 'PoC v1, dim 512', axis: 'batch', pass: true, points: each([1, 4, 16, 64], (batch) => poc(512, batch)) },
  { what: 'PoC v1, dim 512, batch of 16', axis: 'threads', points: perThreads(poc(512, 16)) },
]

/** Slope of the line through the logarithms. */
function exponent(xs, ys) {
  const [u, v] = [xs.map(Math.log), ys.map(Math.log)]
  const mean = (values) => values.reduce((sum, one) => sum + one, 0) / values.length
  const [mu, mv] = [mean(u), mean(v)]
  const covariance = u.reduce((sum, one, i) => sum + (one - mu) * (v[i] - mv), 0)
  return covariance / u.reduce((sum, one) => sum + (one - mu) ** 2, 0)
}

async function measureSeries({ what, axis, pass = false, points }) {
  const rows = []
  for (const { x, threads, spec } of points) {
    const device = await devices.get(threads)
    const [one] = await expandCases([spec], { suite: 'scaling' })
    const report = await bench({ device, cases: [one], method: { seconds: Number(options.seconds), precision: 0.002 } })
    const [figure] = report.figures
    const calls = pass ? x : 1
    const perCall = one.problem.op === 'poc_v1' ? flopsPerNonce(one.problem.params) : figure.operations
    rows.push({
      x,
      threads,
      operations: perCall * calls,
      // Nonces come in bursts, so the shortest of their intervals says nothing.
      timeNs: (one.problem.op === 'poc_v1' ? figure.medianNs : figure.minNs) * calls,
      medianNs: figure.medianNs * calls,
      load: disturbances(report.load),
    })
  }
  const of = (key) => rows.map((row) => row[key])
  return {
    what,
    axis,
    rows,
    exponent: rows.length > 1 ? exponent(of('x'), of('timeNs')) : null,
    operationsExponent: rows.length > 1 ? exponent(of('x'), of('operations')) : null,
  }
}

function markdown(results) {
  const disturbed = [
    ...new Set(results.flatMap(({ rows }) => rows.flatMap(({ load }) => load.map((s) => s.replace(/ \d+ %.*/, ''))))),
  ]
  const out = [
    '# Cost over size, threads and batch',
    '',
    `${cpus()[0].model}, ${cpus().length} processors, ${new Date().toISOString().slice(0, 10)}; one thread where threads are not the axis;`,
    disturbed.length > 0 ? `not a quiet machine: ${disturbed.join(', ')} much of a processor.` : 'nothing else ran.',
    '',
    '| what | over | exponent of time | of operations | values: time (median), rate |',
    '| --- | --- | --- | --- | --- |',
  ]
  for (const { what, axis, rows, exponent: time, operationsExponent } of results) {
    const values = rows.map(
      ({ x, operations, timeNs, medianNs }) =>
        `${x}: ${durationText(timeNs)} (${durationText(medianNs)}), ${rateText((operations / timeNs) * 1e9, 'flop')}`,
    )
    const wanted = axis === 'threads' ? '-1 at best' : operationsExponent?.toFixed(2)
    out.push(`| ${what} | ${axis} | ${time?.toFixed(2) ?? ''} | ${wanted ?? ''} | ${values.join('<br>')} |`)
  }
  return `${out.join('\n')}\n`
}

const devices = new Map(threadCounts.map((threads) => [threads, openDevice({ threads })]))
try {
  const results = []
  for (const one of series) results.push(await measureSeries(one))
  process.stdout.write(options.json ? `${JSON.stringify(results)}\n` : markdown(results))
} finally {
  for (const device of devices.values()) await (await device).close()
  rmSync(folder, { recursive: true })
}
