/**
 * Rank tests: they assume nothing about the shape of the noise, which on a shared machine has a long tail of interrupted
 * calls, and one wild value moves them no more than any other. Exact where the samples are few: the distribution of the rank
 * sum over all equally likely assignments, ties included; beyond that the normal approximation with the ties' variance.
 */
import { normalCdf } from './distributions.ts'

/** Most values for which the exact distribution is counted. */
const exactLimit = 60

/** Ranks 1..n times two, so that the middle ranks of ties are integers. */
function doubledRanks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => (values[i] as number) - (values[j] as number))
  const ranks = new Array<number>(values.length)
  for (let begin = 0; begin < order.length; ) {
    let end = begin + 1
    while (end < order.length && values[order[end] as number] === values[order[begin] as number]) end++
    for (let i = begin; i < end; i++) ranks[order[i] as number] = begin + 1 + end
    begin = end
  }
  return ranks
}

/** Two-sided p-value of an observed sum under a distribution over sums 0, 1, 2, ... */
function twoSided(distribution: Float64Array, observed: number): number {
  let total = 0
  let atMost = 0
  let atLeast = 0
  for (let sum = 0; sum < distribution.length; sum++) {
    const mass = distribution[sum] as number
    total += mass
    if (sum <= observed) atMost += mass
    if (sum >= observed) atLeast += mass
  }
  return Math.min(1, (2 * Math.min(atMost, atLeast)) / total)
}

/** With a continuity correction of half a step; a step is 2, or 1 where ties make odd sums possible. */
function twoSidedNormal(observed: number, mean: number, variance: number): number {
  if (variance <= 0) return 1
  return 2 * normalCdf(-Math.max(0, Math.abs(observed - mean) - 1) / Math.sqrt(variance))
}

/**
 * Wilcoxon's signed-rank test: two-sided p-value of "the values lie symmetrically around 0". For paired differences. Zeros
 * say nothing and are left out. Each value must be independent of the others.
 */
export function signedRankTest(values: readonly number[]): number {
  const nonZero = values.filter((value) => value !== 0)
  const ranks = doubledRanks(nonZero.map(Math.abs))
  const observed = ranks.reduce((sum, rank, i) => sum + ((nonZero[i] as number) > 0 ? rank : 0), 0)
  const total = ranks.reduce((sum, rank) => sum + rank, 0)
  if (ranks.length === 0) return 1
  if (ranks.length > exactLimit) {
    const variance = ranks.reduce((sum, rank) => sum + rank * rank, 0) / 4
    return twoSidedNormal(observed, total / 2, variance)
  }
  // Every rank is positive or not, independently, with probability one half.
  const distribution = new Float64Array(total + 1)
  distribution[0] = 1
  for (const rank of ranks)
    for (let sum = total; sum >= rank; sum--)
      distribution[sum] = (distribution[sum] as number) + (distribution[sum - rank] as number)
  return twoSided(distribution, observed)
}

/**
 * Mann and Whitney's test: two-sided p-value of "both samples come from one distribution". Each value must be independent
 * of the others.
 */
export function mannWhitneyTest(a: readonly number[], b: readonly number[]): number {
  if (a.length === 0 || b.length === 0) return 1
  const ranks = doubledRanks([...a, ...b])
  const n = ranks.length
  const observed = ranks.slice(0, a.length).reduce((sum, rank) => sum + rank, 0)
  const total = ranks.reduce((sum, rank) => sum + rank, 0)
  if (n > exactLimit) {
    const mean = (total * a.length) / n
    const squares = ranks.reduce((sum, rank) => sum + rank * rank, 0)
    const variance = ((a.length * b.length) / (n * (n - 1))) * (squares - (total * total) / n)
    return twoSidedNormal(observed, mean, variance)
  }
  // subsets[k]: how many subsets of k of the ranks seen so far have each sum.
  const subsets = Array.from({ length: a.length + 1 }, () => new Float64Array(total + 1))
  ;(subsets[0] as Float64Array)[0] = 1
  ranks.forEach((rank, seen) => {
    for (let k = Math.min(a.length, seen + 1); k >= 1; k--) {
      const into = subsets[k] as Float64Array
      const from = subsets[k - 1] as Float64Array
      for (let sum = total; sum >= rank; sum--) into[sum] = (into[sum] as number) + (from[sum - rank] as number)
    }
  })
  return twoSided(subsets[a.length] as Float64Array, observed)
}

/**
 * Holm's correction (Scandinavian Journal of Statistics 6, 1979): p-values such that rejecting all below a level errs
 * with at most that probability in the whole family, whatever the dependence between the tests.
 */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((i, j) => (pValues[i] as number) - (pValues[j] as number))
  const adjusted = new Array<number>(pValues.length)
  let largest = 0
  order.forEach((index, rank) => {
    largest = Math.max(largest, Math.min(1, (pValues[index] as number) * (pValues.length - rank)))
    adjusted[index] = largest
  })
  return adjusted
}
