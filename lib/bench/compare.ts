/** Two results, or two builds in turn: what became faster, slower, stayed the same, or cannot be told. */
import { GonkaError } from '../errors.ts'
import { disturbances, type Load } from './machine.ts'
import type { ResultCalibration, ResultFigure, ResultFile } from './result-file.ts'
import { median } from './summary.ts'
import { type Comparison, compareRuns, type Judgement, judge, type VerdictOptions } from './verdict.ts'

export interface ComparedCase extends Judgement {
  readonly name: string
  /** Median time of a call, nanoseconds. */
  readonly aNs: number
  readonly bNs: number
  /** Values that the test saw of each: blocks. */
  readonly blocks: number
}

export interface ComparisonReport {
  /** Two runs at different times, or calls in turn. */
  readonly mode: 'runs' | 'interleaved'
  readonly threshold: number
  readonly confidence: number
  /** What a and b are. */
  readonly a: string
  readonly b: string
  readonly cases: readonly ComparedCase[]
  /** Cases of only one side, or that did not run, with the reason. */
  readonly left: readonly { readonly name: string; readonly reason: string }[]
  /** What makes the verdicts less sure than they look. */
  readonly remarks: readonly string[]
}

export interface CompareOptions extends VerdictOptions {
  /** Compare results of different machines. */
  readonly anyMachine?: boolean
}

/** Default threshold for runs at different times, and for calls in turn. */
export const runThreshold = 0.02
export const interleavedThreshold = 0.01
export const defaultConfidence = 0.99
/** Of calls in turn: a CI asks often, and a wrong alarm costs a person's hour. */
export const interleavedConfidence = 0.999

export function isRegression({ cases }: ComparisonReport): boolean {
  return cases.some(({ verdict }) => verdict === 'slower')
}

/** Throws ERR_GK_USAGE for results of different machines, unless told, and where no case is in both. */
export function compareResults(a: ResultFile, b: ResultFile, options: CompareOptions): ComparisonReport {
  const differences = machineDifferences(a, b)
  if (differences.length > 0 && !options.anyMachine)
    throw new GonkaError(
      'ERR_GK_USAGE',
      `the results come from different machines: ${differences.join('; ')}. Pass --any-machine to compare them anyway`,
    )
  const inB = new Map(b.figures.map((figure) => [keyOf(figure), figure]))
  const left: { name: string; reason: string }[] = []
  const found: { figure: ResultFigure; other: ResultFigure; comparison: Comparison }[] = []
  for (const figure of a.figures) {
    const other = inB.get(keyOf(figure))
    inB.delete(keyOf(figure))
    const reason = reasonToLeave(figure, other)
    if (reason !== null || !other) left.push({ name: figure.name, reason: reason ?? '' })
    else found.push({ figure, other, comparison: compareRuns(figure.blocks, other.blocks, drift(a, b, figure)) })
  }
  for (const { name } of inB.values()) left.push({ name, reason: 'only in the second result' })
  if (found.length === 0)
    throw new GonkaError('ERR_GK_USAGE', 'the two results have no case in common that ran in both')
  const judged = judge(
    found.map(({ comparison }) => comparison),
    options,
  )
  return {
    mode: 'runs',
    threshold: options.threshold,
    confidence: options.confidence,
    a: describe(a),
    b: describe(b),
    cases: found.map(({ figure, other }, i) => ({
      name: figure.name,
      ...(judged[i] as Judgement),
      aNs: figure.median_ns ?? Number.NaN,
      bNs: other.median_ns ?? Number.NaN,
      blocks: Math.min(figure.blocks.length, other.blocks.length),
    })),
    left,
    remarks: [
      ...differences.map((difference) => `different machines: ${difference}`),
      ...methodDifferences(a, b),
      ...disturbed('the first run', a.load),
      ...disturbed('the second run', b.load),
      ...tooFew(
        found.map(({ figure, other }) => Math.min(figure.blocks.length, other.blocks.length)),
        options,
      ),
    ],
  }
}

function keyOf({ name, device, threads }: ResultFigure): string {
  return `${name} ${device} ${threads}`
}

function describe({ created, tool, devices }: ResultFile): string {
  return `${created}, ${tool}, ${devices.map(({ backend, sha256 }) => `${backend} ${sha256.slice(0, 8)}`).join(', ')}`
}

function reasonToLeave(a: ResultFigure, b: ResultFigure | undefined): string | null {
  if (!b) return 'only in the first result'
  if (a.skipped !== null) return `did not run in the first: ${a.skipped}`
  if (b.skipped !== null) return `did not run in the second: ${b.skipped}`
  if (a.operations !== b.operations || a.unit !== b.unit) return 'the two have the same name but different work'
  return null
}

function machineDifferences(a: ResultFile, b: ResultFile): string[] {
  const out: string[] = []
  const differ = (what: string, x: string | number, y: string | number): void => {
    if (x !== y) out.push(`${what} ${JSON.stringify(x)} and ${JSON.stringify(y)}`)
  }
  differ('processor', a.machine.cpu_model, b.machine.cpu_model)
  differ('logical processors', a.machine.logical_cpus, b.machine.logical_cpus)
  differ('GiB of memory', a.machine.memory_gib, b.machine.memory_gib)
  for (const one of a.devices) {
    const other = b.devices.find(({ id, threads }) => id === one.id && threads === one.threads)
    if (!other) continue
    differ(`${one.id} is`, one.name, other.name)
    differ(`${one.id} has`, one.arch, other.arch)
    differ(`${one.id} has driver`, one.driver, other.driver)
  }
  return out
}

function methodDifferences(a: ResultFile, b: ResultFile): string[] {
  return a.method.cold === b.method.cold ? [] : ['one run had cold caches, the other warm ones']
}

function disturbed(what: string, load: ResultFile['load']): string[] {
  const camel: Load = {
    seconds: load.seconds,
    otherCpus: load.other_cpus,
    stolenCpus: load.stolen_cpus,
    throttled: load.throttled,
    reportedGhz: load.reported_ghz,
  }
  return disturbances(camel).map((sentence) => `${what}: ${sentence}`)
}

/** Blocks from which the rank test can be sure in a family of this size; fewer are named. */
function tooFew(blocks: readonly number[], { confidence }: VerdictOptions): string[] {
  const level = (1 - confidence) / Math.max(1, blocks.length)
  const few = blocks.filter((n) => 2 / binomial(2 * n, n) > level).length
  return few === 0 ? [] : [`${few} of ${blocks.length} cases have too few blocks for any difference to be sure`]
}

function binomial(n: number, k: number): number {
  let out = 1
  for (let i = 1; i <= k; i++) out = (out * (n - k + i)) / i
  return out
}

/** How much slower the machine was in b: by the calibration of what the figure leans on most. */
function drift(a: ResultFile, b: ResultFile, figure: ResultFigure): number {
  const rate = (result: ResultFile): number => {
    const values = result.calibrations
      .filter(({ device }) => device.startsWith(figure.device))
      .map((calibration) => rateOf(calibration, figure))
      .filter((value) => value > 0)
    return values.length === 0 ? 0 : median(values)
  }
  const [before, after] = [rate(a), rate(b)]
  return before > 0 && after > 0 ? before / after : 1
}

function rateOf(calibration: ResultCalibration, { ceiling, unit }: ResultFigure): number {
  if (ceiling?.bound === 'memory') return calibration.copy_gb_per_s
  if (unit === 'hash') return calibration.sha_mblocks_per_s
  return calibration.f32_gflops
}
