/**
 * Verdicts on pairs of builds or of runs. Each block of samples is one value, because samples within a block share noise
 * that lasts and a place in memory; blocks are taken as independent. On these few values
 *   - a rank test asks whether there is a difference at all (exact, no assumption on the noise's shape), corrected by Holm
 *     for the number of cases;
 *   - a bootstrap says how large the ratio is, at a confidence that holds for all cases together (Bonferroni).
 *
 *   slower       the test is sure, the interval lies above 1, and the ratio is at least 1 + threshold
 *   faster       likewise below 1, and the ratio is at most 1 / (1 + threshold)
 *   same         the whole interval lies within the threshold of 1
 *   cannot tell  anything else: too little data for this noise
 */
import { bootstrapInterval, centre, shift } from './bootstrap.ts'
import { blockLogRatio, type PairBlock } from './pairs.ts'
import { holm, mannWhitneyTest, signedRankTest } from './rank-test.ts'
import { type Interval, median } from './summary.ts'

export type Verdict = 'faster' | 'slower' | 'same' | 'cannot tell'

export interface VerdictOptions {
  /** Ratio minus 1 below which a change is not worth a word. */
  readonly threshold: number
  /** Probability that no case at all is called changed when nothing has changed. */
  readonly confidence: number
}

/** What was found about one case before the family it belongs to is known. */
export interface Comparison {
  /** Time of b over time of a: above 1 is slower. */
  readonly ratio: number
  /** Two-sided, of "no difference". */
  readonly pValue: number
  /** Of the ratio, at any confidence. */
  readonly interval: (confidence: number) => Interval
}

export interface Judgement {
  readonly verdict: Verdict
  readonly ratio: number
  readonly interval: Interval
  /** After Holm's correction. */
  readonly pValue: number
}

const exponentials = ({ low, high }: Interval): Interval => ({ low: Math.exp(low), high: Math.exp(high) })

/** Of an interleaved run. */
export function comparePairs(blocks: readonly Pick<PairBlock, 'aNs' | 'bNs'>[]): Comparison {
  const values = blocks.map(blockLogRatio)
  return {
    ratio: Math.exp(centre(values)),
    pValue: signedRankTest(values),
    interval: (confidence) =>
      exponentials(bootstrapInterval([values], ([resampled]) => centre(resampled as number[]), { confidence })),
  }
}

/**
 * Of two runs apart. drift: how much slower the machine itself was in the second, by its calibration; a change counts only
 * if it is there with and without it, so the interval covers both.
 */
export function compareRuns(
  a: readonly (readonly number[])[],
  b: readonly (readonly number[])[],
  drift: number,
): Comparison {
  const logs = (blocks: readonly (readonly number[])[]): number[] => blocks.map((block) => Math.log(median(block)))
  const [first, second] = [logs(a), logs(b)]
  const adjusted = second.map((value) => value - Math.log(drift))
  return {
    ratio: Math.exp(shift(first, second)),
    pValue: Math.max(mannWhitneyTest(first, second), mannWhitneyTest(first, adjusted)),
    interval: (confidence) => {
      const { low, high } = exponentials(
        bootstrapInterval([first, second], ([x, y]) => shift(x as number[], y as number[]), { confidence }),
      )
      return { low: Math.min(low, low / drift), high: Math.max(high, high / drift) }
    },
  }
}

/** Of each interval, so that all of a family hold together (Bonferroni). */
export function confidenceOfEach(confidence: number, cases: number): number {
  return 1 - (1 - confidence) / Math.max(1, cases)
}

/** Verdicts on a family of cases, in their order. */
export function judge(comparisons: readonly Comparison[], options: VerdictOptions): Judgement[] {
  const { threshold, confidence } = options
  const pValues = holm(comparisons.map(({ pValue }) => pValue))
  const ofEach = confidenceOfEach(confidence, comparisons.length)
  return comparisons.map(({ ratio, interval: intervalAt }, i) => {
    const pValue = pValues[i] as number
    const interval = intervalAt(ofEach)
    return { verdict: verdictOn(ratio, interval, pValue <= 1 - confidence, threshold), ratio, interval, pValue }
  })
}

function verdictOn(ratio: number, { low, high }: Interval, sure: boolean, threshold: number): Verdict {
  if (sure && low > 1 && ratio >= 1 + threshold) return 'slower'
  if (sure && high < 1 && ratio <= 1 / (1 + threshold)) return 'faster'
  if (low >= 1 / (1 + threshold) && high <= 1 + threshold) return 'same'
  return 'cannot tell'
}
