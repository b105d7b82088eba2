/**
 * bench [suite...]: gemm, attention, sha256, normals, matmul-pow, poc-v1.
 *
 * JSON: {"device", "device_name", "threads", "peak_before", "peak_after": {"threads", "f32_gflops", "bf16_gflops",
 *  "i8_gops", "copy_gb_per_s"} or null, "figures": [{"name", "suite", "implementation", "skipped", "samples",
 *  "median_ns", "spread", "rate", "unit", "peak_fraction"}]}; rate in units per second at the median, spread the
 *  interquartile range over the median; figures of a skipped case are null.
 */
import { Argument } from 'commander'
import { type BenchFigure, bench, benchCases, type SuiteName, suiteNames } from '../bench/bench.ts'
import { exitCodes, GonkaError } from '../errors.ts'
import { type Io, writeJson } from '../io.ts'
import { toJson } from '../json.ts'
import type { CpuPeak } from '../native-api.ts'
import { formatTable, siNumber, startProgress, threeDigits } from '../terminal.ts'
import {
  type Define,
  type DeviceOptions,
  decimal,
  integer,
  jsonOption,
  openDevice,
  withDeviceOptions,
} from './command.ts'

interface Options extends DeviceOptions {
  readonly seconds: number
  readonly samples: number
  readonly implementation?: string
  readonly json?: boolean
}

export const define: Define = (command, run) => {
  withDeviceOptions(command.addArgument(new Argument('[suite...]', 'all if none is named').choices(suiteNames)))
    .option(
      '--seconds <s>',
      'time for each case',
      decimal('a number above 0', (value) => value > 0 && value <= 3600),
      1,
    )
    .option('--samples <n>', 'most samples of a case', integer(1, 1_000_000), 1000)
    .option('--implementation <name>', "instead of the device's best")
    .option(...jsonOption)
    .action(run(benchCommand))
}

async function benchCommand(io: Io, suites: SuiteName[], options: Options): Promise<number> {
  const cases = benchCases.filter(({ suite }) => suites.length === 0 || suites.includes(suite))
  if (cases.length === 0) throw new GonkaError('ERR_GK_USAGE', `no such suite; there are: ${suiteNames.join(', ')}`)
  const device = await openDevice(io, options)
  const progress = startProgress(io)
  try {
    const report = await bench({
      device,
      cases,
      seconds: options.seconds,
      samples: options.samples,
      ...(options.implementation === undefined ? {} : { implementation: options.implementation }),
      onCase: (name) => progress.update(`measuring ${name}`),
      signal: io.signal,
    })
    progress.done()
    const { id, name, threads } = await device.report()
    if (options.json) {
      writeJson(io, toJson({ device: id, deviceName: name, threads, ...report }))
    } else {
      io.out.write(`${id} ${name}${threads > 0 ? `, ${threads} threads` : ''}\n`)
      io.out.write(benchTable(report.figures))
      if (report.peakBefore && report.peakAfter) io.out.write(describePeaks(report.peakBefore, report.peakAfter))
    }
    return report.figures.some(({ skipped }) => skipped === null) ? exitCodes.ok : exitCodes.failed
  } finally {
    progress.done()
    await device.close()
  }
}

/** One line per figure. */
export function benchTable(figures: readonly BenchFigure[]): string {
  const rows = figures.map((figure) => {
    if (figure.skipped !== null) return [figure.name, '', 'skipped', '', '', figure.skipped]
    const { name, medianNs, rate, unit, spread, peakFraction, samples, implementation } = figure
    const space = /[a-z]$/i.test(siNumber(rate)) ? '' : ' '
    return [
      name,
      `${siNumber(rate)}${space}${unit}/s`,
      `${threeDigits(medianNs / 1e6)} ms`,
      `${(spread * 100).toFixed(1)}%`,
      peakFraction === null ? '' : `${(peakFraction * 100).toFixed(1)}%`,
      `${implementation} (${samples} samples)`,
    ]
  })
  return formatTable(['case', 'rate', 'median', 'spread', 'of peak', 'implementation'], rows, new Set([1, 2, 3, 4]))
}

function describePeaks(before: CpuPeak, after: CpuPeak): string {
  const pair = (a: number, b: number, unit: string) => (a === 0 ? '-' : `${threeDigits(a)} / ${threeDigits(b)} ${unit}`)
  return (
    `measured ceilings, before / after: f32 ${pair(before.f32Gflops, after.f32Gflops, 'Gflop/s')}, ` +
    `bf16 ${pair(before.bf16Gflops, after.bf16Gflops, 'Gflop/s')}, i8 ${pair(before.i8Gops, after.i8Gops, 'Gop/s')}, ` +
    `copy ${pair(before.copyGbPerS, after.copyGbPerS, 'GB/s')}\n`
  )
}
