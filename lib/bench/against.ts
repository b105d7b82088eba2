/** A build of the backend library against another one, call by call in turn. */
import { isGonkaError, throwIfAborted } from '../errors.ts'
import type { Build } from './build-copies.ts'
import type { BenchCase } from './case.ts'
import type { ComparisonReport } from './compare.ts'
import { disturbances, watchLoad } from './machine.ts'
import { measurePairs, type PairBlock, type PairsResult } from './pairs.ts'
import { median } from './summary.ts'
import { comparePairs, confidenceOfEach, judge, type VerdictOptions } from './verdict.ts'

export interface AgainstOptions extends VerdictOptions {
  /** The build that is held against, and the one under judgement; both stay open. */
  readonly a: Build
  readonly b: Build
  readonly cases: readonly BenchCase[]
  readonly implementation?: string
  /**
   * For each case, about; up to six times as long where the noise needs it: until the interval of the ratio is so narrow that
   * a change of the threshold would stand out, which is asked without regard to where the interval lies.
   */
  readonly seconds?: number
  readonly blocks?: number
  readonly cold?: boolean
  readonly seed?: number
  /** What begins, and how much of the run is done (0..1). */
  readonly onStep?: (what: string, fraction: number) => void
  readonly signal?: AbortSignal
}

export interface AgainstReport extends ComparisonReport {
  /** Raw times of every case, in the order of cases. */
  readonly pairs: readonly { readonly name: string; readonly blocks: readonly PairBlock[] }[]
}

/** Half the width of the ratio's interval at which a case ends, in thresholds. */
const narrowEnough = 0.8

/** How much the scheduler's other work got in between, in words; empty if none of what counts. */
function interruptions(blocks: readonly PairBlock[]): string[] {
  const kept = blocks.reduce((sum, { aNs }) => sum + 2 * aNs.length, 0)
  const sum = (of: (block: PairBlock) => number): number => blocks.reduce((total, block) => total + of(block), 0)
  const [repeated, interrupted] = [sum((block) => block.repeated), sum((block) => block.interrupted)]
  if (repeated + interrupted === 0) return []
  return [
    `the scheduler interrupted ${repeated + interrupted} of ${kept + repeated} calls: ${repeated} were repeated, ${interrupted} count`,
  ]
}

/** A case that one of the two cannot run is left out with the reason. */
export async function benchAgainst(options: AgainstOptions): Promise<AgainstReport> {
  const { a, b, cases, seed = 1, signal, onStep } = options
  const { implementation, seconds, blocks, cold } = options
  const endLoad = watchLoad()
  const left: { name: string; reason: string }[] = []
  const ofEach = confidenceOfEach(options.confidence, cases.length)
  const enough = (blocks: readonly PairBlock[]): boolean => {
    const { low, high } = comparePairs(blocks).interval(ofEach)
    return (high - low) / 2 <= narrowEnough * options.threshold
  }
  const measured: { name: string; result: PairsResult }[] = []
  for (const [i, { name, problem }] of cases.entries()) {
    throwIfAborted(signal)
    onStep?.(name, i / cases.length)
    if (problem.op === 'poc_v1') {
      left.push({ name, reason: 'whole rounds cannot be run in turn; compare two results instead' })
      continue
    }
    try {
      const result = await measurePairs({
        a,
        b,
        problem,
        seed: seed + i,
        enough,
        ...(implementation === undefined ? {} : { implementation }),
        ...(seconds === undefined ? {} : { seconds }),
        ...(blocks === undefined ? {} : { blocks }),
        ...(cold === undefined ? {} : { cold }),
        ...(signal === undefined ? {} : { signal }),
      })
      measured.push({ name, result })
    } catch (error) {
      if (!isGonkaError(error, 'ERR_GK_UNSUPPORTED')) throw error
      left.push({ name, reason: error.message })
    }
  }
  const judged = judge(
    measured.map(({ result }) => comparePairs(result.blocks)),
    options,
  )
  return {
    mode: 'interleaved',
    threshold: options.threshold,
    confidence: options.confidence,
    a: a.description,
    b: b.description,
    cases: measured.map(({ name, result }, i) => ({
      name,
      ...(judged[i] as (typeof judged)[number]),
      aNs: median(result.blocks.flatMap(({ aNs }) => aNs)),
      bNs: median(result.blocks.flatMap(({ bNs }) => bNs)),
      blocks: result.blocks.length,
    })),
    left,
    remarks: [
      ...disturbances(endLoad()),
      ...interruptions(measured.flatMap(({ result }) => result.blocks)),
      ...[a, b]
        .filter(({ moves }) => !moves)
        .map(
          ({ description }) =>
            `${description}: in one place of memory throughout, which may be worth a percent on short calls`,
        ),
      ...measured
        .filter(({ result }) => result.implementationA !== result.implementationB)
        .map(({ name, result }) => `${name}: a ran ${result.implementationA}, b ran ${result.implementationB}`),
    ],
    pairs: measured.map(({ name, result }) => ({ name, blocks: result.blocks })),
  }
}
