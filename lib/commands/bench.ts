/**
 * bench [what...]: suites of the package by name, suites in files, or one op with its sizes.
 *
 * JSON: as lib/bench/result-file.ts describes; `bench --schema` prints it as JSON Schema. With --against or --baseline:
 *  {"mode": "interleaved" or "runs", "threshold", "confidence", "a", "b", "cases": [{"name", "verdict", "ratio",
 *  "interval": {"low", "high"}, "p_value", "a_ns", "b_ns", "blocks"}], "left": [{"name", "reason"}], "remarks"}, and with
 *  --against also "pairs": [{"name", "blocks": [{"a_ns", "b_ns", "b_first", "repeated",
 *  "interrupted"}]}], the raw times.
 */
import { bench } from '../bench/bench.ts'
import type { Build } from '../bench/build-copies.ts'
import type { BenchCase } from '../bench/case.ts'
import {
  compareResults,
  defaultConfidence,
  interleavedConfidence,
  interleavedThreshold,
  isRegression,
  runThreshold,
} from '../bench/compare.ts'
import { defaultMethod } from '../bench/measure.ts'
import { defaultPairBlocks } from '../bench/pairs.ts'
import {
  comparisonMarkdown,
  comparisonTable,
  conditions,
  figureCsv,
  figureMarkdown,
  figureTable,
} from '../bench/render.ts'
import { readResultFile, resultSchema, toResultFile } from '../bench/result-file.ts'
import { exitCodes, GonkaError } from '../errors.ts'
import { checkWritable, writeAtomically } from '../files.ts'
import { type Io, writeJson } from '../io.ts'
import { toJson } from '../json.ts'
import { ownCpuLibrary } from '../native.ts'
import { startProgress } from '../terminal.ts'
import { chooseCases, type ShapeOptions, withShapeOptions } from './bench-cases.ts'
import {
  type Define,
  type DeviceOptions,
  decimal,
  defaultDevice,
  fraction,
  integer,
  integerList,
  jsonOption,
  openDevice,
  withDeviceOptions,
} from './command.ts'

interface Options extends DeviceOptions, ShapeOptions {
  readonly list?: boolean
  readonly schema?: boolean
  readonly seconds: number
  readonly samples: number
  readonly precision: number
  readonly confidence?: number
  readonly cold?: boolean
  readonly cpus?: readonly number[]
  readonly implementation?: string
  readonly save?: string
  readonly json?: boolean
  readonly csv?: boolean
  readonly markdown?: boolean
  readonly against?: string
  readonly baseline?: string
  readonly threshold?: number
}

export const define: Define = (command, run) => {
  command.argument('[what...]', 'suites by name, suite files, or one op with its sizes', [])
  withShapeOptions(withDeviceOptions(command))
    .option('--list', 'list the suites and end')
    .option(
      '--seconds <s>',
      'most time for each case (with --against up to six times as much where the noise needs it)',
      decimal('a number above 0', (value) => value > 0 && value <= 3600),
      defaultMethod.seconds,
    )
    .option('--samples <n>', 'most samples of a case', integer(1, 1_000_000), defaultMethod.samples)
    .option(
      '--precision <p>',
      'half width of the interval at which a case ends',
      fraction(0, 1),
      defaultMethod.precision,
    )
    .option(
      '--confidence <p>',
      'of intervals and verdicts (default: 0.99, with --against 0.999)',
      fraction(0.5, 0.999999),
    )
    .option('--cold', 'other data in the caches before every call')
    .option('--cpus <list>', 'confine the process to these processors, as 0,2-3', integerList)
    .option('--implementation <name>', "instead of the device's best")
    .option('--against <library>', 'hold another build of the backend library against this one, calls in turn')
    .option('--baseline <file>', 'compare with an earlier result; exit code 1 on a proven regression')
    .option(
      '--threshold <p>',
      'smallest change worth a word (default: 1% with --against, 2% with --baseline)',
      fraction(0, 1),
    )
    .option('--save <file>', 'also write the JSON result to a file')
    .option(...jsonOption)
    .option('--csv', 'one line per case, comma-separated')
    .option('--markdown', 'a table for a page or a pull request')
    .option('--schema', 'print the JSON Schema of results and end')
    .action(run(benchCommand))
}

async function benchCommand(io: Io, what: string[], options: Options): Promise<number> {
  if (options.schema) {
    const { z } = await import('zod')
    writeJson(io, z.toJSONSchema(resultSchema))
    return exitCodes.ok
  }
  if (options.list) return listSuites(io, options)
  if (options.against !== undefined && options.baseline !== undefined)
    throw new GonkaError(
      'ERR_GK_USAGE',
      '--against and --baseline exclude each other: calls in turn, or an earlier result',
    )
  const forms = (['json', 'csv', 'markdown'] as const).filter((form) => options[form])
  if (forms.length > 1)
    throw new GonkaError('ERR_GK_USAGE', `one form of output at a time: got --${forms.join(' and --')}`)
  const cases = await chooseCases(what, options)
  // Before minutes are spent.
  if (options.save !== undefined) await checkWritable(options.save)
  if (options.cpus) (await io.native()).pinProcess(options.cpus)
  return options.against === undefined
    ? measureCases(io, cases, options)
    : holdAgainst(io, cases, options, options.against)
}

async function listSuites(io: Io, options: Options): Promise<number> {
  const { loadSuite, suiteNames } = await import('../bench/suite.ts')
  const suites = await Promise.all(suiteNames().map(loadSuite))
  if (options.json) {
    writeJson(
      io,
      toJson({
        suites: suites.map(({ name, summary, cases }) => ({ name, summary, cases: cases.map((one) => one.name) })),
      }),
    )
    return exitCodes.ok
  }
  const { formatTable } = await import('../terminal.ts')
  const rows = suites.map(({ name, summary, cases }) => [name, String(cases.length), summary])
  io.out.write(formatTable(['suite', 'cases', 'measures'], rows, new Set([1])))
  return exitCodes.ok
}

async function measureCases(io: Io, cases: readonly BenchCase[], options: Options): Promise<number> {
  // Read before minutes are spent.
  const baseline = options.baseline === undefined ? undefined : await readResultFile(options.baseline)
  const { seconds, samples, precision, confidence = defaultConfidence, cold = false } = options
  const progress = startProgress(io)
  const report = await bench({
    // What the command line says goes before what a suite says.
    device: (id, threads) =>
      openDevice(io, {
        ...options,
        device: options.device === defaultDevice ? (id ?? options.device) : options.device,
        ...withThreads(options.threads ?? threads),
      }),
    cases,
    method: { seconds, samples, precision, confidence, cold },
    ...(options.cpus ? { cpus: options.cpus } : {}),
    ...(options.implementation === undefined ? {} : { implementation: options.implementation }),
    onStep: (step, part) => progress.update(`measuring ${step}`, part),
    signal: io.signal,
  }).finally(() => progress.done())
  const result = toResultFile(report)
  if (options.save !== undefined) await writeAtomically(options.save, `${JSON.stringify(result)}\n`, { force: true })
  if (baseline) {
    const compared = compareResults(baseline, result, { threshold: options.threshold ?? runThreshold, confidence })
    writeComparison(io, compared, options)
    return isRegression(compared) ? exitCodes.failed : exitCodes.ok
  }
  if (options.json) writeJson(io, result)
  else if (options.csv) io.out.write(figureCsv(report.figures))
  else if (options.markdown) io.out.write(figureMarkdown(report))
  else {
    const [device, ...rest] = conditions(report)
    io.out.write(`${device}\n${figureTable(report.figures)}${rest.map((line) => `${line}\n`).join('')}`)
  }
  return report.figures.some(({ skipped }) => skipped === null) ? exitCodes.ok : exitCodes.failed
}

function withThreads(threads: number | undefined): { threads?: number } {
  return threads === undefined ? {} : { threads }
}

async function holdAgainst(io: Io, cases: readonly BenchCase[], options: Options, library: string): Promise<number> {
  const { benchAgainst } = await import('../bench/against.ts')
  const { copiedBuild, fixedBuild } = await import('../bench/build-copies.ts')
  const native = await io.native()
  const copied = (path: string, alias: string): Promise<Build> =>
    copiedBuild(native, path, alias, defaultPairBlocks, {
      ...withThreads(options.threads),
      onNotice: (sentence) => io.err.write(`note: ${sentence}\n`),
      signal: io.signal,
    })
  const a = await copied(library, 'against')
  const progress = startProgress(io)
  try {
    // The addon has the CPU backend linked in, in one place; the same build as a library can be moved.
    const own = options.device === defaultDevice ? ownCpuLibrary() : null
    const b = own === null ? fixedBuild(await openDevice(io, options)) : await copied(own, 'own')
    try {
      const report = await benchAgainst({
        a,
        b,
        cases,
        seconds: options.seconds,
        confidence: options.confidence ?? interleavedConfidence,
        threshold: options.threshold ?? interleavedThreshold,
        ...(options.cold ? { cold: true } : {}),
        ...(options.implementation === undefined ? {} : { implementation: options.implementation }),
        onStep: (step, part) => progress.update(`measuring ${step}`, part),
        signal: io.signal,
      })
      progress.done()
      if (options.save !== undefined)
        await writeAtomically(options.save, `${JSON.stringify(toJson(report))}\n`, { force: true })
      writeComparison(io, report, options)
      if (report.cases.length === 0) return exitCodes.failed
      return isRegression(report) ? exitCodes.failed : exitCodes.ok
    } finally {
      await b.close()
    }
  } finally {
    progress.done()
    await a.close()
  }
}

function writeComparison(io: Io, report: Parameters<typeof comparisonTable>[0], options: Options): void {
  if (options.json) writeJson(io, toJson(report))
  else io.out.write(options.markdown ? comparisonMarkdown(report) : comparisonTable(report))
}
