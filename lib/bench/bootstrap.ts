/** Robust middles and how sure they are, by drawing again from what was measured. */
import { normalCdf, normalQuantile, studentQuantile } from './distributions.ts'
import { seededUniform } from './random.ts'
import { type Interval, median, medianInPlace, quantile } from './summary.ts'

/**
 * Hodges and Lehmann's estimate of the centre: the median of the means of all pairs of values, each with itself included.
 * As good as the mean on tidy noise (0.96), and unmoved by up to 29 % of wild values. The median alone above 512 values,
 * where the pairs become too many.
 */
export function centre(values: ArrayLike<number>): number {
  const n = values.length
  if (n > 512) return median(values)
  const means = new Float64Array((n * (n + 1)) / 2)
  let at = 0
  for (let i = 0; i < n; i++)
    for (let j = i; j < n; j++) means[at++] = ((values[i] as number) + (values[j] as number)) / 2
  return medianInPlace(means)
}

/** Hodges and Lehmann's estimate of how far b lies above a: the median of all differences. */
export function shift(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const differences = new Float64Array(a.length * b.length)
  for (let i = 0; i < a.length; i++)
    for (let j = 0; j < b.length; j++) differences[i * b.length + j] = (b[j] as number) - (a[i] as number)
  return medianInPlace(differences)
}

export interface BootstrapOptions {
  /** Of the interval, between 0 and 1. */
  readonly confidence: number
  /** 2000 if absent. */
  readonly resamples?: number
  /** 1 if absent. */
  readonly seed?: number
}

/**
 * Interval of a statistic of several independent groups of independent values: percentiles over resamples of every group,
 * expanded for small groups as T. Hesterberg proposes (The American Statistician 69, 2015, section 3.3): the plain
 * percentile interval of n values is too narrow by sqrt((n - 1) / n) and takes normal for Student's quantiles. Percentiles
 * beyond the tenth resample from the end are not read off but drawn out from there as a normal tail would go.
 */
export function bootstrapInterval(
  groups: readonly (readonly number[])[],
  statistic: (resampled: readonly number[][]) => number,
  options: BootstrapOptions,
): Interval {
  const { confidence, resamples = 2000, seed = 1 } = options
  const uniform = seededUniform(seed)
  const smallest = Math.min(...groups.map(({ length }) => length))
  if (smallest < 2) return { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY }
  const t = studentQuantile(0.5 + confidence / 2, smallest - 1)
  const tail = normalCdf(-Math.sqrt(smallest / (smallest - 1)) * t)
  const values = new Float64Array(resamples)
  for (let r = 0; r < resamples; r++)
    values[r] = statistic(groups.map((group) => group.map(() => group[Math.floor(uniform() * group.length)] as number)))
  const read = Math.max(tail, 10 / resamples)
  const stretch = read > tail ? normalQuantile(tail) / normalQuantile(read) : 1
  const middle = median(values)
  return {
    low: middle - stretch * (middle - quantile(values, read)),
    high: middle + stretch * (quantile(values, 1 - read) - middle),
  }
}
