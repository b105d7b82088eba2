/** Middle and spread of samples. */

/** The q-quantile (0..1) with linear interpolation; NaN for no samples. */
export function quantile(samples: ArrayLike<number>, q: number): number {
  const sorted = Float64Array.from(samples).sort()
  if (sorted.length === 0) return Number.NaN
  const position = q * (sorted.length - 1)
  const low = sorted[Math.floor(position)] as number
  const high = sorted[Math.ceil(position)] as number
  return low + (high - low) * (position - Math.floor(position))
}

export interface Summary {
  readonly samples: number
  readonly median: number
  /** Interquartile range as a fraction of the median. */
  readonly spread: number
}

export function summarize(samples: ArrayLike<number>): Summary {
  const median = quantile(samples, 0.5)
  return { samples: samples.length, median, spread: (quantile(samples, 0.75) - quantile(samples, 0.25)) / median }
}
