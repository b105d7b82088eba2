/** Samples that nobody can foresee, and what finding nothing wrong in one is worth. */
import { randomInt } from 'node:crypto'

/** count distinct indices of 0..total-1 in ascending order, uniform, from the operating system's random source. */
export function drawSample(total: number, count: number): number[] {
  if (count >= total) return Array.from({ length: total }, (_, i) => i)
  // Floyd's algorithm: as many draws as there are indices, each subset equally likely.
  const chosen = new Set<number>()
  for (let i = total - count; i < total; i++) {
    const candidate = randomInt(i + 1)
    chosen.add(chosen.has(candidate) ? i : candidate)
  }
  return [...chosen].sort((a, b) => a - b)
}

/** Probability that a sample of `sample` out of `total` holds at least one of `fakes` wrong entries. */
export function detectionProbability(total: number, sample: number, fakes: number): number {
  if (fakes <= 0 || total <= 0) return 0
  if (sample > total - fakes) return 1
  let logMiss = 0
  for (let i = 0; i < sample; i++) logMiss += Math.log1p(-fakes / (total - i))
  return -Math.expm1(logMiss)
}
