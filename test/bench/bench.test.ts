import t from 'tap'
import { benchCases, flopsPerNonce } from '../../lib/bench/bench.ts'
import { quantile, summarize } from '../../lib/bench/summary.ts'
import { main } from '../../lib/cli.ts'
import { bench, openDevice } from '../../lib/index.ts'
import { namedParams } from '../../lib/protocol/params.ts'
import { formatTable, siNumber, threeDigits } from '../../lib/terminal.ts'
import { testIo } from '../io.ts'

t.setTimeout(0)

t.test('quantiles', async (t) => {
  t.equal(quantile([3, 1, 2], 0.5), 2)
  t.equal(quantile([4, 1, 2, 3], 0.5), 2.5)
  t.equal(quantile([7], 0.25), 7)
  t.equal(quantile([0, 10], 0.25), 2.5)
  t.ok(Number.isNaN(quantile([], 0.5)))
  t.same(summarize([1, 2, 3, 4, 5]), { samples: 5, median: 3, spread: 2 / 3 })
})

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
  t.equal(formatTable(['a', 'bb'], [['ccc', '1']], new Set([1])), 'a    bb\nccc   1\n')
})

t.test('work of a nonce', async (t) => {
  // 16 positions through 15 whole layers of 3 x 2048 x 7168 + 4 x 2048^2 weights each, two operations per weight.
  const layers = 2 * 16 * 15 * (3 * 2048 * 7168 + 4 * 2048 * 2048)
  const flops = flopsPerNonce(namedParams.default)
  t.ok(flops > layers && flops < layers * 1.05, `${flops} against ${layers}`)
})

t.test('measuring', async (t) => {
  const device = await openDevice()
  const cases = [
    {
      suite: 'gemm',
      name: 'small',
      problem: { op: 'gemm', m: 64, n: 64, k: 64, aType: 'f32', bType: 'f32', dType: 'f32', packed: false },
    },
    { suite: 'sha256', name: 'hashes', problem: { op: 'sha256_search', nonces: 4096 } },
  ] as const
  const seen: string[] = []
  const report = await bench({ device, cases, seconds: 0.05, samples: 10, onFigure: ({ name }) => seen.push(name) })
  t.same(seen, ['small', 'hashes'])
  for (const figure of report.figures) {
    t.equal(figure.skipped, null)
    t.ok(figure.samples >= 3 && figure.samples <= 10 && figure.medianNs > 0 && figure.rate > 0 && figure.spread >= 0)
  }
  t.match(report.figures, [
    { unit: 'flop', peakFraction: Number },
    { unit: 'hash', peakFraction: null },
  ])
  t.ok((report.peakBefore?.f32Gflops ?? 0) > 0 && (report.peakAfter?.f32Gflops ?? 0) > 0)
  const reference = await bench({ device, cases: cases.slice(0, 1), implementation: 'ref', seconds: 0.01, samples: 3 })
  t.equal(reference.figures[0]?.implementation, 'ref')
  await t.rejects(bench({ device, cases, signal: AbortSignal.abort() }), { code: 'ERR_GK_CANCELLED' })
  await device.close()
})

t.test('by command', async (t) => {
  const run = async (...argv: string[]) => {
    const io = testIo()
    return { code: await main(argv, io), out: io.outText(), err: io.errText() }
  }
  const result = await run('bench', 'sha256', '--seconds', '0.01', '--samples', '3', '--json')
  t.equal(result.code, 0, result.err)
  t.match(JSON.parse(result.out), {
    device: 'cpu:0',
    peak_before: { f32_gflops: Number, copy_gb_per_s: Number },
    figures: [{ suite: 'sha256', unit: 'hash', skipped: null, samples: 3, median_ns: Number, spread: Number }],
  })
  t.match(await run('bench', 'sha256', '--seconds', '0.01', '--samples', '3'), { code: 0, out: /Mhash\/s/ })
  t.match(await run('bench', 'nothing'), { code: 2, err: /Allowed choices are gemm/ })
  t.equal(new Set(benchCases.map(({ name }) => name)).size, benchCases.length, 'names are unique')
})
