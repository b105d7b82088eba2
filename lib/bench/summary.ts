/**
 * Middle of samples and how well it is known.
 *
 * Times of calls that follow each other are alike: a neighbour that wakes up, a clock that steps, stay for many calls. n of
 * them know less than n independent ones would, so the interval of the median is widened by how much they repeat each
 * other. What counts for the median is how long the series stays on one side of it.
 */
import { normalQuantile } from './distributions.ts'

/** The q-quantile (0..1) with linear interpolation; NaN for no samples. */
export function quantile(samples: ArrayLike<number>, q: number): number {
  return quantileOfSorted(Float64Array.from(samples).sort(), q)
}

function quantileOfSorted(sorted: Float64Array, q: number): number {
  if (sorted.length === 0) return Number.NaN
  const position = q * (sorted.length - 1)
  const low = sorted[Math.floor(position)] as number
  const high = sorted[Math.ceil(position)] as number
  return low + (high - low) * (position - Math.floor(position))
}

export function median(samples: ArrayLike<number>): number {
  return medianInPlace(Float64Array.from(samples))
}

/** As median; leaves the samples in another order. */
export function medianInPlace(samples: Float64Array): number {
  const n = samples.length
  if (n === 0) return Number.NaN
  const high = select(samples, n >> 1)
  if (n % 2 === 1) return high
  // What lies before the middle is not above it: the largest of it is its lower neighbour.
  let low = samples[0] as number
  for (let i = 1; i < n >> 1; i++) low = Math.max(low, samples[i] as number)
  return low + (high - low) / 2
}

/** Hoare's selection: the value that would stand at this index after sorting; smaller or equal ones end up before it. */
function select(values: Float64Array, index: number): number {
  let left = 0
  let right = values.length - 1
  while (left < right) {
    const pivot = values[(left + right) >> 1] as number
    let i = left
    let j = right
    while (i <= j) {
      while ((values[i] as number) < pivot) i++
      while ((values[j] as number) > pivot) j--
      if (i > j) break
      const swapped = values[i] as number
      values[i++] = values[j] as number
      values[j--] = swapped
    }
    if (index <= j) right = j
    else if (index >= i) left = i
    else break
  }
  return values[index] as number
}

/**
 * How many samples of a series, in order, count as much as one independent one: 1 for independent samples, more where
 * neighbours are alike. Sum of the autocorrelations on both sides, cut by Geyer's initial positive sequence (Statistical
 * Science 7, 1992): sums of neighbouring pairs of them are taken while they are positive.
 */
export function autocorrelationTime(series: ArrayLike<number>): number {
  // Long series are averaged in batches first: the cost grows with the square of the length.
  const batch = Math.ceil(series.length / longestSeries)
  if (batch === 1) return timeOf(series)
  const batches = Float64Array.from({ length: Math.floor(series.length / batch) }, (_, i) => {
    let sum = 0
    for (let j = 0; j < batch; j++) sum += series[i * batch + j] as number
    return sum / batch
  })
  const variance = varianceOf(series)
  return variance <= 0 ? 1 : Math.max(1, (timeOf(batches) * batch * varianceOf(batches)) / variance)
}

const longestSeries = 4096

function varianceOf(series: ArrayLike<number>): number {
  let mean = 0
  for (let i = 0; i < series.length; i++) mean += (series[i] as number) / series.length
  let sum = 0
  for (let i = 0; i < series.length; i++) sum += ((series[i] as number) - mean) ** 2
  return sum / series.length
}

function timeOf(series: ArrayLike<number>): number {
  const n = series.length
  if (n < 4) return 1
  let mean = 0
  for (let i = 0; i < n; i++) mean += (series[i] as number) / n
  const covariance = (lag: number): number => {
    let sum = 0
    for (let i = lag; i < n; i++) sum += ((series[i] as number) - mean) * ((series[i - lag] as number) - mean)
    return sum / n
  }
  const variance = covariance(0)
  if (variance <= 0) return 1
  let time = -1
  for (let lag = 0; lag + 1 < n; lag += 2) {
    const pair = (covariance(lag) + covariance(lag + 1)) / variance
    if (pair <= 0) break
    time += 2 * pair
  }
  return Math.min(n, Math.max(1, time))
}

export interface Interval {
  readonly low: number
  readonly high: number
}

/**
 * Interval that holds the median of the process with this confidence: between two order statistics, as far apart as the
 * number of samples on one side of the median scatters, autocorrelation included. All there is from fewer samples than the
 * confidence needs.
 */
export function medianInterval(samples: ArrayLike<number>, confidence: number): Interval {
  const sorted = Float64Array.from(samples).sort()
  const n = sorted.length
  const middle = quantileOfSorted(sorted, 0.5)
  const below = Array.from(samples, (sample) => (sample < middle ? 1 : sample > middle ? 0 : 0.5))
  const halfWidth = (normalQuantile(0.5 + confidence / 2) * Math.sqrt(n * autocorrelationTime(below))) / 2
  const low = Math.floor(n / 2 - halfWidth)
  return {
    low: sorted[Math.max(0, low - 1)] ?? Number.NaN,
    high: sorted[Math.min(n - 1, n - low)] ?? Number.NaN,
  }
}

export interface Summary {
  readonly samples: number
  readonly median: number
  readonly interval: Interval
  /** Interquartile range as a fraction of the median. */
  readonly spread: number
  readonly min: number
}

export function summarize(samples: ArrayLike<number>, confidence: number): Summary {
  const sorted = Float64Array.from(samples).sort()
  const middle = quantileOfSorted(sorted, 0.5)
  return {
    samples: samples.length,
    median: middle,
    interval: medianInterval(samples, confidence),
    spread: (quantileOfSorted(sorted, 0.75) - quantileOfSorted(sorted, 0.25)) / middle,
    min: sorted[0] ?? Number.NaN,
  }
}
