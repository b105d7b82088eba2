/** Benchmarks: cases in, figures out, with the machine's own ceiling measured in the same run. */
import { isGonkaError, throwIfAborted } from '../errors.ts'
import type { BenchProblem, CpuPeak, NativeDevice, PocV1Params } from '../native-api.ts'
import { openSession, runSession } from '../poc-v1.ts'
import { ffnHidden, namedParams } from '../protocol/params.ts'
import { type BenchCase, benchCases } from './cases.ts'
import { summarize } from './summary.ts'

export { type BenchCase, benchCases, type SuiteName, suiteNames } from './cases.ts'

export interface BenchFigure {
  readonly name: string
  readonly suite: string
  /** null where nothing ran. */
  readonly implementation: string | null
  /** Why nothing ran; null otherwise. */
  readonly skipped: string | null
  readonly samples: number
  /** Of one call; PoC: of one nonce. */
  readonly medianNs: number
  /** Interquartile range as a fraction of the median. */
  readonly spread: number
  /** `unit` per second at the median. */
  readonly rate: number
  readonly unit: string
  /** Arithmetic rate as a fraction of the measured ceiling of its format; null where there is none. */
  readonly peakFraction: number | null
}

export interface BenchReport {
  readonly figures: readonly BenchFigure[]
  /** Ceilings of a CPU device before and after the cases; null on other devices. */
  readonly peakBefore: CpuPeak | null
  readonly peakAfter: CpuPeak | null
}

export interface BenchOptions {
  readonly device: NativeDevice
  /** All of benchCases if absent. */
  readonly cases?: readonly BenchCase[]
  /** Implementation by name; the device's best if absent. */
  readonly implementation?: string
  /** Time for each case; 1 if absent. */
  readonly seconds?: number
  /** Most samples of a case; 1000 if absent. */
  readonly samples?: number
  /** Each figure as soon as it is there. */
  readonly onFigure?: (figure: BenchFigure) => void
  /** Name of the case that begins. */
  readonly onCase?: (name: string) => void
  readonly signal?: AbortSignal
}

/** Runs the cases one after the other. A case that the device cannot run is reported as skipped. */
export async function bench(options: BenchOptions): Promise<BenchReport> {
  const { device, signal } = options
  const measurePeak = async (): Promise<CpuPeak | null> => {
    if (!device.id.startsWith('cpu:')) return null
    options.onCase?.('ceilings of this CPU')
    return device.cpuPeak(signal)
  }
  const peakBefore = await measurePeak()
  const figures: BenchFigure[] = []
  for (const benchCase of options.cases ?? benchCases) {
    throwIfAborted(signal)
    options.onCase?.(benchCase.name)
    const figure = await measure(benchCase, options, peakBefore).catch((error: unknown) => {
      if (!isGonkaError(error, 'ERR_GK_UNSUPPORTED')) throw error
      return skipped(benchCase, error.message)
    })
    figures.push(figure)
    options.onFigure?.(figure)
  }
  return { figures, peakBefore, peakAfter: await measurePeak() }
}

function skipped({ name, suite }: BenchCase, reason: string): BenchFigure {
  const nothing = {
    samples: 0,
    medianNs: Number.NaN,
    spread: Number.NaN,
    rate: Number.NaN,
    unit: '',
    peakFraction: null,
  }
  return { name, suite, implementation: null, skipped: reason, ...nothing }
}

function measure(benchCase: BenchCase, options: BenchOptions, peak: CpuPeak | null): Promise<BenchFigure> {
  const { problem } = benchCase
  return problem ? measureOp(benchCase, problem, options, peak) : measurePocV1(benchCase, options, peak)
}

async function measureOp(
  { name, suite }: BenchCase,
  problem: BenchProblem,
  options: BenchOptions,
  peak: CpuPeak | null,
): Promise<BenchFigure> {
  const { device, implementation, seconds = 1, samples = 1000, signal } = options
  const request = { problem, samples, seconds, ...(implementation === undefined ? {} : { implementation }) }
  const result = await device.bench(request, signal)
  const { samples: count, median, spread } = summarize(result.samplesNs)
  const ceiling = result.items > 0 ? null : peakOf(problem, peak)
  const rate = ((result.items > 0 ? result.items : result.flops) / median) * 1e9
  return {
    name,
    suite,
    implementation: result.implementation,
    skipped: null,
    samples: count,
    medianNs: median,
    spread,
    rate,
    unit: result.items > 0 ? result.unit : countsIntegers(problem) ? 'op' : 'flop',
    peakFraction: ceiling ? rate / (ceiling * 1e9) : null,
  }
}

function countsIntegers(problem: BenchProblem): boolean {
  return problem.op === 'matmul_pow' || (problem.op === 'gemm' && problem.aType === 'i8')
}

/** 10^9 operations per second of the format that the problem multiplies; 0 or null if unknown. */
function peakOf(problem: BenchProblem, peak: CpuPeak | null): number | null {
  if (!peak) return null
  if (countsIntegers(problem)) return peak.i8Gops
  if (problem.op === 'gemm' && problem.aType === 'bf16') return peak.bf16Gflops || peak.f32Gflops
  if (problem.op === 'gemm' || problem.op === 'attention') return peak.f32Gflops
  return null
}

/** More than any device computes in the longest case; the time ends the run. */
const maxBenchNonces = 2 ** 20

async function measurePocV1(
  { name, suite }: BenchCase,
  options: BenchOptions,
  peak: CpuPeak | null,
): Promise<BenchFigure> {
  const { device, seconds = 1, samples = 1000, signal } = options
  const params = namedParams.default
  const round = { device, params, blockHash: 'bench', publicKey: 'bench', nonces: new BigInt64Array() }
  const session = await openSession(signal ? { ...round, signal } : round)
  try {
    const nonces = BigInt64Array.from({ length: maxBenchNonces }, (_, i) => BigInt(i))
    const perNonceNs: number[] = []
    let began = 0
    let last = 0
    for await (const { computed } of runSession(session, { publicKey: round.publicKey, nonces }, signal)) {
      const now = performance.now()
      // The first batch also pays for memory that the later ones find mapped.
      if (began === 0) began = now
      else perNonceNs.push(((now - last) * 1e6) / computed)
      last = now
      if (perNonceNs.length >= samples || (perNonceNs.length >= 3 && now - began >= seconds * 1000)) break
    }
    const { samples: count, median, spread } = summarize(perNonceNs)
    const rate = 1e9 / median
    return {
      name,
      suite,
      implementation: session.implementation,
      skipped: null,
      samples: count,
      medianNs: median,
      spread,
      rate,
      unit: 'nonce',
      peakFraction: peak ? (rate * flopsPerNonce(params)) / (peak.f32Gflops * 1e9) : null,
    }
  } finally {
    await session.close()
  }
}

/** Multiplications and additions of the products that a nonce needs, the last layer for the last position only. */
export function flopsPerNonce(params: PocV1Params): number {
  const { dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len } = params
  const kv = (dim / n_heads) * n_kv_heads
  const feedForward = 3 * dim * ffnHidden(params)
  const wholeLayer = seq_len * (2 * dim * dim + 2 * dim * kv + feedForward) + seq_len * (seq_len + 1) * dim
  const lastLayer = seq_len * 2 * dim * kv + 2 * dim * dim + feedForward + 2 * seq_len * dim
  return 2 * ((n_layers - 1) * wholeLayer + lastLayer + vocab_size * dim)
}
